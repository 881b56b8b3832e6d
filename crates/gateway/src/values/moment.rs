//! A moment in time as a configuration writes it: `2027-01-31`, or RFC 3339 in UTC.

use super::{Invalid, text_value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fmt, str::FromStr};

const DAY: u64 = 86_400;

/// A moment: whole seconds since 1970, in UTC. A date alone is its first second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    /// So much later.
    pub fn plus(self, more: Duration) -> Self {
        Self(self.0.saturating_add(more.as_secs()))
    }

    /// The moment on the system's clock.
    pub fn get(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.0)).unwrap_or(UNIX_EPOCH)
    }
}

impl FromStr for Moment {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read(text).map(Self).ok_or_else(|| {
            Invalid::new(
                format!("`{text}` is not a moment"),
                "write a date, 2027-01-31, or a time in UTC, 2027-01-31T18:00:00Z",
            )
        })
    }
}

fn read(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T').map_or((text, "00:00:00Z"), |parts| parts);
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.strip_suffix('Z')?.split(':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let ended = date.next().is_none() && time.next().is_none();
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => 31,
    };
    let shaped = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=longest).contains(&day);
    if !ended || !shaped || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days(year, month, day).checked_mul(DAY)? + hour * 3600 + minute * 60 + second)
}

fn number(text: &str) -> Option<u64> {
    let digits = (2..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`, for
/// years that are not before 1970).
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month.saturating_sub(3) } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day.saturating_sub(1);
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + of_era).saturating_sub(719_468)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The way back is short enough to search: the year by guess, month and day by count.
        let (whole, of_day) = (self.0 / DAY, self.0 % DAY);
        let mut year = 1970 + whole / 366;
        while days(year + 1, 1, 1) <= whole {
            year += 1;
        }
        let month = (1..=12).rev().find(|month| days(year, *month, 1) <= whole).unwrap_or(1);
        let day = whole.saturating_sub(days(year, month, 1)) + 1;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

text_value!(Moment, "Moment", "a date or a time in UTC such as 2027-01-31", {
    "type": "string",
    "description": "A date, which is its first second in UTC, or a time in UTC as RFC 3339 writes it.",
    "examples": ["2027-01-31", "2027-01-31T18:00:00Z"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, second, shown) in [
            ("1970-01-01", 0, "1970-01-01T00:00:00Z"),
            ("2000-02-29", 951_782_400, "2000-02-29T00:00:00Z"),
            ("2024-02-29T00:00:00Z", 1_709_164_800, "2024-02-29T00:00:00Z"),
            ("2027-01-01T00:00:00Z", 1_798_761_600, "2027-01-01T00:00:00Z"),
            ("2100-03-01", 4_107_542_400, "2100-03-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", 253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.0, second, "{text}");
            assert_eq!(moment.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "2027",
            "2027-13-01",
            "2027-02-29",
            "1969-12-31",
            "2027-01-01T24:00:00Z",
            "2027-01-01T00:00:00",
            "2027-01-01T00:00:00+01:00",
            "2027-1-1",
            "2027-01-01-01",
            "99999-01-01",
            "+027-01-01",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
