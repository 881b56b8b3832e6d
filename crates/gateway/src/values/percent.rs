//! A share of a whole: `50%`, `0.5%`.
//!
//! Kept as parts of a million, so that it compares exactly. Between 0 and 100.

use super::{Invalid, leading_number, text_value};
use std::{fmt, str::FromStr};

/// A share between 0% and 100%, exact to four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// Nothing.
    pub const ZERO: Percent = Percent(0);

    /// So many hundredths; more than 100 are 100.
    pub const fn whole(percent: u32) -> Percent {
        Percent(if percent > 100 { 1_000_000 } else { percent * 10_000 })
    }

    /// As a fraction between 0 and 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }

    /// As parts of a million.
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || {
            Invalid::new(
                format!("`{text}` is not a percentage"),
                "write a number from 0 to 100 and a percent sign: 50%, 0.5%",
            )
        };
        let number = text.strip_suffix('%').ok_or_else(not)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let (whole, rest) = leading_number(whole).ok_or_else(not)?;
        let digits_only = !decimals.is_empty() && decimals.bytes().all(|b| b.is_ascii_digit());
        if !rest.is_empty() || !digits_only || decimals.len() > 4 {
            return Err(not());
        }
        let decimals: u64 = format!("{decimals:0<4}").parse().map_err(|_| not())?;
        match whole.checked_mul(10_000).and_then(|parts| parts.checked_add(decimals)) {
            Some(parts @ 0..=1_000_000) => u32::try_from(parts).map(Self).map_err(|_| not()),
            _ => Err(not()),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 10_000, self.0 % 10_000);
        if decimals == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{decimals:04}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

text_value!(Percent, "Percent", "a percentage such as 50%", {
    "type": "string",
    "pattern": r"^([0-9]+(\.[0-9]{1,4})?%|.*\$\{.*)$",
    "description": "A share of a whole: a number from 0 to 100 and a percent sign.",
    "examples": ["50%", "0.5%"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows() {
        for (text, parts, shown) in [
            ("0%", 0, "0%"),
            ("50%", 500_000, "50%"),
            ("0.5%", 5_000, "0.5%"),
            ("99.9999%", 999_999, "99.9999%"),
            ("100%", 1_000_000, "100%"),
            ("33.30%", 333_000, "33.3%"),
        ] {
            let value: Percent = text.parse().unwrap();
            assert_eq!((value.parts_per_million(), value.to_string().as_str()), (parts, shown));
        }
        assert!(("50%".parse::<Percent>().unwrap().fraction() - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_percentage() {
        for text in
            ["", "50", "%", "101%", "100.0001%", "-1%", "1.%", ".5%", "1.23456%", "5 %", "1.x%", "1.2.3%"]
        {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
