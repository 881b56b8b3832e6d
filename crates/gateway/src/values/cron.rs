//! The five fields of a cron line: minute, hour, day of the month, month, day of the week.
//!
//! Takes them as text; says of a day whether it is one of them, and of a day the minutes. Knows no time zone.

use super::Invalid;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Days of the week as cron counts them: from Sunday.
const CRON_DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Minutes of days, as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// From Sunday.
    weekdays: u64,
    /// Whether both kinds of days are named: then a day of either kind is one, as cron has it.
    either: bool,
}

/// One of the fields.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

impl Cron {
    /// Reads the five fields.
    pub(super) fn read(fields: &[&str; 5]) -> Result<Cron, Invalid> {
        let [minute, hour, day, month, weekday] = fields;
        let field = |name, least, most, words| Field { name, least, most, words };
        let weekdays = field("day of the week", 0, 7, &CRON_DAYS).read(weekday)?;
        Ok(Cron {
            minutes: field("minute", 0, 59, &[]).read(minute)?,
            hours: field("hour", 0, 23, &[]).read(hour)?,
            days: field("day of the month", 1, 31, &[]).read(day)?,
            months: field("month", 1, 12, &MONTHS).read(month)?,
            // Both 0 and 7 are Sunday.
            weekdays: weekdays | (weekdays >> 7),
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    /// Whether a day is one of them; the day of the week counted from Sunday.
    pub(super) fn is_on(&self, month: u32, day: u32, weekday: u32) -> bool {
        let (by_day, by_weekday) = (has(self.days, day), has(self.weekdays, weekday));
        let day = if self.either { by_day || by_weekday } else { by_day && by_weekday };
        has(self.months, month) && day
    }

    /// The hours, from 0.
    pub(super) fn hours(&self) -> impl Iterator<Item = u32> {
        let hours = self.hours;
        (0..24).filter(move |hour| has(hours, *hour))
    }

    /// The minutes of each hour.
    pub(super) fn minutes(&self) -> impl Iterator<Item = u32> {
        let minutes = self.minutes;
        (0..60).filter(move |minute| has(minutes, *minute))
    }
}

fn has(bits: u64, nth: u32) -> bool {
    bits.checked_shr(nth).is_some_and(|bits| bits & 1 == 1)
}

impl Field {
    /// `*`, `5`, `1-5`, `*/15`, `mon-fri`, and lists of them.
    fn read(&self, text: &str) -> Result<u64, Invalid> {
        let mut bits = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)),
                None => (part, Some(1_u32)),
            };
            let step = step.ok_or_else(|| self.not(text))?;
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((from, to)) => (self.number(from, text)?, self.number(to, text)?),
                // A number with steps goes on to the end, as in cron.
                None if part.contains('/') => (self.number(range, text)?, self.most),
                None => (self.number(range, text)?, self.number(range, text)?),
            };
            if from > to {
                return Err(self.not(text));
            }
            let steps = (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            bits |= steps.fold(0, |bits, nth| bits | 1_u64.checked_shl(nth).unwrap_or(0));
        }
        Ok(bits)
    }

    fn number(&self, text: &str, whole: &str) -> Result<u32, Invalid> {
        let lower = text.to_ascii_lowercase();
        let named = self.words.iter().position(|word| *word == lower);
        let named = named.and_then(|nth| u32::try_from(nth).ok()?.checked_add(self.least));
        let number = named.or_else(|| text.parse().ok());
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| self.not(whole))
    }

    fn not(&self, text: &str) -> Invalid {
        let what = format!("`{text}` is not a {} of a cron line", self.name);
        let (least, most) = (self.least, self.most);
        let names = match self.words {
            [first, .., last] => format!(", or names from {first} to {last}"),
            _ => String::new(),
        };
        Invalid::new(
            what,
            format!("write `*`, numbers from {least} to {most}{names}, `1-5`, `*/15` or lists"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Result<Cron, Invalid> {
        let fields: Vec<&str> = text.split(' ').collect();
        Cron::read(&fields.try_into().unwrap())
    }

    #[test]
    fn fields_and_what_they_mean() {
        let every = cron("*/15 9-17/4 * jan,7 mon-fri").unwrap();
        assert_eq!(every.minutes().collect::<Vec<_>>(), [0, 15, 30, 45]);
        assert_eq!(every.hours().collect::<Vec<_>>(), [9, 13, 17]);
        assert!(every.is_on(1, 1, 1) && every.is_on(7, 31, 5));
        assert!(!every.is_on(2, 1, 1) && !every.is_on(1, 1, 0) && !every.is_on(1, 1, 6));
        assert_eq!(cron("50/5 0 * * *").unwrap().minutes().collect::<Vec<_>>(), [50, 55]);
        // Sunday is 0 and 7; days of both kinds mean either.
        for sunday in ["0", "7", "sun", "5-7"] {
            assert!(cron(&format!("0 0 * * {sunday}")).unwrap().is_on(1, 1, 0), "{sunday}");
        }
        let either = cron("0 0 13 * 5").unwrap();
        assert!(either.is_on(2, 13, 1) && either.is_on(2, 1, 5) && !either.is_on(2, 1, 1));
    }

    #[test]
    fn what_is_no_field() {
        for (text, what) in [
            ("60 0 * * *", "`60` is not a minute of a cron line"),
            ("0 24 * * *", "`24` is not a hour of a cron line"),
            ("0 0 0 * *", "`0` is not a day of the month of a cron line"),
            ("0 0 * foo *", "`foo` is not a month of a cron line"),
            ("0 0 * * 8", "`8` is not a day of the week of a cron line"),
            ("*/0 0 * * *", "`*/0` is not a minute of a cron line"),
            ("5-1 0 * * *", "`5-1` is not a minute of a cron line"),
            (", 0 * * *", "`,` is not a minute of a cron line"),
        ] {
            assert_eq!(cron(text).unwrap_err().what, what);
        }
    }
}
