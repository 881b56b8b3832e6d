//! Parameters of an operation: where they stand, how they are written, what they must be.

use serde_json::Value;

use crate::Flaw;
use crate::document::Document;
use crate::media::{MediaKind, essence, kind};
use crate::schema::{Registered, Schema, Schemas, View};
use crate::shape::Shape;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
}

impl Place {
    /// As OpenAPI names it.
    pub fn word(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
        }
    }
}

/// How a list or an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// With commas, or by repeating the name.
    Plain,
    /// With blanks.
    Spaces,
    /// With bars.
    Bars,
    /// As `name[key]=value`.
    Deep,
    /// In another way: its text is not looked at.
    Other,
}

/// A parameter.
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it must be there.
    pub required: bool,
    pub(crate) style: Style,
    pub(crate) explode: bool,
    /// Whether its text is JSON.
    pub(crate) is_json: bool,
    pub(crate) shape: Shape,
    pub(crate) schema: Option<Schema>,
}

impl Parameter {
    /// Reads the parameter at a pointer; none for one that the document itself says does not count.
    pub(crate) fn read(
        document: &Document,
        (schemas, registered): (&mut Schemas, &Registered<'_>),
        pointer: &str,
    ) -> Result<Option<Parameter>, Flaw> {
        let flaw = |what: &str| Err(Flaw::new(pointer, what));
        let Some((at, written)) = document.follow(pointer) else { return flaw("the parameter is not there") };
        let text = |key: &str| written.get(key).and_then(Value::as_str);
        let Some(name) = text("name") else { return flaw("a parameter without a name") };
        let place = match text("in") {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            _ => return flaw("`in` of a parameter is one of `path`, `query`, `header`, `cookie`"),
        };
        let ignored = ["accept", "content-type", "authorization"];
        if place == Place::Header && ignored.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Ok(None);
        }
        let style = match (text("style"), place) {
            (None | Some("simple"), Place::Path | Place::Header) => Style::Plain,
            (None | Some("form"), Place::Query | Place::Cookie) => Style::Plain,
            (Some("spaceDelimited"), Place::Query) => Style::Spaces,
            (Some("pipeDelimited"), Place::Query) => Style::Bars,
            (Some("deepObject"), Place::Query) => Style::Deep,
            _ => Style::Other,
        };
        let is_form = style == Style::Plain && matches!(place, Place::Query | Place::Cookie);
        let explode = written.get("explode").and_then(Value::as_bool).unwrap_or(is_form);
        let media =
            written.get("content").and_then(Value::as_object).and_then(|content| content.iter().next());
        let own = match media {
            Some((media, _)) => format!("{at}/content/{}/schema", crate::escaped(media)),
            None => format!("{at}/schema"),
        };
        let is_json = media.is_some_and(|(media, _)| kind(&essence(media.as_bytes())) == MediaKind::Json);
        let style = if media.is_some() && !is_json { Style::Other } else { style };
        let schema = document.root.pointer(&own);
        Ok(Some(Parameter {
            name: name.to_owned(),
            place,
            required: place == Place::Path || written.get("required").and_then(Value::as_bool) == Some(true),
            style,
            explode,
            is_json,
            shape: schema.map(|schema| Shape::of(document, schema)).unwrap_or_default(),
            schema: schema.and_then(|_| schemas.compile(registered, document, &own, View::Request)),
        }))
    }

    /// The value that these texts of its name mean; `all` are all names and texts of the query.
    pub(crate) fn value(&self, texts: &[&str], all: &[(String, String)]) -> Option<Value> {
        let shape = &self.shape;
        let separator = match self.style {
            Style::Plain => ',',
            Style::Spaces => ' ',
            Style::Bars => '|',
            Style::Deep => return self.deep(all),
            Style::Other => return None,
        };
        if shape.object && !self.is_json && self.explode && matches!(self.place, Place::Query) {
            // Its properties stand in the query by their own names.
            let own = |name: &String| shape.properties.iter().any(|(known, _)| known == name);
            let pairs: Vec<_> = all.iter().filter(|(name, _)| own(name)).cloned().collect();
            return (!pairs.is_empty()).then(|| shape.object(pairs.into_iter()));
        }
        let first = texts.first()?;
        if self.is_json {
            // What is not JSON is a text, which the schema then judges.
            return Some(crate::read_json(first.as_bytes(), 32).unwrap_or_else(|_| Value::from(*first)));
        }
        if shape.array {
            if self.explode && matches!(self.place, Place::Query | Place::Cookie) {
                return Some(shape.list(texts.iter().copied()));
            }
            let pieces = if first.is_empty() { None } else { Some(first.split(separator).map(str::trim)) };
            return Some(shape.list(pieces.into_iter().flatten()));
        }
        if shape.object {
            let pieces: Vec<&str> = first.split(separator).collect();
            let pairs = pieces.chunks(if self.explode { 1 } else { 2 }).filter_map(|chunk| match chunk {
                [pair] => pair.split_once('=').map(|(name, text)| (name.to_owned(), text.to_owned())),
                [name, text] => Some(((*name).to_owned(), (*text).to_owned())),
                _ => None,
            });
            return Some(shape.object(pairs));
        }
        Some(shape.scalar(first))
    }

    fn deep(&self, all: &[(String, String)]) -> Option<Value> {
        let pairs: Vec<(String, String)> = all
            .iter()
            .filter_map(|(name, text)| {
                let key = name.strip_prefix(self.name.as_str())?.strip_prefix('[')?.strip_suffix(']')?;
                Some((key.to_owned(), text.clone()))
            })
            .collect();
        (!pairs.is_empty()).then(|| self.shape.object(pairs.into_iter()))
    }
}
