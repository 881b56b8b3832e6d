//! A text with places to be filled: `/users/{path.id}?by={consumer}`.
//!
//! Takes literal text, `{source}` for what is filled in, `{{` and `}}` for braces; gives the parts in order. Filling
//! them in needs an exchange and stands with the policies.

use super::braces::{self, Stretch};
use super::{Invalid, Source, text_value};
use std::{fmt, str::FromStr};

/// A text with places to be filled from the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Template {
    parts: Vec<Part>,
}

/// One stretch of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text as it is, never empty, braces already unescaped.
    Literal(String),
    /// A place to be filled.
    Source(Source),
}

impl Template {
    /// The parts in order; two literals never follow each other.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The whole text, if nothing has to be filled in.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// All the sources, in order.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.parts.iter().filter_map(|part| match part {
            Part::Source(source) => Some(source),
            Part::Literal(_) => None,
        })
    }
}

impl FromStr for Template {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = braces::stretches(text)?.into_iter().map(|stretch| match stretch {
            Stretch::Literal(text) => Ok(Part::Literal(text)),
            Stretch::Place(source) => source.parse().map(Part::Source),
        });
        Ok(Self { parts: parts.collect::<Result<_, Invalid>>()? })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(&braces::escaped(text))?,
                Part::Source(source) => write!(f, "{{{source}}}")?,
            }
        }
        Ok(())
    }
}

text_value!(Template, "Template", "a text with places such as {path.id}", {
    "type": "string",
    "description": "A text in which {consumer}, {subject}, {groups}, {scopes}, {roles}, {jwt.CLAIM}, {path.NAME}, {query.NAME}, {header.NAME}, {cookie.NAME}, \
                    {ip}, {method}, {host}, {path}, {scheme} and {request_id} are filled in; {{ and }} are braces."
});

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Part {
        Part::Literal(text.into())
    }

    #[test]
    fn parts() {
        for (text, parts) in [
            ("", vec![]),
            ("plain", vec![literal("plain")]),
            ("{ip}", vec![Part::Source(Source::Ip)]),
            (
                "/u/{path.id}?by={consumer}",
                vec![
                    literal("/u/"),
                    Part::Source(Source::PathParam("id".into())),
                    literal("?by="),
                    Part::Source(Source::Consumer),
                ],
            ),
            ("{{{ip}}}", vec![literal("{"), Part::Source(Source::Ip), literal("}")]),
            ("a}}b{{c", vec![literal("a}b{c")]),
        ] {
            let template: Template = text.parse().unwrap();
            assert_eq!(template.parts(), parts, "{text}");
            assert_eq!(template.to_string().parse::<Template>().unwrap(), template);
        }
    }

    #[test]
    fn faults() {
        for (text, message) in [
            ("a{ip", "`{` without its partner in `a{ip`: write `{{` for the character itself"),
            ("a}b", "`}` without its partner in `a}b`: write `}}` for the character itself"),
            ("{ipp}", "`ipp` is not a known source: did you mean `ip`?"),
        ] {
            assert_eq!(text.parse::<Template>().unwrap_err().to_string(), message);
        }
    }
}
