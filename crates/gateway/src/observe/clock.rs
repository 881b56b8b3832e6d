//! The wall clock as text for the access log, in UTC.
//!
//! Takes a moment, gives the whole second in the two spellings of the log. Each worker has its own, so that the
//! text is made once a second and not once a line.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The last second of the year 9999: no later one has a spelling in RFC 3339.
const LAST: u64 = 253_402_300_799;

/// The text of one second, kept until another is asked for.
#[derive(Default)]
pub(crate) struct Clock {
    second: Option<u64>,
    rfc3339: Vec<u8>,
    common: Vec<u8>,
}

/// A moment as text.
pub(crate) struct Stamp<'a> {
    /// `2026-11-03T12:34:56`, for RFC 3339 still without fraction and `Z`.
    pub(crate) rfc3339: &'a [u8],
    /// `03/Nov/2026:12:34:56`, as the Common Log Format has it, still without ` +0000`.
    pub(crate) common: &'a [u8],
    /// Milliseconds behind the second.
    pub(crate) millis: u32,
}

impl Clock {
    /// The text of a moment. One before 1970 counts as the first second of 1970.
    pub(crate) fn stamp(&mut self, moment: SystemTime) -> Stamp<'_> {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST);
        if self.second != Some(second) {
            self.spell(second);
            self.second = Some(second);
        }
        Stamp { rfc3339: &self.rfc3339, common: &self.common, millis: since.subsec_millis() }
    }

    fn spell(&mut self, second: u64) {
        let (year, month, day) = date(second / 86_400);
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let name = MONTHS.get(month.saturating_sub(1) as usize).unwrap_or(&"Jan");
        self.rfc3339.clear();
        self.common.clear();
        // Writing into a vector cannot fail.
        _ = write!(self.rfc3339, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        _ = write!(self.common, "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02}");
    }
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`, for days that are not before 1970).
pub(crate) fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn seconds_have_the_spelling_of_the_calendar() {
        let mut clock = Clock::default();
        for (second, rfc3339, common) in [
            (0, "1970-01-01T00:00:00", "01/Jan/1970:00:00:00"),
            (951_782_399, "2000-02-28T23:59:59", "28/Feb/2000:23:59:59"),
            (951_782_400, "2000-02-29T00:00:00", "29/Feb/2000:00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59", "29/Feb/2024:23:59:59"),
            (1_798_761_600, "2027-01-01T00:00:00", "01/Jan/2027:00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00", "01/Mar/2100:00:00:00"),
            (u64::MAX / 4, "9999-12-31T23:59:59", "31/Dec/9999:23:59:59"),
        ] {
            let stamp = clock.stamp(UNIX_EPOCH + Duration::from_millis(7) + Duration::from_secs(second));
            assert_eq!(String::from_utf8_lossy(stamp.rfc3339), rfc3339);
            assert_eq!(String::from_utf8_lossy(stamp.common), common);
            assert_eq!(stamp.millis, 7);
        }
        assert_eq!(clock.stamp(UNIX_EPOCH - Duration::from_secs(1)).rfc3339, b"1970-01-01T00:00:00");
    }
}
