//! An amount of bytes: `512B`, `64KiB`, `10MiB`, `1GiB`, or a plain number of bytes.
//!
//! Only powers of two are known: `kB` and `MB` mean different things to different people and are refused.

use super::{Invalid, leading_number, text_value};
use std::{fmt, str::FromStr};

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const REMEDY: &str = "write a number and a unit: 512B, 64KiB, 10MiB, 1GiB";
/// The largest size: 1 PiB, so that sums of sizes do not overflow.
const LARGEST: u64 = 1 << 50;

/// An amount of bytes, at most 1 PiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// From bytes; more than 1 PiB becomes 1 PiB.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(if bytes > LARGEST { LARGEST } else { bytes })
    }

    /// From units of 1024 bytes.
    pub const fn from_kib(kib: u64) -> Self {
        Self::from_bytes(kib.saturating_mul(1024))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In bytes, for comparing with lengths in memory; saturates where `usize` is narrower.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Whether this is no byte at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Size {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = |remedy: String| Invalid::new(format!("`{text}` is not a size"), remedy);
        let (number, unit) = leading_number(text).ok_or_else(|| not(REMEDY.into()))?;
        let scale = if unit.is_empty() {
            1
        } else {
            match UNITS.iter().find(|(name, _)| *name == unit) {
                Some((_, scale)) => *scale,
                None => return Err(not(remedy_for(number, unit))),
            }
        };
        match number.checked_mul(scale) {
            Some(bytes) if bytes <= LARGEST => Ok(Self(bytes)),
            _ => Err(Invalid::new(format!("`{text}` is too large"), "write at most 1048576GiB")),
        }
    }
}

/// What to write instead of a decimal or abbreviated unit.
fn remedy_for(number: u64, unit: &str) -> String {
    let meant = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" | "ki" => "KiB",
        "m" | "mb" | "mib" | "mi" => "MiB",
        "g" | "gb" | "gib" | "gi" => "GiB",
        "b" | "byte" | "bytes" => "B",
        _ => return REMEDY.into(),
    };
    format!("units are powers of two: write `{number}{meant}`")
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, scale) in UNITS {
            if self.0 != 0 && self.0.is_multiple_of(scale) {
                return write!(f, "{}{name}", self.0 / scale);
            }
        }
        write!(f, "{}B", self.0)
    }
}

text_value!(Size, "Size", "a size such as 512B, 64KiB, 10MiB, 1GiB", {
    "anyOf": [
        { "type": "string", "pattern": r"^([0-9]+(B|KiB|MiB|GiB)?|.*\$\{.*)$" },
        { "type": "integer", "minimum": 0 }
    ],
    "description": "An amount of bytes: a whole number and one of the units B, KiB, MiB, GiB; without a unit, bytes.",
    "examples": ["64KiB", "10MiB"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_display() {
        for (text, bytes, shown) in [
            ("0", 0, "0B"),
            ("1024", 1024, "1KiB"),
            ("1000B", 1000, "1000B"),
            ("64KiB", 65_536, "64KiB"),
            ("10MiB", 10 << 20, "10MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1048576GiB", LARGEST, "1048576GiB"),
        ] {
            let value: Size = text.parse().unwrap();
            assert_eq!((value.bytes(), value.to_string().as_str()), (bytes, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for (text, message) in [
            ("64kB", "`64kB` is not a size: units are powers of two: write `64KiB`"),
            ("10MB", "`10MB` is not a size: units are powers of two: write `10MiB`"),
            ("1g", "`1g` is not a size: units are powers of two: write `1GiB`"),
            ("ten", "`ten` is not a size: write a number and a unit: 512B, 64KiB, 10MiB, 1GiB"),
            ("1 KiB", "`1 KiB` is not a size: write a number and a unit: 512B, 64KiB, 10MiB, 1GiB"),
            ("-1", "`-1` is not a size: write a number and a unit: 512B, 64KiB, 10MiB, 1GiB"),
            ("1048577GiB", "`1048577GiB` is too large: write at most 1048576GiB"),
        ] {
            assert_eq!(text.parse::<Size>().unwrap_err().to_string(), message);
        }
    }
}
