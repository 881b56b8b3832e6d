//! A place in a body: `orders.*.card.number`.

use std::fmt;
use std::str::FromStr;

use shape::Path;

use super::{Invalid, text_value};

/// A place, or many, in a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BodyPath(Path);

impl BodyPath {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for BodyPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(BodyPath).map_err(|why: String| {
            Invalid::new(
                format!("`{text}` is no place in a body: {why}"),
                "write names with dots between them: orders.*.card.number",
            )
        })
    }
}

impl fmt::Display for BodyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(BodyPath, "BodyPath", "a place in a body, such as orders.*.id", {
    "type": "string",
    "description": "A place in a body: names with dots between them, `*` for every member or element, a number for an element, \
                    a name in double quotes where it holds dots, `**.name` for the members of that name at any depth.",
    "examples": ["user.name", "orders.*.card.number", "**.password"]
});
