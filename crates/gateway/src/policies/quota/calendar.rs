//! Periods of the calendar in a time zone.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a period is. They begin where the clocks and calendars of their zone say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "QuotaPeriod")]
pub(super) enum Every {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to the next.
    Month,
    /// From 1 January to the next.
    Year,
}

impl Every {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Every::Hour => "hour",
            Every::Day => "day",
            Every::Week => "week",
            Every::Month => "month",
            Every::Year => "year",
        }
    }

    /// The period that a moment lies in: its first second, and the one after its last, since 1970.
    pub(super) fn period(self, zone: &TimeZone, moment: i64) -> Option<(i64, i64)> {
        let civil = zone.to_datetime(Timestamp::from_second(moment).ok()?);
        let (start, next) = self.around(civil)?;
        let second = |civil: DateTime| Some(zone.to_timestamp(civil).ok()?.as_second());
        let (start, mut end) = (second(start)?, second(next)?);
        if end <= moment {
            // The hour that clocks show a second time belongs to the one before it.
            end = moment.saturating_add(1);
        }
        Some((start.min(moment), end))
    }

    /// The beginnings of the period and of the next, as clocks show them.
    fn around(self, civil: DateTime) -> Option<(DateTime, DateTime)> {
        let (date, midnight) = (civil.date(), Time::midnight());
        let days = |date: Date, count: i32| (0..count).try_fold(date, |date, _| date.tomorrow().ok());
        let back = |date: Date, count: i8| (0..count).try_fold(date, |date, _| date.yesterday().ok());
        let (first, next) = match self {
            Every::Hour => {
                let hour = |hour: i8| Some(date.to_datetime(Time::new(hour, 0, 0, 0).ok()?));
                let next = match civil.hour() {
                    23 => date.tomorrow().ok()?.to_datetime(midnight),
                    this => hour(this.saturating_add(1))?,
                };
                return Some((hour(civil.hour())?, next));
            }
            Every::Day => (date, days(date, 1)?),
            Every::Week => {
                let first = back(date, date.weekday().to_monday_zero_offset())?;
                (first, days(first, 7)?)
            }
            Every::Month => {
                let (year, month) = (date.year(), date.month());
                let next =
                    if month == 12 { (year.checked_add(1)?, 1) } else { (year, month.checked_add(1)?) };
                (Date::new(year, month, 1).ok()?, Date::new(next.0, next.1, 1).ok()?)
            }
            Every::Year => {
                let year = date.year();
                (Date::new(year, 1, 1).ok()?, Date::new(year.checked_add(1)?, 1, 1).ok()?)
            }
        };
        Some((first.to_datetime(midnight), next.to_datetime(midnight)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_of_the_zone() {
        for (every, zone, moment, wanted) in [
            (
                Every::Month,
                "Europe/Berlin",
                "2026-11-30T22:59:59Z",
                "2026-10-31T23:00:00Z 2026-11-30T23:00:00Z",
            ),
            (
                Every::Month,
                "Europe/Berlin",
                "2026-11-30T23:00:00Z",
                "2026-11-30T23:00:00Z 2026-12-31T23:00:00Z",
            ),
            (
                Every::Month,
                "Europe/Berlin",
                "2026-03-15T00:00:00Z",
                "2026-02-28T23:00:00Z 2026-03-31T22:00:00Z",
            ),
            (
                Every::Day,
                "Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z",
            ),
            (Every::Week, "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z 2026-11-23T00:00:00Z"),
            (
                Every::Hour,
                "Asia/Kolkata",
                "2026-11-22T10:40:00Z",
                "2026-11-22T10:30:00Z 2026-11-22T11:30:00Z",
            ),
            (Every::Year, "UTC", "2024-12-31T23:59:59Z", "2024-01-01T00:00:00Z 2025-01-01T00:00:00Z"),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            let moment: Timestamp = moment.parse().unwrap();
            let (start, end) = every.period(&zone, moment.as_second()).unwrap();
            let show = |second: i64| Timestamp::from_second(second).unwrap();
            assert_eq!(format!("{} {}", show(start), show(end)), wanted, "{every:?} {moment}");
        }
    }

    #[test]
    fn every_second_lies_in_its_period() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // Both changes of the clock of 2026.
        for day in ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"] {
            let from = day.parse::<Timestamp>().unwrap().as_second();
            for every in [Every::Hour, Every::Day, Every::Week] {
                for moment in (from..from + 12 * 3600).step_by(607) {
                    let (start, end) = every.period(&zone, moment).unwrap();
                    assert!(start <= moment && moment < end, "{every:?} {moment}: {start} {end}");
                }
            }
        }
    }
}
