//! A text with places to be filled from the request and from what parts of an aggregate answered:
//! `/orders?user={user.body.id}`.
//!
//! Takes literal text, `{source}` as in [`super::Template`], `{part.body.field}`, `{part.status}` and `{item.field}`; gives
//! the stretches in order. Filling them in needs answers and stands with the aggregate.

use super::{Invalid, Source, braces, text_value};
use std::{fmt, str::FromStr};

/// The word for the element that a part of a fan-out is about.
pub const ITEM: &str = "item";

/// A text with places to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Composed {
    stretches: Vec<Stretch>,
}

/// One stretch of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stretch {
    /// Text as it is, never empty, braces already unescaped.
    Literal(String),
    /// A place to be filled from the request.
    Source(Source),
    /// A place to be filled from an answer.
    Field(Field),
}

/// Something of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The part that gave the answer, or [`ITEM`].
    pub part: String,
    /// What of it.
    pub of: Of,
}

/// What of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// Its status.
    Status,
    /// The value of its body that these keys lead to; numbers count in lists, from 0. Empty for all of it.
    Body(Vec<String>),
}

impl Composed {
    /// The stretches in order; two literals never follow each other.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// All the places of answers.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.stretches.iter().filter_map(|stretch| match stretch {
            Stretch::Field(field) => Some(field),
            Stretch::Literal(_) | Stretch::Source(_) => None,
        })
    }

    /// All the sources.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.stretches.iter().filter_map(|stretch| match stretch {
            Stretch::Source(source) => Some(source),
            Stretch::Literal(_) | Stretch::Field(_) => None,
        })
    }

    /// Both texts, one behind the other, cut at the first `mark` of the literal text; the mark is gone.
    pub fn split_at_mark(self, mark: char) -> (Composed, Option<Composed>) {
        let cut = self.stretches.iter().position(|stretch| match stretch {
            Stretch::Literal(text) => text.contains(mark),
            Stretch::Source(_) | Stretch::Field(_) => false,
        });
        let Some(cut) = cut else { return (self, None) };
        let (mut before, mut behind) = (Composed::default(), Composed::default());
        for (place, stretch) in self.stretches.into_iter().enumerate() {
            match stretch {
                Stretch::Literal(text) if place == cut => {
                    let (left, right) = text.split_once(mark).unwrap_or((&text, ""));
                    before.literal(left);
                    behind.literal(right);
                }
                stretch if place < cut => before.stretches.push(stretch),
                stretch => behind.stretches.push(stretch),
            }
        }
        (before, Some(behind))
    }

    fn literal(&mut self, text: &str) {
        if !text.is_empty() {
            self.stretches.push(Stretch::Literal(text.to_owned()));
        }
    }
}

impl FromStr for Field {
    type Err = Invalid;

    /// Reads `user.body.address.city`, `user.status`, `item.id`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut keys = text.split('.');
        let part = keys.next().unwrap_or_default().to_owned();
        let of = match (part.as_str(), keys.next()) {
            (ITEM, first) => Of::Body(first.into_iter().chain(keys).map(str::to_owned).collect()),
            (_, Some("status")) if keys.clone().next().is_none() => Of::Status,
            (_, Some("body")) => Of::Body(keys.map(str::to_owned).collect()),
            _ => {
                return Err(Invalid::new(
                    format!("`{text}` is nothing of an answer"),
                    "write the part's name, `.body` and the keys that lead to the value, as in `user.body.id`",
                ));
            }
        };
        let empty = part.is_empty() || matches!(&of, Of::Body(keys) if keys.iter().any(String::is_empty));
        if empty {
            return Err(Invalid::new(
                format!("`{text}` has an empty name between two dots"),
                "write the keys that lead to the value, with one dot between them",
            ));
        }
        Ok(Field { part, of })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.part)?;
        match &self.of {
            Of::Status => f.write_str(".status"),
            Of::Body(keys) => {
                if self.part != ITEM {
                    f.write_str(".body")?;
                }
                keys.iter().try_for_each(|key| write!(f, ".{key}"))
            }
        }
    }
}

/// What stands between braces.
fn place(inner: &str) -> Result<Stretch, Invalid> {
    let is_field = |field: &Field| field.part == ITEM || inner.split('.').count() > 1;
    match (inner.parse::<Source>(), inner.parse::<Field>()) {
        (Ok(source), _) => Ok(Stretch::Source(source)),
        (Err(_), Ok(field)) if is_field(&field) => Ok(Stretch::Field(field)),
        (Err(invalid), _) => Err(Invalid::new(
            invalid.what,
            format!("{}; of another part's answer write `{{part.body.field}}`", invalid.remedy),
        )),
    }
}

impl FromStr for Composed {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let stretches = braces::stretches(text)?.into_iter().map(|stretch| match stretch {
            braces::Stretch::Literal(text) => Ok(Stretch::Literal(text)),
            braces::Stretch::Place(inner) => place(inner),
        });
        Ok(Composed { stretches: stretches.collect::<Result<_, Invalid>>()? })
    }
}

impl fmt::Display for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stretches.iter().try_for_each(|stretch| match stretch {
            Stretch::Literal(text) => f.write_str(&braces::escaped(text)),
            Stretch::Source(source) => write!(f, "{{{source}}}"),
            Stretch::Field(field) => write!(f, "{{{field}}}"),
        })
    }
}

text_value!(Composed, "Composed", "a text with places such as {path.id} and {user.body.id}", {
    "type": "string",
    "description": "A text in which the sources of templates ({path.id}, {jwt.sub}, ...) and what other parts answered \
                    ({user.body.id}, {user.status}, {item.id}) are filled in; {{ and }} are braces."
});

text_value!(Field, "Field", "something of an answer, such as orders.body.items", {
    "type": "string",
    "description": "Something of an answer: the part's name, `.body`, and the keys that lead to the value.",
    "examples": ["orders.body.items"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_answers_stand_side_by_side() {
        let text = "/u/{path.id}/{user.body.address.city}?s={user.status}&i={item.id}{{x}}";
        let composed: Composed = text.parse().unwrap();
        assert_eq!(composed.to_string(), text);
        let fields: Vec<String> = composed.fields().map(ToString::to_string).collect();
        assert_eq!(fields, ["user.body.address.city", "user.status", "item.id"]);
        assert_eq!(composed.sources().count(), 1);
        let (path, query) = composed.split_at_mark('?');
        assert_eq!(path.to_string(), "/u/{path.id}/{user.body.address.city}");
        assert_eq!(query.unwrap().to_string(), "s={user.status}&i={item.id}{{x}}");
    }

    #[test]
    fn what_is_no_place() {
        for (text, message) in [
            ("a{ip", "`{` without its partner in `a{ip`: write `{{` for the character itself"),
            (
                "{ipp}",
                "`ipp` is not a known source: did you mean `ip`?; of another part's answer write `{part.body.field}`",
            ),
        ] {
            assert_eq!(text.parse::<Composed>().unwrap_err().to_string(), message);
        }
        for text in ["{user.bdy.id}", "{user..id}", "{user.body.}", "{.body}"] {
            assert!(text.parse::<Composed>().is_err(), "{text}");
        }
        assert_eq!("{item}".parse::<Composed>().unwrap().fields().count(), 1);
    }
}
