//! Structured fields (RFC 9651), as far as signatures and digests need them: dictionaries, inner lists, parameters.
//!
//! Stricter than the RFC where leniency would let two readers take different things for true: a key that stands twice makes
//! the whole field bad. Written back in the one canonical form (RFC 9651 section 4.1), which is what was signed.

use crate::identity::jose::base64url;

/// Most members of a dictionary or an inner list, and most parameters of one thing.
const MOST: usize = 64;

/// A value without parameters. Decimals, dates and display strings are not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// An integer.
    Integer(i64),
    /// A string.
    Text(String),
    /// A token.
    Token(String),
    /// A byte sequence.
    Bytes(Vec<u8>),
    /// A truth value.
    Boolean(bool),
}

/// Parameters in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Bare)>);

/// A value with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub value: Bare,
    /// Its parameters.
    pub params: Params,
}

/// A member of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// One value.
    Item(Item),
    /// An inner list and the parameters behind it.
    List(Vec<Item>, Params),
}

/// Reads a dictionary; none for what is none, is empty, or has a key twice.
pub fn dictionary(text: &[u8]) -> Option<Vec<(String, Member)>> {
    let mut parser = Parser { rest: text.trim_ascii() };
    let mut members: Vec<(String, Member)> = Vec::new();
    loop {
        let key = parser.key()?;
        let member = match (parser.eat(b'='), parser.rest.first()) {
            (true, Some(b'(')) => parser.list()?,
            (true, _) => Member::Item(parser.item()?),
            (false, _) => Member::Item(Item { value: Bare::Boolean(true), params: parser.params()? }),
        };
        if members.len() >= MOST || members.iter().any(|(known, _)| *known == key) {
            return None;
        }
        members.push((key, member));
        parser.skip(b" \t");
        if parser.rest.is_empty() {
            return Some(members);
        }
        if !parser.eat(b',') {
            return None;
        }
        parser.skip(b" \t");
    }
}

/// Bytes of base64 with padding (RFC 4648 section 4), in the one text that stands for them.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let plain = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if !text.len().is_multiple_of(4) || plain.iter().any(|byte| b"-_=".contains(byte)) {
        return None;
    }
    let for_urls = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    base64url::decode(&plain.iter().map(for_urls).collect::<Vec<u8>>())
}

impl Params {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Bare> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The parameter of this name, if it is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Bare::Text(text) => Some(text),
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        for (key, value) in &self.0 {
            out.push(';');
            out.push_str(key);
            if *value != Bare::Boolean(true) {
                out.push('=');
                value.write(out);
            }
        }
    }
}

impl Item {
    /// Its text, if it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Bare::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Writes it in its canonical form.
    pub fn write(&self, out: &mut String) {
        self.value.write(out);
        self.params.write(out);
    }
}

/// Writes an inner list in its canonical form.
pub fn write_list(items: &[Item], params: &Params, out: &mut String) {
    out.push('(');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        item.write(out);
    }
    out.push(')');
    params.write(out);
}

impl Bare {
    fn write(&self, out: &mut String) {
        match self {
            Bare::Integer(number) => out.push_str(&number.to_string()),
            Bare::Token(token) => out.push_str(token),
            Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
            Bare::Text(text) => {
                out.push('"');
                for letter in text.chars() {
                    if matches!(letter, '"' | '\\') {
                        out.push('\\');
                    }
                    out.push(letter);
                }
                out.push('"');
            }
            Bare::Bytes(bytes) => {
                let text = base64url::encode(bytes).replace('-', "+").replace('_', "/");
                let padding = ["", "", "==", "="].get(text.len() % 4).copied().unwrap_or_default();
                out.push_str(&format!(":{text}{padding}:"));
            }
        }
    }
}

struct Parser<'t> {
    rest: &'t [u8],
}

impl Parser<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip(&mut self, bytes: &[u8]) {
        while let Some((first, rest)) = self.rest.split_first()
            && bytes.contains(first)
        {
            self.rest = rest;
        }
    }

    /// Takes the bytes that fit, as text.
    fn take(&mut self, fits: impl Fn(u8) -> bool) -> String {
        let end = self.rest.iter().position(|byte| !fits(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        taken.iter().copied().map(char::from).collect()
    }

    fn key(&mut self) -> Option<String> {
        let first = *self.rest.first()?;
        if !(first.is_ascii_lowercase() || first == b'*') {
            return None;
        }
        Some(self.take(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)))
    }

    fn list(&mut self) -> Option<Member> {
        let mut items = Vec::new();
        self.eat(b'(').then_some(())?;
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Some(Member::List(items, self.params()?));
            }
            if items.len() >= MOST {
                return None;
            }
            items.push(self.item()?);
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Item> {
        Some(Item { value: self.bare()?, params: self.params()? })
    }

    fn params(&mut self) -> Option<Params> {
        let mut params: Vec<(String, Bare)> = Vec::new();
        while self.eat(b';') {
            self.skip(b" ");
            let key = self.key()?;
            let value = if self.eat(b'=') { self.bare()? } else { Bare::Boolean(true) };
            if params.len() >= MOST || params.iter().any(|(known, _)| *known == key) {
                return None;
            }
            params.push((key, value));
        }
        Some(Params(params))
    }

    fn bare(&mut self) -> Option<Bare> {
        match *self.rest.first()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.integer(),
            b':' => {
                self.eat(b':');
                let text = self.take(|byte| byte != b':');
                self.eat(b':').then_some(())?;
                base64(text.as_bytes()).map(Bare::Bytes)
            }
            b'?' => {
                self.eat(b'?');
                match self.take(|byte| byte.is_ascii_digit()).as_str() {
                    "1" => Some(Bare::Boolean(true)),
                    "0" => Some(Bare::Boolean(false)),
                    _ => None,
                }
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Some(Bare::Token(self.take(fits)))
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Bare> {
        let mut text = String::new();
        self.eat(b'"').then_some(())?;
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'"' => return Some(Bare::Text(text)),
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    matches!(escaped, b'"' | b'\\').then(|| text.push(char::from(*escaped)))?;
                }
                b' '..=b'~' => text.push(char::from(*first)),
                _ => return None,
            }
        }
    }

    fn integer(&mut self) -> Option<Bare> {
        let negative = self.eat(b'-');
        let digits = self.take(|byte| byte.is_ascii_digit());
        // A decimal, or a number of more than 15 digits (RFC 9651 section 3.3.1).
        if digits.is_empty() || digits.len() > 15 || self.rest.first() == Some(&b'.') {
            return None;
        }
        let number: i64 = digits.parse().ok()?;
        Some(Bare::Integer(if negative { number.checked_neg()? } else { number }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_in_its_one_form() {
        for (text, wish) in [
            ("sig=()", Some("()")),
            ("sig=( \"a\"   \"b\";x )", Some("(\"a\" \"b\";x)")),
            ("sig=(\"a\");  created=1;keyid=\"k\\\"\\\\\"", Some("(\"a\");created=1;keyid=\"k\\\"\\\\\"")),
            (
                "sig=(\"a\";sf;key=\"b\" t :AQID:);n=-5;b=?0;c=?1;z=:AA==:",
                Some("(\"a\";sf;key=\"b\" t :AQID:);n=-5;b=?0;c;z=:AA==:"),
            ),
            ("sig=(\"a\"\"b\")", None),
            ("sig=(\"a\"", None),
            ("sig=(\"a\");created=1.5", None),
            ("sig=(\"a\");created=1;created=2", None),
            ("sig=(\"a\\b\")", None),
            ("sig=(\"\u{e9}\")", None),
            ("sig=();n=1234567890123456", None),
            ("sig=(),", None),
            ("sig=(), sig=()", None),
            ("Sig=()", None),
            ("sig=() x", None),
            ("", None),
        ] {
            let read = dictionary(text.as_bytes());
            let written = read.as_ref().map(|read| match &read[..] {
                [(_, Member::List(items, params))] => {
                    let mut out = String::new();
                    write_list(items, params, &mut out);
                    out
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(written.as_deref(), wish, "{text}");
        }
    }

    #[test]
    fn bytes_have_one_text() {
        for (text, bytes) in
            [("", Some(&b""[..])), ("AQID", Some(b"\x01\x02\x03")), ("+/8=", Some(b"\xfb\xff"))]
        {
            assert_eq!(base64(text.as_bytes()).as_deref(), bytes, "{text}");
        }
        for wrong in ["A", "AQI", "AQ=", "AR==", "-_8=", "AQ==AQ==", "A QI", "===="] {
            assert_eq!(base64(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
