//! The step that answers with what is written in the configuration.

use std::io::Write;

use bytes::Bytes;
use http1::{Framing, NameBuf, names};

use super::settings::{Content, Written};
use crate::exchange::Exchange;
use crate::upstream::ladder::StandIn;
use crate::values::{Part, Syntax, Template};

/// The answer, ready to be given.
pub(super) struct Answering {
    status: u16,
    content_type: String,
    body: Body,
    headers: Vec<(NameBuf, Vec<u8>)>,
}

enum Body {
    Text(Bytes),
    Template(Template, Syntax),
}

/// Puts foreign text into a body.
fn put(syntax: Syntax, text: &[u8], out: &mut Vec<u8>) {
    for part in text.utf8_chunks() {
        part.valid().chars().for_each(|character| put_char(syntax, character, out));
        if !part.invalid().is_empty() {
            put_char(syntax, char::REPLACEMENT_CHARACTER, out);
        }
    }
}

fn put_char(syntax: Syntax, character: char, out: &mut Vec<u8>) {
    let mut place = [0; 4];
    let escaped: &str = match (syntax, character) {
        (Syntax::Markup, '&') => "&amp;",
        (Syntax::Markup, '<') => "&lt;",
        (Syntax::Markup, '>') => "&gt;",
        (Syntax::Markup, '"') => "&quot;",
        (Syntax::Markup, '\'') => "&#39;",
        // The inside of a string; a script may stand around it.
        (Syntax::Json, '"' | '\\' | '<' | '\u{2028}' | '\u{2029}') => {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
            return;
        }
        (Syntax::Json, control) if control.is_control() => {
            let _ = write!(out, "\\u{:04x}", u32::from(control));
            return;
        }
        (Syntax::Markup | Syntax::Plain, control) if control.is_control() => "\u{fffd}",
        _ => character.encode_utf8(&mut place),
    };
    out.extend_from_slice(escaped.as_bytes());
}

impl Answering {
    pub(super) fn new(written: Written) -> Answering {
        let syntax = Syntax::of(&written.content_type);
        let headers = written.headers.into_iter();
        Answering {
            status: written.status,
            content_type: written.content_type,
            body: match written.body {
                Content::Text(text) => Body::Text(Bytes::from(text.into_bytes())),
                Content::Template(template) => Body::Template(template, syntax),
            },
            headers: headers.filter_map(|(name, value)| Some((NameBuf::new(&name).ok()?, value))).collect(),
        }
    }

    fn body(&self, exchange: &Exchange) -> Bytes {
        match &self.body {
            Body::Text(text) => text.clone(),
            Body::Template(template, syntax) => {
                let mut out = Vec::new();
                for part in template.parts() {
                    match part {
                        Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                        Part::Source(source) => {
                            put(*syntax, &exchange.source(source).unwrap_or_default(), &mut out);
                        }
                    }
                }
                Bytes::from(out)
            }
        }
    }
}

impl StandIn for Answering {
    fn has(&self, _: &Exchange) -> bool {
        true
    }

    fn stand_in(&self, exchange: &mut Exchange) -> bool {
        let body = self.body(exchange);
        let response = &mut exchange.response;
        response.clear();
        response.set_status(self.status);
        if !body.is_empty() {
            response.fields.push(names::CONTENT_TYPE, self.content_type.as_bytes());
        }
        response.fields.push(names::CACHE_CONTROL, b"no-store");
        for (name, value) in &self.headers {
            response.fields.set(name.as_name(), value);
        }
        response.fields.push(names::X_REQUEST_ID, exchange.id.as_bytes());
        response.framing = match self.status {
            204 | 304 => Framing::None,
            _ => Framing::Length(body.len() as u64),
        };
        exchange.instead = Some(body);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        for (kind, wanted) in [
            ("text/html; charset=utf-8", "a&quot;&lt;b&gt;&amp;&#39;\u{fffd}\\"),
            ("application/problem+json", "a\\u0022\\u003cb>&'\\u000a\\u005c"),
            ("text/plain", "a\"<b>&'\u{fffd}\\"),
        ] {
            let mut out = Vec::new();
            put(Syntax::of(kind), b"a\"<b>&'\n\\", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "{kind}");
        }
        let mut out = Vec::new();
        put(Syntax::Json, b"\xff", &mut out);
        assert_eq!(out, "\u{fffd}".as_bytes());
    }
}
