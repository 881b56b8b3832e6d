//! How often something may happen: `100/s`, `1000/hour`, `10/min`, `5/10s`.
//!
//! Takes a count and a period; keeps both, because 60 in a minute and one a second allow different bursts.

use super::{Duration, Invalid, leading_number, text_value};
use std::{fmt, str::FromStr};

const REMEDY: &str = "write a count and a period: 100/s, 10/min, 1000/hour, 5/10s";
const PERIODS: [(&str, u64); 4] = [("day", 86_400), ("hour", 3_600), ("min", 60), ("s", 1)];

/// A count within a period; both at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u64,
    period: Duration,
}

impl Rate {
    /// How many times within one period.
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The period.
    pub const fn period(self) -> std::time::Duration {
        self.period.get()
    }

    /// Events in one second, on average.
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.period.get().as_secs_f64()
    }
}

impl FromStr for Rate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || Invalid::new(format!("`{text}` is not a rate"), REMEDY);
        let (count, period) = text.split_once('/').ok_or_else(not)?;
        let (count, rest) = leading_number(count).ok_or_else(not)?;
        if !rest.is_empty() {
            return Err(not());
        }
        let period = match period {
            "s" | "sec" | "second" => Duration::from_secs(1),
            "m" | "min" | "minute" => Duration::from_secs(60),
            "h" | "hour" => Duration::from_secs(3_600),
            "d" | "day" => Duration::from_secs(86_400),
            longer => longer.parse().map_err(|_| not())?,
        };
        if count == 0 || period.is_zero() {
            return Err(Invalid::new(
                format!("`{text}` allows nothing"),
                "a count and a period are at least 1",
            ));
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PERIODS.iter().find(|(_, seconds)| Duration::from_secs(*seconds) == self.period) {
            Some((name, _)) => write!(f, "{}/{name}", self.count),
            None => write!(f, "{}/{}", self.count, self.period),
        }
    }
}

text_value!(Rate, "Rate", "a rate such as 100/s, 10/min, 1000/hour", {
    "type": "string",
    "pattern": r"^([0-9]+/(s|sec|second|m|min|minute|h|hour|d|day|[0-9]+(ms|s|m|h|d))|.*\$\{.*)$",
    "description": "How often: a count, a slash and a period (s, min, hour, day or a duration).",
    "examples": ["100/s", "10/min", "1000/hour", "5/10s"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_and_display() {
        for (text, count, seconds, shown) in [
            ("100/s", 100, 1, "100/s"),
            ("100/second", 100, 1, "100/s"),
            ("10/min", 10, 60, "10/min"),
            ("10/60s", 10, 60, "10/min"),
            ("1000/hour", 1000, 3600, "1000/hour"),
            ("5/10s", 5, 10, "5/10s"),
            ("1/day", 1, 86_400, "1/day"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count(), rate.period().as_secs()), (count, seconds), "{text}");
            assert_eq!(rate.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_rate() {
        for text in ["", "100", "/s", "100/", "x/s", "100/fortnight", "100 /s", "1.5/s", "-1/s", "1/s/s"] {
            assert_eq!(
                text.parse::<Rate>().unwrap_err().to_string(),
                format!("`{text}` is not a rate: {REMEDY}")
            );
        }
        for text in ["0/s", "1/0s"] {
            let message = text.parse::<Rate>().unwrap_err().to_string();
            assert_eq!(message, format!("`{text}` allows nothing: a count and a period are at least 1"));
        }
    }
}
