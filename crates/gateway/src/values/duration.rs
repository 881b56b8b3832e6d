//! A length of time: `250ms`, `10s`, `5m`, `1h`, `7d`.
//!
//! Takes one whole number and one unit, without a space; gives `std::time::Duration`. Bounded, so that adding one
//! to a point in time cannot overflow.

use super::{Invalid, leading_number, text_value};
use std::{fmt, str::FromStr};

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const LONGEST: u64 = 3_650 * 86_400_000;
const REMEDY: &str = "write a number and a unit: 250ms, 10s, 5m, 1h, 7d";

/// A length of time, exact to the millisecond, at most 3650 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

impl Duration {
    /// From milliseconds; longer than 3650 days becomes 3650 days.
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > LONGEST { LONGEST } else { millis })
    }

    /// From seconds; longer than 3650 days becomes 3650 days.
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_millis(seconds.saturating_mul(1_000))
    }

    /// As the standard library's type.
    pub const fn get(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whether this is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Duration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || Invalid::new(format!("`{text}` is not a duration"), REMEDY);
        let (number, unit) = leading_number(text).ok_or_else(not)?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(not)?;
        match number.checked_mul(*scale) {
            Some(millis) if millis <= LONGEST => Ok(Self(millis)),
            _ => Err(Invalid::new(format!("`{text}` is too long"), "write at most 3650d")),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        for (name, scale) in UNITS {
            if self.0.is_multiple_of(scale) {
                return write!(f, "{}{name}", self.0 / scale);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

text_value!(Duration, "Duration", "a duration such as 250ms, 10s, 5m, 1h, 7d", {
    "type": "string",
    "pattern": r"^([0-9]+(ms|s|m|h|d)|.*\$\{.*)$",
    "description": "A length of time: a whole number and one of the units ms, s, m, h, d.",
    "examples": ["250ms", "10s", "5m", "1h", "7d"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_display() {
        for (text, millis, shown) in [
            ("250ms", 250, "250ms"),
            ("10s", 10_000, "10s"),
            ("60s", 60_000, "1m"),
            ("90m", 5_400_000, "90m"),
            ("1h", 3_600_000, "1h"),
            ("7d", 604_800_000, "7d"),
            ("0s", 0, "0s"),
            ("3650d", LONGEST, "3650d"),
        ] {
            let value: Duration = text.parse().unwrap();
            assert_eq!((value.as_millis(), value.to_string().as_str()), (millis, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration() {
        for text in
            ["", "5", "m", "5 m", " 5m", "5m ", "-5s", "+5s", "1.5s", "1h30m", "5min", "5S", "९s", "5µs"]
        {
            let message = text.parse::<Duration>().unwrap_err().to_string();
            assert_eq!(message, format!("`{text}` is not a duration: {REMEDY}"));
        }
        assert_eq!(
            "3651d".parse::<Duration>().unwrap_err().to_string(),
            "`3651d` is too long: write at most 3650d"
        );
        assert!("18446744073709551615d".parse::<Duration>().is_err());
        assert!("18446744073709551616s".parse::<Duration>().is_err());
    }
}
