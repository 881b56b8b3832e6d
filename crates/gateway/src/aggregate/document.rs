//! JSON as it came from a service: checked byte by byte, looked into without building values.
//!
//! Takes bytes and bounds; gives the places of values in them, so that what is passed on is the service's own text: no
//! number loses a digit. Refuses what is no JSON, too deep, too wide, or ambiguous. Must never recurse deeper than its bound.

use bytes::Bytes;

/// How much a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Objects and lists inside each other.
    pub depth: usize,
    /// Values of all kinds.
    pub values: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { depth: 64, values: 100_000 }
    }
}

/// Bytes of a number.
const LONGEST_NUMBER: usize = 256;
/// Digits of an exponent: more say a number that no machine has, and costs some of them minutes.
const LONGEST_EXPONENT: usize = 4;

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no UTF-8, or no JSON.
    Malformed,
    /// Objects and lists stand too deep in each other.
    TooDeep,
    /// It has too many values.
    TooWide,
    /// A number of it is too long.
    Number,
    /// A key that is asked for stands twice in one object.
    Ambiguous,
}

impl Refused {
    /// The stable word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Refused::Malformed => "not_json",
            Refused::TooDeep => "too_deep",
            Refused::TooWide => "too_wide",
            Refused::Number => "number_too_long",
            Refused::Ambiguous => "ambiguous_key",
        }
    }
}

/// A checked document with the places of its values.
#[derive(Debug)]
pub struct Document {
    text: Bytes,
    values: Vec<Value>,
}

/// One value.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// Its text.
    start: u32,
    end: u32,
    /// The text of its key between the quotes; empty in a list.
    key: (u32, u32),
    kind: Kind,
    /// The first value that is not in it.
    next: u32,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An object.
    Object,
    /// A list.
    List,
    /// A single value.
    Other,
}

/// Checks a text, and nothing more.
///
/// # Errors
/// The first rule it breaks.
pub fn check(text: &[u8], bounds: Bounds) -> Result<(), Refused> {
    scan(text, bounds, None).map(drop)
}

impl Document {
    /// Checks a text and writes down where its values stand.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn new(text: Bytes, bounds: Bounds) -> Result<Document, Refused> {
        let values = scan(&text, bounds, Some(Vec::new()))?;
        Ok(Document { text, values })
    }

    /// The text of the value that keys lead to; `None` when there is none.
    ///
    /// # Errors
    /// One of the keys stands twice.
    pub fn find<K: AsRef<str>>(&self, keys: &[K]) -> Result<Option<&[u8]>, Refused> {
        Ok(self.seek(0, keys)?.and_then(|place| self.raw(place)))
    }

    /// The same from an element of [`Document::items`] on.
    ///
    /// # Errors
    /// One of the keys stands twice.
    pub fn find_in<K: AsRef<str>>(&self, item: Item, keys: &[K]) -> Result<Option<&[u8]>, Refused> {
        Ok(self.seek(item.0, keys)?.and_then(|place| self.raw(place)))
    }

    /// The elements of the list that keys lead to; `None` when there is none, or no list.
    ///
    /// # Errors
    /// One of the keys stands twice.
    pub fn items<K: AsRef<str>>(&self, keys: &[K]) -> Result<Option<Vec<Item>>, Refused> {
        let Some(list) = self.seek(0, keys)? else { return Ok(None) };
        let is_list = self.values.get(list).is_some_and(|value| value.kind == Kind::List);
        Ok(is_list.then(|| self.children(list).map(Item).collect()))
    }

    /// The members of the whole as text, keys with their quotes; `None` when it is no object.
    pub fn members(&self) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
        let root = self.values.first().filter(|value| value.kind == Kind::Object);
        root?;
        Some(self.children(0).filter_map(|place| {
            let value = self.values.get(place)?;
            let (start, end) = value.key;
            let quoted = (start as usize).checked_sub(1)?..(end as usize).checked_add(1)?;
            Some((self.text.get(quoted)?, self.raw(place)?))
        }))
    }

    /// What stands there.
    pub fn kind(&self, item: Item) -> Kind {
        self.values.get(item.0).map_or(Kind::Other, |value| value.kind)
    }

    /// Its own text.
    pub fn text(&self, item: Item) -> &[u8] {
        self.raw(item.0).unwrap_or_default()
    }

    /// What a key leads to from there; `None` when there is nothing.
    ///
    /// # Errors
    /// The key stands twice.
    pub fn step(&self, item: Item, key: &str) -> Result<Option<Item>, Refused> {
        Ok(self.seek(item.0, &[key])?.map(Item))
    }

    /// What stands in it: of an object each value with its key as it is written, without quotes.
    pub fn inside(&self, item: Item) -> impl Iterator<Item = (&[u8], Item)> {
        let single = self.kind(item) == Kind::Other;
        self.children(item.0).filter(move |_| !single).map(|place| {
            let (start, end) = self.values.get(place).map_or((0, 0), |value| value.key);
            (self.text.get(start as usize..end as usize).unwrap_or_default(), Item(place))
        })
    }

    fn raw(&self, place: usize) -> Option<&[u8]> {
        let value = self.values.get(place)?;
        self.text.get(value.start as usize..value.end as usize)
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.values.get(parent).map_or(0, |value| value.next as usize);
        let mut next = parent.saturating_add(1);
        std::iter::from_fn(move || {
            let place = next;
            let value = self.values.get(place).filter(|_| place < end)?;
            next = value.next as usize;
            Some(place)
        })
    }

    fn seek<K: AsRef<str>>(&self, from: usize, keys: &[K]) -> Result<Option<usize>, Refused> {
        let mut at = from;
        for key in keys {
            let key = key.as_ref();
            let Some(value) = self.values.get(at) else { return Ok(None) };
            let found = match value.kind {
                Kind::Object => {
                    let mut named = self.children(at).filter(|place| self.is_key(*place, key));
                    let found = named.next();
                    if named.next().is_some() {
                        return Err(Refused::Ambiguous);
                    }
                    found
                }
                Kind::List => key.parse().ok().and_then(|nth| self.children(at).nth(nth)),
                Kind::Other => None,
            };
            let Some(found) = found else { return Ok(None) };
            at = found;
        }
        Ok((at < self.values.len()).then_some(at))
    }

    /// Whether a value stands under this key, however its letters are written.
    fn is_key(&self, place: usize, key: &str) -> bool {
        let Some(value) = self.values.get(place) else { return false };
        let (start, end) = (value.key.0 as usize, value.key.1 as usize);
        let Some(written) = self.text.get(start..end) else { return false };
        if memchr::memchr(b'\\', written).is_none() {
            return written == key.as_bytes();
        }
        let quoted = start.checked_sub(1).and_then(|start| self.text.get(start..end.saturating_add(1)));
        quoted
            .and_then(|quoted| serde_json::from_slice::<String>(quoted).ok())
            .is_some_and(|text| text == key)
    }
}

/// An element of a list.
#[derive(Clone, Copy, Debug)]
pub struct Item(usize);

impl Item {
    /// All of a document.
    pub const WHOLE: Item = Item(0);
}

/// The plain text of a value: of a string what it says, of a number or truth value how it is written. `None` for nothing, and
/// for what is no single value.
pub fn plain(raw: &[u8]) -> Option<Vec<u8>> {
    match raw.first()? {
        b'"' => match raw.get(1..raw.len().saturating_sub(1)) {
            Some(text) if memchr::memchr(b'\\', text).is_none() => Some(text.to_vec()),
            // Half a surrogate pair is a string that says nothing.
            _ => serde_json::from_slice::<String>(raw).ok().map(String::into_bytes),
        },
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_vec()),
    }
}

fn scan(text: &[u8], bounds: Bounds, values: Option<Vec<Value>>) -> Result<Vec<Value>, Refused> {
    if std::str::from_utf8(text).is_err() || u32::try_from(text.len()).is_err() {
        return Err(Refused::Malformed);
    }
    let keeps = values.is_some();
    let mut scan = Scan { text, at: 0, bounds, seen: 0, keeps, values: values.unwrap_or_default() };
    scan.space();
    scan.value((0, 0), 0)?;
    scan.space();
    if scan.at == text.len() { Ok(scan.values) } else { Err(Refused::Malformed) }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    bounds: Bounds,
    seen: usize,
    keeps: bool,
    values: Vec<Value>,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.step();
        }
    }

    /// Takes this byte, with space around it.
    fn mark(&mut self, byte: u8) -> bool {
        self.space();
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.step();
            self.space();
        }
        is_there
    }

    fn here(&self) -> u32 {
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    /// One value at the cursor, at this depth.
    fn value(&mut self, key: (u32, u32), depth: usize) -> Result<(), Refused> {
        self.seen = self.seen.saturating_add(1);
        if self.seen > self.bounds.values {
            return Err(Refused::TooWide);
        }
        let (place, start) = (self.values.len(), self.here());
        let kind = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            _ => Kind::Other,
        };
        if self.keeps {
            self.values.push(Value { start, end: start, key, kind, next: 0 });
        }
        match kind {
            Kind::Object => self.members(depth.saturating_add(1))?,
            Kind::List => self.elements(depth.saturating_add(1))?,
            Kind::Other => self.single()?,
        }
        let (end, next) = (self.here(), u32::try_from(self.values.len()).unwrap_or(u32::MAX));
        if let Some(value) = self.values.get_mut(place) {
            (value.end, value.next) = (end, next);
        }
        Ok(())
    }

    fn members(&mut self, depth: usize) -> Result<(), Refused> {
        if depth > self.bounds.depth {
            return Err(Refused::TooDeep);
        }
        self.step();
        self.space();
        if self.peek() == Some(b'}') {
            self.step();
            return Ok(());
        }
        loop {
            let start = self.here().saturating_add(1);
            self.string()?;
            let key = (start, self.here().saturating_sub(1));
            if !self.mark(b':') {
                return Err(Refused::Malformed);
            }
            self.value(key, depth)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Result<(), Refused> {
        if depth > self.bounds.depth {
            return Err(Refused::TooDeep);
        }
        self.step();
        self.space();
        if self.peek() == Some(b']') {
            self.step();
            return Ok(());
        }
        loop {
            self.value((0, 0), depth)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// Behind a member or element: whether another one follows.
    fn goes_on(&mut self, end: u8) -> Result<bool, Refused> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.step();
                self.space();
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.step();
                Ok(false)
            }
            _ => Err(Refused::Malformed),
        }
    }

    fn single(&mut self) -> Result<(), Refused> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(Refused::Malformed),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Refused> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Refused::Malformed);
        }
        self.at = self.at.saturating_add(word.len());
        Ok(())
    }

    /// A string with its quotes (RFC 8259 section 7).
    fn string(&mut self) -> Result<(), Refused> {
        if self.peek() != Some(b'"') {
            return Err(Refused::Malformed);
        }
        self.step();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(());
                }
                Some(b'\\') => {
                    self.step();
                    let escape = self.peek();
                    self.step();
                    match escape {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                        Some(b'u') => {
                            let digits = self.text.get(self.at..self.at.saturating_add(4));
                            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                                return Err(Refused::Malformed);
                            }
                            self.at = self.at.saturating_add(4);
                        }
                        _ => return Err(Refused::Malformed),
                    }
                }
                Some(0x20..) => self.step(),
                Some(_) | None => return Err(Refused::Malformed),
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        self.at.saturating_sub(start)
    }

    /// A number (RFC 8259 section 6).
    fn number(&mut self) -> Result<(), Refused> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.step();
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(Refused::Malformed);
        }
        if self.peek() == Some(b'.') {
            self.step();
            if self.digits() == 0 {
                return Err(Refused::Malformed);
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            match self.digits() {
                0 => return Err(Refused::Malformed),
                digits if digits > LONGEST_EXPONENT => return Err(Refused::Number),
                _ => {}
            }
        }
        if self.at.saturating_sub(start) > LONGEST_NUMBER { Err(Refused::Number) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
