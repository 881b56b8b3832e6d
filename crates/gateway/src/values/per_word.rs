//! A word of `per`: what requests are counted by.

use super::{Invalid, Source, text_value};
use std::{fmt, str::FromStr};

/// A word of `per`: a source, or `all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PerWord {
    /// All requests together.
    All,
    /// By this.
    By(Source),
}

impl FromStr for PerWord {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "all" {
            return Ok(PerWord::All);
        }
        text.parse()
            .map(PerWord::By)
            .map_err(|Invalid { what, remedy }| Invalid { what, remedy: format!("{remedy}; or `all`") })
    }
}

impl fmt::Display for PerWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PerWord::All => f.write_str("all"),
            PerWord::By(source) => source.fmt(f),
        }
    }
}

text_value!(PerWord, "PerWord", "a source such as ip, consumer or header.x-tenant, or all", {
    "type": "string",
    "description": "consumer, jwt.CLAIM, path.NAME, query.NAME, header.NAME, cookie.NAME, ip, method, host, path, scheme, \
                    request_id; or `all`.",
    "examples": ["ip", "consumer", "header.x-tenant", "all"]
});
