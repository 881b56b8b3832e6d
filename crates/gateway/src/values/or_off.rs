//! A bound that can be taken away: `5s` or `off`.

use super::{Duration, Invalid, Size, text_value};
use std::{fmt, str::FromStr};

/// A value, or the word `off` for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrOff<T> {
    /// No bound.
    Off,
    /// This bound.
    At(T),
}

impl<T: FromStr<Err = Invalid>> FromStr for OrOff<T> {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|Invalid { what, remedy }| Invalid { what, remedy: format!("{remedy}; or `off`") })
    }
}

impl<T: fmt::Display> fmt::Display for OrOff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(value) => value.fmt(f),
        }
    }
}

text_value!(OrOff<Duration>, "DurationOrOff", "a duration such as 250ms, 10s, 5m, 1h, 7d, or off", {
    "type": "string",
    "pattern": r"^([0-9]+(ms|s|m|h|d)|off|.*\$\{.*)$",
    "description": "A length of time, a whole number and one of the units ms, s, m, h, d; or `off`.",
    "examples": ["5s", "off"]
});

text_value!(OrOff<Size>, "SizeOrOff", "a size such as 512B, 64KiB, 10MiB, 1GiB, or off", {
    "anyOf": [
        { "type": "string", "pattern": r"^([0-9]+(B|KiB|MiB|GiB)?|off|.*\$\{.*)$" },
        { "type": "integer", "minimum": 0 }
    ],
    "description": "An amount of bytes, a whole number and one of the units B, KiB, MiB, GiB; or `off`.",
    "examples": ["64KiB", "off"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_or_the_word() {
        for text in ["off", "5s"] {
            assert_eq!(text.parse::<OrOff<Duration>>().unwrap().to_string(), text);
        }
        assert_eq!("0".parse(), Ok(OrOff::At(Size::from_bytes(0))));
        let fault = "no".parse::<OrOff<Duration>>().unwrap_err().to_string();
        assert_eq!(
            fault,
            "`no` is not a duration: write a number and a unit: 250ms, 10s, 5m, 1h, 7d; or `off`"
        );
    }
}
