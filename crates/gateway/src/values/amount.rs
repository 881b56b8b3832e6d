//! A whole number that may be long: `1000000` or `1_000_000`.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// A whole number; underscores between its digits mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Amount {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shaped =
            text.starts_with(|c: char| c.is_ascii_digit()) && !text.ends_with('_') && !text.contains("__");
        let digits: String = text.chars().filter(|c| *c != '_').collect();
        let number =
            digits.parse().ok().filter(|_| shaped && digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.map(Self).ok_or_else(|| {
            Invalid::new(format!("`{text}` is not a whole number"), "write digits: 1000000, or 1_000_000")
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(Amount, "Amount", "a whole number such as 1000000 or 1_000_000", {
    "type": ["string", "integer"],
    "pattern": r"^([0-9]+(_[0-9]+)*|.*\$\{.*)$",
    "minimum": 0,
    "description": "A whole number; underscores between its digits mean nothing.",
    "examples": [1000000, "1_000_000"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_what_is_none() {
        for (text, number) in
            [("0", 0), ("1000000", 1_000_000), ("1_000_000", 1_000_000), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(text.parse::<Amount>().unwrap().get(), number);
        }
        for text in ["", "_1", "1_", "1__0", "-1", "+1", "1.5", "1e6", "18446744073709551616"] {
            assert_eq!(text.parse::<Amount>().unwrap_err().what, format!("`{text}` is not a whole number"));
        }
    }
}
