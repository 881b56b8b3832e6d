//! A text that never prints: keys, passwords, tokens.
//!
//! `Debug`, `Display` and `Serialize` give `***`. Whoever needs the text asks for it by `expose`, a word that is
//! easy to search for.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes the text into keeping.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never log it, never put it into an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("the secret is empty", "an empty secret protects nothing"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

text_value!(Secret, "Secret", "a secret text", {
    "type": "string",
    "description": "A text that never prints. Better taken from the environment, `${NAME}`, or a file, `${file:path}`.",
    "examples": ["${API_KEY}", "${file:/run/secrets/api-key}"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints() {
        let secret = Secret::new("swordfish");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "swordfish");
    }

    #[test]
    fn is_not_empty() {
        assert!("".parse::<Secret>().is_err());
    }
}
