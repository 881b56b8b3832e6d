//! XML 1.0 and JSON, by stated rules. No document type is read, so that no entity but the five of XML has a meaning.
//!
//! An element of nothing but text is a text. Any other is an object: attributes are members whose names begin with `@`,
//! elements members of their names, those that come again an array, text beside them `#text`. Back it goes the same way.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::text::said;
use crate::{Limits, Misfit, Value};

/// Attributes of one element.
const ATTRIBUTES: usize = 256;
/// What the name of an attribute begins with.
const MARK: char = '@';
/// The member that holds text beside elements or attributes.
const TEXT: &str = "#text";

/// The rules by which a document is translated.
#[derive(Clone, Debug, PartialEq)]
pub struct Xml {
    /// The name of the outermost element. An object of one member needs none where this is empty.
    pub root: String,
    /// The name of the elements of arrays that have none.
    pub item: String,
    /// Attributes that the outermost element gets: its namespaces.
    pub attributes: Vec<(String, String)>,
    /// Elements that are arrays also when there is one.
    pub arrays: Vec<String>,
    /// Whether prefixes, and what declares them, are left out when XML is read.
    pub strip: bool,
}

impl Default for Xml {
    fn default() -> Self {
        Xml {
            root: String::new(),
            item: "item".into(),
            attributes: Vec::new(),
            arrays: Vec::new(),
            strip: false,
        }
    }
}

/// An element that is being read.
struct Element {
    name: String,
    members: Vec<(String, Vec<Value>)>,
    /// Where each name stands among the members.
    places: std::collections::HashMap<String, usize>,
    text: String,
}

/// What reading has cost so far.
struct Reading<'x> {
    rules: &'x Xml,
    limits: Limits,
    weight: usize,
    at: u64,
}

const WRONG: &str = "the body is no well-formed XML";

pub(super) fn read(bytes: &[u8], rules: &Xml, limits: Limits) -> Result<Value, Misfit> {
    let text = std::str::from_utf8(bytes).map_err(|_| Misfit::Syntax("the body is not UTF-8", 0))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut reading = Reading { rules, limits, weight: 0, at: 0 };
    let mut open: Vec<Element> = Vec::new();
    let mut whole: Option<(String, Value)> = None;
    loop {
        let event = reader.read_event().map_err(|_| Misfit::Syntax(WRONG, reader.error_position()))?;
        reading.at = reader.buffer_position();
        if matches!(event, Event::Eof) {
            break;
        }
        let ended = reading.event(event, &mut open, whole.is_some())?;
        if let Some(element) = ended {
            let name = element.name.clone();
            let value = reading.value(element)?;
            match open.last_mut() {
                Some(parent) => reading.put(parent, name, value)?,
                None => whole = Some((name, value)),
            }
        }
    }
    if !open.is_empty() {
        return Err(Misfit::Cut);
    }
    let (name, value) = whole.ok_or(Misfit::Cut)?;
    Ok(match rules.root.is_empty() {
        true => Value::Object(vec![(Value::name(&name), value)]),
        false => value,
    })
}

impl Reading<'_> {
    fn wrong(&self, what: &'static str) -> Misfit {
        Misfit::Syntax(what, self.at)
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), Misfit> {
        self.weight = self.weight.saturating_add(bytes);
        if self.weight > self.limits.size { Err(Misfit::Large(self.limits.size as u64)) } else { Ok(()) }
    }

    /// Takes the next part of the document; gives the element that has ended with it.
    fn event(
        &mut self,
        event: Event<'_>,
        open: &mut Vec<Element>,
        is_whole: bool,
    ) -> Result<Option<Element>, Misfit> {
        Ok(match event {
            Event::Start(start) => {
                if open.is_empty() && is_whole {
                    return Err(self.wrong("there is more than one outermost element"));
                }
                if open.len() >= self.limits.depth {
                    return Err(Misfit::Deep(self.limits.depth));
                }
                open.push(self.element(&start)?);
                None
            }
            Event::Empty(start) => {
                if open.is_empty() && is_whole {
                    return Err(self.wrong("there is more than one outermost element"));
                }
                Some(self.element(&start)?)
            }
            Event::End(_) => open.pop(),
            Event::Text(text) => {
                self.text(open, &text.xml10_content())?;
                None
            }
            Event::CData(text) => {
                self.text(open, &text.xml10_content())?;
                None
            }
            Event::GeneralRef(reference) => {
                let named = quick_xml::escape::unescape(&format!("&{};", reference.into_inner()))
                    .map(std::borrow::Cow::into_owned)
                    .map_err(|_| self.wrong("an entity is not one of XML itself"))?;
                self.text(open, &named)?;
                None
            }
            Event::Decl(declared) => {
                let encoding = declared.encoding().and_then(Result::ok);
                if encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
                    return Err(self.wrong("the body is not UTF-8"));
                }
                None
            }
            Event::DocType(_) => return Err(self.wrong("a document type is not read")),
            Event::Comment(_) | Event::PI(_) | Event::Eof => None,
        })
    }

    fn named(&self, name: &str) -> Result<String, Misfit> {
        if name.len() > self.limits.name {
            return Err(Misfit::Long("a name", self.limits.name));
        }
        let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
        Ok(if self.rules.strip { local } else { name }.to_owned())
    }

    fn element(&mut self, start: &BytesStart<'_>) -> Result<Element, Misfit> {
        let name = self.named(start.name().as_ref())?;
        if !is_name(&name) {
            return Err(self.wrong(WRONG));
        }
        self.weigh(name.len().saturating_add(16))?;
        let mut element =
            Element { name, members: Vec::new(), places: Default::default(), text: String::new() };
        for (count, attribute) in start.attributes().with_checks(false).enumerate() {
            let attribute = attribute.map_err(|_| self.wrong(WRONG))?;
            if count >= ATTRIBUTES {
                return Err(Misfit::Wide(ATTRIBUTES));
            }
            let name = attribute.key.as_ref();
            if self.rules.strip && (name == "xmlns" || name.starts_with("xmlns:")) {
                continue;
            }
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| self.wrong(WRONG))?;
            self.weigh(name.len().saturating_add(value.len()).saturating_add(16))?;
            let name = format!("{MARK}{}", self.named(name)?);
            if element.places.contains_key(&name) {
                return Err(Misfit::Duplicate);
            }
            self.put(&mut element, name, Value::text(&value))?;
        }
        Ok(element)
    }

    fn text(&mut self, open: &mut [Element], text: &str) -> Result<(), Misfit> {
        self.weigh(text.len())?;
        match open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_ascii().is_empty() => {}
            None => return Err(self.wrong("text stands outside of the outermost element")),
        }
        Ok(())
    }

    fn put(&self, element: &mut Element, name: String, value: Value) -> Result<(), Misfit> {
        match element.places.get(&name).and_then(|place| element.members.get_mut(*place)) {
            Some((_, values)) => values.push(value),
            None => {
                if element.members.len() >= self.limits.members {
                    return Err(Misfit::Wide(self.limits.members));
                }
                element.places.insert(name.clone(), element.members.len());
                element.members.push((name, vec![value]));
            }
        }
        Ok(())
    }

    fn value(&self, element: Element) -> Result<Value, Misfit> {
        if element.members.is_empty() {
            return Ok(Value::text(&element.text));
        }
        let mut members: Vec<(Box<[u8]>, Value)> = Vec::with_capacity(element.members.len());
        for (name, mut values) in element.members {
            let single = values.len() == 1 && !self.rules.arrays.contains(&name);
            let value = match values.pop() {
                Some(value) if single => value,
                Some(last) => {
                    values.push(last);
                    Value::Array(values)
                }
                None => continue,
            };
            members.push((Value::name(&name), value));
        }
        if !element.text.trim_ascii().is_empty() {
            members.push((Value::name(TEXT), Value::text(element.text.trim_ascii())));
        }
        Ok(Value::Object(members))
    }
}

pub(super) fn write(value: &Value, rules: &Xml) -> Result<Vec<u8>, Misfit> {
    let mut out = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec();
    let attributes = &rules.attributes;
    match value {
        Value::Object(members) if rules.root.is_empty() => match members.as_slice() {
            [(name, value)] if !matches!(value, Value::Array(_)) => {
                put(&said(name), value, attributes, rules, &mut out)?;
            }
            _ => return Err(ROOTLESS),
        },
        _ if rules.root.is_empty() => return Err(ROOTLESS),
        value => put(&rules.root, value, attributes, rules, &mut out)?,
    }
    Ok(out)
}

const ROOTLESS: Misfit = Misfit::Unsayable("the document has not the one outermost element that XML needs");

fn put(
    name: &str,
    value: &Value,
    attributes: &[(String, String)],
    rules: &Xml,
    out: &mut Vec<u8>,
) -> Result<(), Misfit> {
    if !is_name(name) {
        return Err(Misfit::Unsayable("a name of the body is none for an element of XML"));
    }
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    for (name, value) in attributes {
        put_attribute(name, value, out)?;
    }
    let members = match value {
        Value::Object(members) => members.as_slice(),
        _ => &[],
    };
    for (own, value) in members {
        let own = said(own);
        let Some(attribute) = own.strip_prefix(MARK) else { continue };
        let flat = Misfit::Unsayable("an attribute of XML holds a text or a number, nothing else");
        if attributes.iter().any(|(name, _)| name == attribute) {
            continue;
        }
        put_attribute(attribute, &value.said().ok_or(flat)?, out)?;
    }
    let start = out.len();
    out.push(b'>');
    put_inner(value, rules, out)?;
    if out.len() == start.saturating_add(1) {
        out.pop();
        out.extend_from_slice(b"/>");
        return Ok(());
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    Ok(())
}

fn put_inner(value: &Value, rules: &Xml, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match value {
        Value::Scalar(word) if **word == *b"null" => Ok(()),
        Value::Scalar(_) | Value::Text(_) => escape(&value.said().unwrap_or_default(), false, out),
        Value::Array(elements) => {
            elements.iter().try_for_each(|element| put(&rules.item, element, &[], rules, out))
        }
        Value::Object(members) => {
            for (name, value) in members {
                let name = said(name);
                match value {
                    _ if name.starts_with(MARK) => {}
                    Value::Scalar(_) | Value::Text(_) if name == TEXT => put_inner(value, rules, out)?,
                    Value::Array(elements) => {
                        elements.iter().try_for_each(|element| put(&name, element, &[], rules, out))?;
                    }
                    value => put(&name, value, &[], rules, out)?,
                }
            }
            Ok(())
        }
    }
}

fn put_attribute(name: &str, value: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if !is_name(name) {
        return Err(Misfit::Unsayable("a name of the body is none for an attribute of XML"));
    }
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(value, true, out)?;
    out.push(b'"');
    Ok(())
}

/// Writes text. White space that a reader would fold is written so that it stays.
fn escape(text: &str, attribute: bool, out: &mut Vec<u8>) -> Result<(), Misfit> {
    for c in text.chars() {
        match c {
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '&' => out.extend_from_slice(b"&amp;"),
            '"' if attribute => out.extend_from_slice(b"&quot;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            '\n' | '\t' if attribute => out.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes()),
            '\n' | '\t' => out.push(u8::try_from(u32::from(c)).unwrap_or(b' ')),
            '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => {
                return Err(Misfit::Unsayable("a text holds a character that XML cannot say"));
            }
            c => {
                let mut buffer = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    Ok(())
}

/// Whether this may name an element, with a prefix or without (XML 1.0 section 2.3, Namespaces section 4).
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let first = part.chars().next().is_some_and(|c| c == '_' || c.is_alphabetic());
        first && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    match name.split_once(':') {
        Some((prefix, local)) => part(prefix) && part(local),
        None => part(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(xml: &str, rules: &Xml) -> Result<String, Misfit> {
        let value = read(xml.as_bytes(), rules, Limits { depth: 8, ..Limits::default() })?;
        Ok(String::from_utf8(value.write(&Limits::default())?).unwrap())
    }

    fn xml(json: &str, rules: &Xml) -> Result<String, Misfit> {
        let value = crate::parse(json.as_bytes(), Limits::default())?;
        let text = String::from_utf8(write(&value, rules)?).unwrap();
        Ok(text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap().to_owned())
    }

    #[test]
    fn documents_go_both_ways() {
        for (text, element) in [
            (r#"{"a":"x"}"#, "<a>x</a>"),
            (r#"{"a":""}"#, "<a/>"),
            (r#"{"a":{"b":["1","2"],"c":"é<&>"}}"#, "<a><b>1</b><b>2</b><c>é&lt;&amp;&gt;</c></a>"),
            (r#"{"a":{"@id":"7\n\"","b":"x"}}"#, "<a id=\"7&#10;&quot;\"><b>x</b></a>"),
            (r##"{"a":{"@id":"7","#text":"x"}}"##, "<a id=\"7\">x</a>"),
            (r#"{"s:E":{"@xmlns:s":"urn:x","s:B":"\r"}}"#, "<s:E xmlns:s=\"urn:x\"><s:B>&#13;</s:B></s:E>"),
        ] {
            assert_eq!(xml(text, &Xml::default()).as_deref(), Ok(element));
            assert_eq!(json(element, &Xml::default()).as_deref(), Ok(text), "{element}");
        }
    }

    #[test]
    fn rules_say_what_xml_does_not() {
        let rules = Xml {
            root: "orders".into(),
            item: "order".into(),
            attributes: vec![("xmlns".into(), "urn:shop".into())],
            arrays: vec!["order".into()],
            strip: true,
        };
        let text = "<orders xmlns=\"urn:shop\"><order><id>1</id></order></orders>";
        assert_eq!(xml(r#"[{"id":1}]"#, &rules).as_deref(), Ok(text));
        assert_eq!(json(text, &rules).as_deref(), Ok(r#"{"order":[{"id":"1"}]}"#));
        assert_eq!(json("<p:a xmlns:p='urn:x' p:id='1'/>", &rules).as_deref(), Ok(r#"{"@id":"1"}"#));
        assert_eq!(
            xml(r#"{"a":null,"b":true}"#, &rules).unwrap(),
            "<orders xmlns=\"urn:shop\"><a/><b>true</b></orders>"
        );
        assert_eq!(
            json("<a> <![CDATA[ <x> ]]>&#65;&lt;<!-- --></a>", &Xml::default()).as_deref(),
            Ok(r#"{"a":"  <x> A<"}"#)
        );
    }

    #[test]
    fn what_is_wrong_or_dangerous_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"ha\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        let outside = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
        for text in [
            bomb,
            outside,
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "x<a/>",
            "<a/>x",
            "<a>&x;</a>",
            "<a b='1' b='2'/>",
            "<a b='&x;'/>",
            "<?xml version='1.0' encoding='latin1'?><a/>",
            "<a b/>",
            "<1/>",
            "<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a></a>",
        ] {
            assert!(json(text, &Xml::default()).is_err(), "{text}");
        }
        let many: String = (0..300).map(|nth| format!(" xmlns:n{nth}='u'")).collect();
        assert_eq!(json(&format!("<a{many}/>"), &Xml::default()), Err(Misfit::Wide(256)));
        for text in ["{}", "[]", r#"{"a":[]}"#, r#"{"a b":1}"#, r#"{"a":{"@b":[]}}"#, r#"{"a":"\u0001"}"#] {
            assert!(xml(text, &Xml::default()).is_err(), "{text}");
        }
    }
}
