//! Formats of bodies as written, what comes in which, and what a client is given.

use std::sync::Arc;

use http1::{Fields, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use shape::Format;
use shape::format::Xml;

use super::is_nothing;
use crate::config::{Diagnostics, OneOrMany, Pairs, Spanned, codes};
use crate::http::list::elements;

/// Formats of a body: the one it becomes, or a map.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "BodyFormat", untagged)]
pub(in crate::policies) enum FormatSettings {
    /// What it becomes, as `to` of the long form.
    Text(Spanned<Word>),
    /// What is said of it.
    Map(Box<FormatMap>),
}

impl Serialize for FormatSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            FormatSettings::Text(word) => word.serialize(serializer),
            FormatSettings::Map(map) => map.serialize(serializer),
        }
    }
}

/// Formats of a body.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "BodyFormatMap")]
pub(in crate::policies) struct FormatMap {
    /// What it becomes. From a list of several, an answer becomes what the client's `Accept` likes best; the first where it
    /// likes none. Default: what it is.
    #[serde(skip_serializing_if = "is_nothing")]
    to: OneOrMany<Spanned<Word>>,
    /// What it may come in, as its `Content-Type` says. Default: all that are known here.
    #[serde(skip_serializing_if = "is_nothing")]
    from: OneOrMany<Spanned<Word>>,
    /// How documents of XML are written and read.
    #[serde(skip_serializing_if = "Option::is_none")]
    xml: Option<XmlSettings>,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BodyFormatWord")]
pub(in crate::policies) enum Word {
    /// RFC 8259.
    Json,
    /// XML 1.0.
    Xml,
    /// `application/x-www-form-urlencoded`
    Form,
    /// RFC 4180.
    Csv,
    /// MessagePack.
    Msgpack,
    /// RFC 8949.
    Cbor,
}

const ALL: [Word; 6] = [Word::Json, Word::Xml, Word::Form, Word::Csv, Word::Msgpack, Word::Cbor];

/// Rules for XML. An element of nothing but text is a text; any other is an object, whose attributes are members with an `@`
/// before their names, whose text beside elements is `#text`, and in which elements of one name are an array.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "BodyXml")]
struct XmlSettings {
    /// The outermost element. Where it is not said, the body is an object of one member, which gives its name.
    root: Spanned<String>,
    /// The elements of an array that has no name of its own. Default: item.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Spanned<String>>,
    /// Attributes of the outermost element, such as its namespaces: `xmlns: urn:example:orders`.
    attributes: Pairs<Spanned<String>, String>,
    /// Elements that are arrays also where there is one of them.
    arrays: OneOrMany<String>,
    /// Whether namespaces are left out when XML is read: prefixes, and what declares them. Default: false.
    strip_namespaces: bool,
}

/// What is said of formats, compiled.
pub(in crate::policies) struct Formats {
    from: Vec<Format>,
    /// Empty for what it is.
    to: Vec<Format>,
}

impl Formats {
    /// Those that know JSON alone, and leave it.
    pub(in crate::policies) fn json() -> Formats {
        Formats { from: vec![Format::Json, Format::Lines], to: Vec::new() }
    }

    pub(in crate::policies) fn new(
        settings: Option<&FormatSettings>,
        chooses: bool,
        faults: &mut Diagnostics,
    ) -> Option<Formats> {
        let map = match settings {
            None => return Some(Formats::json()),
            Some(FormatSettings::Text(word)) => {
                FormatMap { to: OneOrMany::from(vec![*word]), ..FormatMap::default() }
            }
            Some(FormatSettings::Map(map)) => (**map).clone(),
        };
        let before = faults.errors();
        if let (false, Some(second)) = (chooses, map.to.get(1)) {
            let what = "`to` of `request` is one format: it is the service that gets it";
            faults.error(codes::BAD_POLICY, second.span(), what).help("leave the others out");
        }
        let xml = Arc::new(map.xml.as_ref().map(|xml| xml.rules(faults)).unwrap_or_default());
        if faults.errors() > before {
            return None;
        }
        let format = |word: &Word| match word {
            Word::Json => Format::Json,
            Word::Xml => Format::Xml(xml.clone()),
            Word::Form => Format::Form,
            Word::Csv => Format::Csv,
            Word::Msgpack => Format::MsgPack,
            Word::Cbor => Format::Cbor,
        };
        let mut from: Vec<Format> = match map.from.is_empty() {
            true => ALL.iter().map(format).collect(),
            false => map.from.iter().map(|word| format(word)).collect(),
        };
        // Lines of JSON are JSON as long as nothing else is wanted.
        if map.to.is_empty() && from.contains(&Format::Json) {
            from.push(Format::Lines);
        }
        Some(Formats { from, to: map.to.iter().map(|word| format(word)).collect() })
    }

    /// The format of what comes with this `Content-Type`.
    pub(in crate::policies) fn of(&self, kind: &str) -> Option<&Format> {
        // Only where nothing else takes it: `application/atom+xml` is no JSON.
        self.from.iter().find(|format| format.takes(kind))
    }

    /// Whether bodies become another format.
    pub(in crate::policies) fn translate(&self) -> bool {
        !self.to.is_empty()
    }

    /// Whether the client has a say.
    pub(in crate::policies) fn choose(&self) -> bool {
        self.to.len() > 1
    }

    /// What a body becomes for a client that accepts this; none for what it is.
    pub(in crate::policies) fn target(&self, request: &Fields) -> Option<&Format> {
        let first = self.to.first()?;
        if !self.choose() {
            return Some(first);
        }
        let mut ranges: Vec<(String, f32)> = Vec::new();
        for element in request.get_all(names::ACCEPT).flat_map(elements) {
            let text = String::from_utf8_lossy(element).to_ascii_lowercase();
            let mut words = text.split(';').map(str::trim);
            let range = words.next().unwrap_or_default().to_owned();
            let weight = words.find_map(|word| word.strip_prefix("q="));
            ranges.push((range, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))));
        }
        let liked = |format: &Format| {
            // The narrowest range that takes it says how much (RFC 9110 section 12.5.1).
            let taken = ranges.iter().filter_map(|(range, weight)| {
                let own = format.media_type().split(';').next().unwrap_or_default();
                let width = match range.as_str() {
                    "*/*" => 2,
                    range if range.strip_suffix('*').is_some_and(|start| own.starts_with(start)) => 1,
                    range if format.takes(range) => 0,
                    _ => return None,
                };
                Some((width, *weight))
            });
            taken.min_by_key(|(width, _)| *width).map_or(0.0, |(_, weight)| weight)
        };
        let mut best = (0.0, first);
        for format in &self.to {
            let weight = liked(format);
            if weight > best.0 {
                best = (weight, format);
            }
        }
        Some(best.1)
    }
}

impl XmlSettings {
    fn rules(&self, faults: &mut Diagnostics) -> Xml {
        let own =
            [Some(&self.root).filter(|root| !root.is_empty()), self.item.as_ref()].into_iter().flatten();
        for name in own.chain(self.attributes.iter().map(|(name, _)| name)) {
            if !shape::format::is_xml_name(name) {
                let what = format!("`{}` is no name in XML", **name);
                faults
                    .error(codes::BAD_VALUE, name.span(), what)
                    .help("letters, digits, `-`, `_` and `.` only");
            }
        }
        Xml {
            root: (*self.root).clone(),
            item: self.item.as_ref().map_or_else(|| "item".to_owned(), |item| (**item).clone()),
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| ((**name).clone(), value.clone()))
                .collect(),
            arrays: self.arrays.iter().cloned().collect(),
            strip: self.strip_namespaces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::tests::asked;

    #[test]
    fn the_client_says_what_it_likes() {
        let to = vec![Format::Json, Format::Csv, Format::Cbor];
        let formats = Formats { from: vec![Format::Json], to };
        for (accept, chosen) in [
            (None, Format::Json),
            (Some("text/csv"), Format::Csv),
            (Some("text/csv;q=0.5, application/cbor"), Format::Cbor),
            (Some("*/*"), Format::Json),
            (Some("text/*, application/json;q=0.1"), Format::Csv),
            (Some("application/*;q=0.9, application/json;q=0.1"), Format::Cbor),
            (Some("image/png"), Format::Json),
            (Some("application/json;q=0, text/csv;q=0"), Format::Json),
        ] {
            let fields: Vec<(&str, &str)> = accept.map(|accept| ("Accept", accept)).into_iter().collect();
            let exchange = asked("GET", "/", &fields);
            assert_eq!(formats.target(&exchange.request.fields), Some(&chosen), "{accept:?}");
        }
    }
}
