//! Whether an answer may be kept, and how long it may be used (RFC 9111 sections 3 and 4.2, RFC 5861).
//!
//! Takes the heads of a request and its answer with the rules of a route; gives the life of what is kept, or the word
//! for why it is not. Must never keep for all what was said to one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::{Fields, Framing, names};

use super::control::Directives;
use crate::exchange::Exchange;

/// What a route says of lifetimes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    /// Where an answer names no lifetime.
    pub ttl: Option<Duration>,
    /// The same for answers that say that there is nothing.
    pub negative_ttl: Option<Duration>,
    pub while_revalidate: Duration,
    pub if_error: Duration,
    /// Only the route's own lifetimes count, and nothing that clients say.
    pub ttl_only: bool,
    /// Whether lifetimes are guessed from `Last-Modified`.
    pub heuristic: bool,
    /// Whether answers are the same for all callers, whatever credentials these send.
    pub shared: bool,
}

/// How long a kept answer may be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Life {
    /// From the age zero on.
    pub fresh: Duration,
    /// Beyond that, while it is being renewed.
    pub while_revalidate: Duration,
    /// Beyond that, while the service fails.
    pub if_error: Duration,
    /// Its age when it came.
    pub age: Duration,
    /// It must not be used stale, whoever asks (RFC 9111 section 5.2.2.2).
    pub must_revalidate: bool,
    /// It must be asked about before each use (section 5.2.2.4).
    pub no_cache: bool,
    /// It may be given to callers with credentials (section 3.5).
    pub shareable: bool,
}

/// Statuses that are understood (RFC 9111 section 3). Others are not kept, whatever they say: a partial answer, an error
/// that a client can provoke for others (400, 413, 431), a failure of the service.
const UNDERSTOOD: [u16; 16] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 403, 404, 405, 410, 414, 451, 501];
/// Of these, what a route's `ttl` is for (RFC 9110 section 15.1).
const GOOD: [u16; 6] = [200, 203, 204, 300, 301, 308];
/// And what `negative_ttl` is for.
const NOTHING_THERE: [u16; 5] = [404, 405, 410, 414, 501];
/// The largest part of the time since its last change that an answer is guessed to stay (RFC 9111 section 4.2.2).
const GUESSED_PART: u32 = 10;
const MOST_GUESSED: Duration = Duration::from_secs(24 * 3600);

/// What was known when the answer came.
pub(super) struct Came {
    /// When, on the wall clock.
    pub at: SystemTime,
    /// How long after the request was sent.
    pub delay: Duration,
    /// Whether the request may have been about its caller.
    pub personal: bool,
}

/// How long the answer of an exchange may be kept.
///
/// # Errors
/// The word for why it must not be.
pub(super) fn judge(rules: &Rules, exchange: &Exchange, came: &Came) -> Result<Life, &'static str> {
    let answer = &exchange.response;
    let fields = &answer.fields;
    if exchange.record.is_partial() {
        return Err("partial");
    }
    if !UNDERSTOOD.contains(&answer.status) {
        return Err("status");
    }
    // Whether a body that lasts until the close is whole, nobody can know.
    if answer.framing == Framing::UntilClose {
        return Err("no-length");
    }
    if fields.contains(names::SET_COOKIE) {
        return Err("set-cookie");
    }
    if fields.get_all(names::VARY).flat_map(crate::http::list::elements).any(|name| name == b"*") {
        return Err("vary");
    }
    let said = Directives::of_answer(fields);
    if said.private {
        return Err("private");
    }
    if said.no_store && !said.must_understand {
        return Err("no-store");
    }
    if !rules.ttl_only && Directives::of_request(&exchange.request.fields).no_store {
        return Err("request");
    }
    let shareable = rules.shared || said.shareable();
    if came.personal && !shareable {
        return Err("personal");
    }
    let mut life =
        if rules.ttl_only { own(rules, answer.status) } else { spoken(rules, exchange, &said, came) }?;
    life.shareable = shareable;
    let renewable = validator(fields).is_some();
    let later = life.while_revalidate.max(life.if_error);
    if life.no_cache && !renewable {
        return Err("no-cache");
    }
    if life.age >= life.fresh.saturating_add(later) && !renewable {
        return Err("expired");
    }
    Ok(life)
}

/// The route's own lifetime.
fn own(rules: &Rules, status: u16) -> Result<Life, &'static str> {
    let fresh = match () {
        () if GOOD.contains(&status) => rules.ttl,
        () if NOTHING_THERE.contains(&status) => rules.negative_ttl,
        () => None,
    };
    let fresh = fresh.ok_or("no-lifetime")?;
    Ok(Life { fresh, while_revalidate: rules.while_revalidate, if_error: rules.if_error, ..Life::default() })
}

/// The lifetime that the answer names, else the route's, else a guess.
fn spoken(rules: &Rules, exchange: &Exchange, said: &Directives, came: &Came) -> Result<Life, &'static str> {
    let (status, fields) = (exchange.response.status, &exchange.response.fields);
    let date = date(fields, names::DATE);
    let expires = || {
        let there = !said.targeted && fields.contains(names::EXPIRES);
        // One that is no date is over (RFC 9111 section 5.3); so are two that differ.
        there.then(|| {
            let until = single(fields, names::EXPIRES).and_then(parse_date);
            until.and_then(|until| until.duration_since(date.unwrap_or(came.at)).ok()).unwrap_or_default()
        })
    };
    let named = said.s_maxage.or(said.max_age).map(Duration::from_secs).or_else(expires);
    let told_age = told_age(fields);
    // RFC 9111 section 4.2.3.
    let apparent = date.and_then(|date| came.at.duration_since(date).ok()).unwrap_or_default();
    let corrected = apparent.max(told_age.saturating_add(came.delay));
    let mut life = match named {
        Some(fresh) => Life { fresh, age: corrected, ..Life::default() },
        // The route's lifetime counts from when the answer came, whatever the service's clock says.
        None => match (own(rules, status), guess(rules, status, fields, date.unwrap_or(came.at))) {
            (Ok(own), _) => Life { age: told_age, ..own },
            (Err(_), Some(fresh)) => Life { fresh, age: corrected, ..Life::default() },
            (Err(_), None) if said.no_cache => Life { age: corrected, ..Life::default() },
            (Err(why), None) => return Err(why),
        },
    };
    life.no_cache = said.no_cache;
    life.must_revalidate = said.must_revalidate || said.no_cache;
    let window = |told: Option<u64>, own: Duration| told.map_or(own, Duration::from_secs);
    if life.must_revalidate {
        (life.while_revalidate, life.if_error) = (Duration::ZERO, Duration::ZERO);
    } else {
        life.while_revalidate = window(said.stale_while_revalidate, rules.while_revalidate);
        life.if_error = window(said.stale_if_error, rules.if_error);
    }
    if life.no_cache {
        life.fresh = Duration::ZERO;
    }
    Ok(life)
}

/// A tenth of the time for which the answer has not changed.
fn guess(rules: &Rules, status: u16, fields: &Fields, date: SystemTime) -> Option<Duration> {
    let may = rules.heuristic && (GOOD.contains(&status) || NOTHING_THERE.contains(&status));
    let changed = single(fields, names::LAST_MODIFIED).filter(|_| may).and_then(parse_date)?;
    Some((date.duration_since(changed).ok()? / GUESSED_PART).min(MOST_GUESSED))
}

/// The value of a field that stands there once, or always with the same value.
pub(super) fn single<'f>(fields: &'f Fields, name: http1::Name<'f>) -> Option<&'f [u8]> {
    let mut lines = fields.get_all(name);
    let first = lines.next()?;
    lines.all(|line| line == first).then_some(first)
}

/// What the service can be asked by whether an answer still holds.
pub(super) fn validator(fields: &Fields) -> Option<&[u8]> {
    single(fields, names::ETAG)
        .or_else(|| single(fields, names::LAST_MODIFIED).filter(|date| parse_date(date).is_some()))
}

/// The age that caches before this one tell. What is not one number is as old as can be: it says that there is an age, and
/// not which. To take the first of several, or none, as RFC 9111 section 5.1 has it, would make an old answer young.
fn told_age(fields: &Fields) -> Duration {
    const OLD: u64 = 1 << 31;
    let mut lines = fields.get_all(names::AGE);
    let Some(first) = lines.next() else { return Duration::ZERO };
    let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit) && lines.next().is_none();
    let seconds = std::str::from_utf8(first).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.map_or(OLD, |seconds: u64| seconds.min(OLD)))
}

/// The time of a date field.
pub(super) fn date(fields: &Fields, name: http1::Name<'_>) -> Option<SystemTime> {
    fields.get(name).and_then(parse_date)
}

/// A date in one of the forms of RFC 9110 section 5.6.7.
pub(super) fn parse_date(text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?;
    // The epoch is what servers say who mean "long ago"; before it there is nothing.
    httpdate::parse_http_date(text).ok().filter(|time| *time >= UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
