//! Times that come and go: `2026-11-27 00:00/24:00 Europe/Berlin`, `mon-fri 09:00/17:00 Europe/Berlin`,
//! `cron 0 22 * * * for 8h Europe/Berlin`.
//!
//! Takes them as text; gives the stretches of time that they mean, in seconds since 1970. The zone's rules are looked up
//! when it is read: from the system, else those that the program brings. Reads no clock.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::cron::{Cron, DAYS};
use super::{Duration, Invalid, Zone, text_value};

const REMEDY: &str = "write days, times and a zone: `2026-11-27 00:00/24:00 Europe/Berlin`, `mon-fri 09:00/17:00 UTC` or \
                      `cron 0 22 * * * for 8h UTC`";
const DAY: i64 = 86_400;
/// Longest that one run of a cron line lasts.
const LONGEST: i64 = 31 * DAY;
/// How many days ahead a cron line is looked for: a 29 February comes after eight years at the latest.
const AHEAD: usize = 9 * 366;

/// Stretches of time in a zone.
#[derive(Clone)]
pub struct When {
    text: String,
    zone: TimeZone,
    times: Times,
}

#[derive(Clone)]
enum Times {
    /// Between two moments.
    Once(i64, i64),
    /// On days of the week, as bits from Monday, between two seconds of the day; over midnight where the second is not
    /// after the first.
    Weekly(u8, i64, i64),
    /// For so many seconds from each moment of a cron line on.
    Cron(Cron, i64),
}

impl When {
    /// The first stretch that ends after a moment: its first second, and the one after its last.
    pub fn after(&self, moment: i64) -> Option<(i64, i64)> {
        match &self.times {
            Times::Once(from, until) => Some((*from, *until)).filter(|(_, until)| *until > moment),
            Times::Weekly(days, from, until) => {
                let until = if until > from { *until } else { until.saturating_add(DAY) };
                let on = |date: &Date| days >> date.weekday().to_monday_zero_offset() & 1 == 1;
                // The day before may last into this one; a week later every day has come again.
                self.days_from(moment.saturating_sub(DAY), 10).filter(on).find_map(|date| {
                    let stretch = (self.second(date, *from)?, self.second(date, until)?);
                    Some(stretch).filter(|(_, until)| *until > moment)
                })
            }
            Times::Cron(cron, lasts) => {
                let start = self.next_start(cron, moment.saturating_sub(*lasts))?;
                Some((start, start.saturating_add(*lasts)))
            }
        }
    }

    /// The first moment of a cron line after another.
    fn next_start(&self, cron: &Cron, after: i64) -> Option<i64> {
        let of = |number: i8| u32::try_from(number).unwrap_or(0);
        let on = |date: &Date| {
            let weekday = of(date.weekday().to_sunday_zero_offset());
            cron.is_on(of(date.month()), of(date.day()), weekday)
        };
        self.days_from(after.saturating_sub(DAY), AHEAD).filter(on).find_map(|date| {
            let second = |hour: u32, minute: u32| {
                self.second(date, i64::from(hour).saturating_mul(3600).saturating_add(i64::from(minute) * 60))
            };
            let hours = cron.hours().filter(|hour| second(*hour, 59).is_some_and(|last| last > after));
            hours
                .flat_map(|hour| cron.minutes().filter_map(move |minute| second(hour, minute)))
                .find(|start| *start > after)
        })
    }

    /// So many days of the zone, from that of a moment on.
    fn days_from(&self, moment: i64, count: usize) -> impl Iterator<Item = Date> {
        let first = Timestamp::from_second(moment).ok().map(|moment| self.zone.to_datetime(moment).date());
        std::iter::successors(first, |date| date.tomorrow().ok()).take(count)
    }

    /// A second of a day by the clocks of the zone. One that they leave out is as much later.
    fn second(&self, date: Date, second: i64) -> Option<i64> {
        let date = if second >= DAY { date.tomorrow().ok()? } else { date };
        let second = second % DAY;
        let part = |number: i64| i8::try_from(number).ok();
        let time = Time::new(part(second / 3600)?, part(second / 60 % 60)?, part(second % 60)?, 0).ok()?;
        Some(self.zone.to_timestamp(date.to_datetime(time)).ok()?.as_second())
    }
}

impl FromStr for When {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || Invalid::new(format!("`{text}` says no time"), REMEDY);
        let (rest, zone) = text.trim().rsplit_once(' ').ok_or_else(not)?;
        let zone = read_zone(zone, not)?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut when = When { text, zone, times: Times::Once(0, 0) };
        let words: Vec<&str> = rest.split_whitespace().collect();
        when.times = match words.as_slice() {
            ["cron", minute, hour, day, month, weekday, "for", lasts] => {
                let cron = Cron::read(&[minute, hour, day, month, weekday])?;
                let lasts: Duration = lasts.parse()?;
                let lasts = i64::try_from(lasts.get().as_secs()).unwrap_or(i64::MAX);
                if !(1..=LONGEST).contains(&lasts) {
                    return Err(Invalid::new(
                        format!("`{rest}` lasts for less than a second or for more than 31 days"),
                        "write a time from 1s to 31d behind `for`",
                    ));
                }
                if when.next_start(&cron, 0).is_none() {
                    return Err(Invalid::new(format!("`{rest}` never comes"), "write a day that there is"));
                }
                Times::Cron(cron, lasts)
            }
            [days, times] if !days.starts_with(|c: char| c.is_ascii_digit()) => {
                let (from, until) = times.split_once('/').ok_or_else(not)?;
                let clock = |text: &str| clock(text).ok_or_else(not);
                Times::Weekly(read_days(days).ok_or_else(not)?, clock(from)?, clock(until)?)
            }
            _ => {
                let (from, until) = rest.split_once('/').ok_or_else(not)?;
                let (first, from) = from.trim().split_once(' ').ok_or_else(not)?;
                let (last, until) = until.trim().split_once(' ').unwrap_or((first, until.trim()));
                let moment = |date: &str, time: &str| when.second(date.parse().ok()?, clock(time)?);
                let (from, until) =
                    (moment(first, from).ok_or_else(not)?, moment(last, until).ok_or_else(not)?);
                if until <= from {
                    let what = format!("`{rest}` ends before it begins");
                    return Err(Invalid::new(what, "write the day before the second time as well"));
                }
                Times::Once(from, until)
            }
        };
        Ok(when)
    }
}

fn read_zone(name: &str, not: impl Fn() -> Invalid) -> Result<TimeZone, Invalid> {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Invalid {
            what: format!("{}: its zone is missing", not().what),
            remedy: REMEDY.to_owned(),
        });
    }
    name.parse().map(|zone: Zone| zone.get().clone())
}

/// `daily`, `mon-fri`, `sat,sun`; as bits from Monday.
fn read_days(text: &str) -> Option<u8> {
    let nth = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut bits = 0;
    for part in text.split(',') {
        let (from, to) = match part.split_once('-') {
            _ if part == "daily" => (0, 6),
            Some((from, to)) => (nth(from)?, nth(to)?),
            None => (nth(part)?, nth(part)?),
        };
        // From Saturday to Monday is over Sunday.
        let to = if to < from { to + 7 } else { to };
        bits |= (from..=to).fold(0, |bits, day| bits | 1_u8 << (day % 7));
    }
    Some(bits)
}

/// `HH:MM` or `HH:MM:SS` as seconds, up to 24:00.
fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| {
        let shaped = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| shaped)
    });
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let seconds = hour * 3600 + minute * 60 + second;
    (parts.next().is_none() && minute < 60 && second < 60 && seconds <= DAY).then_some(seconds)
}

impl PartialEq for When {
    fn eq(&self, other: &When) -> bool {
        self.text == other.text
    }
}

impl Eq for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_value!(When, "When", "times such as `2026-11-27 00:00/24:00 Europe/Berlin`", {
    "type": "string",
    "description": "Days, times and a time zone: a date, or days of the week (`daily`, `mon-fri`, `sat,sun`), and two times \
                    with a slash between them; or `cron`, the five fields of a cron line, `for` and a duration.",
    "examples": [
        "2026-11-27 00:00/24:00 Europe/Berlin",
        "mon-fri 09:00/17:00 Europe/Berlin",
        "cron 0 22 * * * for 8h UTC"
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    /// The stretches after a moment, one after the other, in UTC.
    fn stretches(text: &str, from: &str, count: usize) -> Vec<String> {
        let when: When = text.parse().unwrap();
        assert_eq!(when.to_string().parse::<When>().unwrap(), when);
        let show = |second: i64| Timestamp::from_second(second).unwrap().to_string();
        let mut moment = at(from);
        let mut shown = Vec::new();
        while shown.len() < count {
            let Some((start, end)) = when.after(moment) else { break };
            shown.push(format!("{} {}", show(start), show(end)));
            moment = end;
        }
        shown
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let sale = "2026-11-27 00:00/24:00 Europe/Berlin";
        assert_eq!(stretches(sale, "2026-01-01T00:00:00Z", 3), ["2026-11-26T23:00:00Z 2026-11-27T23:00:00Z"]);
        assert!(stretches(sale, "2026-11-27T23:00:00Z", 1).is_empty());
        let long = "2026-03-28 12:00/2026-03-29 12:00:30 Europe/Berlin";
        assert_eq!(stretches(long, "2026-01-01T00:00:00Z", 1), ["2026-03-28T11:00:00Z 2026-03-29T10:00:30Z"]);
    }

    #[test]
    fn weeks_come_again_also_over_midnight_and_changes_of_the_clock() {
        // On 25 October 2026 clocks in Berlin go back at 03:00.
        assert_eq!(
            stretches("sat-sun 22:00/06:00 Europe/Berlin", "2026-10-24T12:00:00Z", 3),
            [
                "2026-10-24T20:00:00Z 2026-10-25T05:00:00Z",
                "2026-10-25T21:00:00Z 2026-10-26T05:00:00Z",
                "2026-10-31T21:00:00Z 2026-11-01T05:00:00Z"
            ]
        );
        assert_eq!(
            stretches("daily 00:00/24:00 UTC", "2026-01-01T05:00:00Z", 1),
            ["2026-01-01T00:00:00Z 2026-01-02T00:00:00Z"]
        );
        assert_eq!(
            stretches("fri,mon 09:00/17:00 UTC", "2026-11-20T17:00:00Z", 1),
            ["2026-11-23T09:00:00Z 2026-11-23T17:00:00Z"]
        );
    }

    #[test]
    fn cron_lines_begin_and_last() {
        assert_eq!(
            stretches("cron 30 2 * * * for 1h Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T01:30:00Z 2026-03-28T02:30:00Z",
                // 02:30 is left out that night.
                "2026-03-29T01:30:00Z 2026-03-29T02:30:00Z",
                "2026-03-30T00:30:00Z 2026-03-30T01:30:00Z"
            ]
        );
        assert_eq!(
            stretches("cron 0 0 29 2 * for 1d UTC", "2026-03-01T00:00:00Z", 1),
            ["2028-02-29T00:00:00Z 2028-03-01T00:00:00Z"]
        );
        assert_eq!(
            stretches("cron */15 * * * * for 5m UTC", "2026-03-01T00:04:59Z", 1),
            ["2026-03-01T00:00:00Z 2026-03-01T00:05:00Z"]
        );
    }

    #[test]
    fn what_says_no_time() {
        for (text, told) in [
            ("", "`` says no time"),
            ("2026-11-27 00:00/24:00", "`2026-11-27 00:00/24:00` says no time: its zone is missing"),
            ("2026-11-27 00:00/24:00 Europe/Berlim", "`Europe/Berlim` is not a time zone"),
            ("2026-11-31 00:00/24:00 UTC", "`2026-11-31 00:00/24:00 UTC` says no time"),
            ("2026-11-27 24:01/25:00 UTC", "`2026-11-27 24:01/25:00 UTC` says no time"),
            ("2026-11-27 22:00/06:00 UTC", "`2026-11-27 22:00/06:00` ends before it begins"),
            ("noday 09:00/17:00 UTC", "`noday 09:00/17:00 UTC` says no time"),
            ("mon 9:00/17:00 UTC", "`mon 9:00/17:00 UTC` says no time"),
            ("cron 0 0 31 2 * for 1h UTC", "`cron 0 0 31 2 * for 1h` never comes"),
            (
                "cron 0 0 * * * for 32d UTC",
                "`cron 0 0 * * * for 32d` lasts for less than a second or for more than 31 days",
            ),
            ("cron 0 0 * * * UTC", "`cron 0 0 * * * UTC` says no time"),
        ] {
            assert_eq!(text.parse::<When>().unwrap_err().what, told);
        }
        let fault = "2026-11-27 00:00/24:00 Europe/Berlim".parse::<When>().unwrap_err();
        assert_eq!(fault.remedy, "did you mean `Europe/Berlin`?");
    }
}
