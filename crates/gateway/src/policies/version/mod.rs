//! `version`: which version of an interface a route is, what clients are told of its end, and who still calls it.
//!
//! Takes a request at its time: refuses it once the version has ended, or while it is to be felt that it will; refuses a version
//! that there is not. Tells on each answer since when it is deprecated, when it ends and what comes after it. Counts by caller.

pub mod report;
mod settings;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::Name;

use super::rewrite::location;
use super::{Place, Policy};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::values::{Template, When};
use report::Report;
pub use settings::{Life, Version};

/// The name under which the report of the process is found again after a reload.
pub const REPORT: &str = "versions";

/// The policy, ready to run.
pub struct Compiled {
    /// The version's name; the route's key where it has none.
    name: Arc<str>,
    route: Arc<str>,
    life: Lived,
    asked: Option<Asked>,
    report: Option<Arc<Report>>,
    /// Unlike that of any other one of this process.
    id: u64,
}

/// How long a version lives, as it runs.
#[derive(Default)]
struct Lived {
    deprecated: Option<(SystemTime, Vec<u8>)>,
    sunset: Option<(SystemTime, Vec<u8>)>,
    successor: Option<Template>,
    docs: Option<String>,
    brown_outs: Vec<Brown>,
}

/// A time at which a share of the requests is refused.
struct Brown {
    when: When,
    /// In parts of a million.
    share: u32,
    from: Option<SystemTime>,
    until: Option<SystemTime>,
}

/// How clients say which version they want, where it is not the path.
struct Asked {
    by: By,
    /// The names of this version.
    own: Vec<String>,
    /// The names of the others.
    others: Vec<String>,
    /// Whether who says nothing gets this one.
    is_default: bool,
}

/// Where they say it.
enum By {
    Header(String),
    Query(String),
    MediaType(String),
}

/// What is told of a version on a route.
pub struct Told<'v> {
    /// Its name; the route's key where it has none.
    pub version: &'v str,
    /// The route's key.
    pub route: &'v str,
    /// Since when it is deprecated.
    pub deprecated: Option<SystemTime>,
    /// When it ends.
    pub sunset: Option<SystemTime>,
    /// What comes after it, as written.
    pub successor: Option<String>,
    /// Who calls it.
    pub report: Option<&'v Arc<Report>>,
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        self.route = place.route.into();
        if self.name.is_empty() {
            self.name = place.route.into();
        }
        self.report = Some(place.lives.keep(REPORT, |before| before.cloned().unwrap_or_default()));
    }

    fn version(&self) -> Option<Told<'_>> {
        Some(Told {
            version: &self.name,
            route: &self.route,
            deprecated: self.life.deprecated.as_ref().map(|(at, _)| *at),
            sunset: self.life.sunset.as_ref().map(|(at, _)| *at),
            successor: self.life.successor.as_ref().map(ToString::to_string),
            report: self.report.as_ref(),
        })
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if let Some(answer) = self.asked.as_ref().and_then(|asked| asked.refusal(exchange)) {
            return Verdict::answer(answer);
        }
        let now = exchange.record.started_at;
        match self.life.refusal(now, exchange) {
            Some(answer) => Verdict::answer(answer),
            None => Verdict::Go,
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        self.life.tell(exchange);
        if let Some(name) = self.asked.as_ref().and_then(|asked| asked.by.vary()) {
            exchange.response.fields.push(http1::names::VARY, name.as_bytes());
        }
        let Some(report) = self.report.as_ref().filter(|_| !exchange.rehearsal) else { return };
        let caller = exchange.identity.as_ref().and_then(|identity| identity.name()).unwrap_or("");
        let refused = exchange.record.refused_by == Some("version");
        report.count((self.id, &self.name, &self.route), caller, exchange.record.started_at, refused);
    }
}

impl Lived {
    /// The answer of a version that has ended, or that is not to be had at this time.
    fn refusal(&self, now: SystemTime, exchange: &Exchange) -> Option<Answer> {
        if let Some((end, _)) = self.sunset.as_ref().filter(|(end, _)| *end <= now) {
            let text = format!("this version ended on {}", day(*end));
            return Some(Answer::problem(410, "version_ended", text));
        }
        let brown = self.brown_outs.iter().find_map(|brown| brown.runs(now, exchange.trace.span_id))?;
        let text = match &self.sunset {
            Some((end, _)) => format!("this version ends on {} and is not to be had at this time", day(*end)),
            None => "this version is about to end and is not to be had at this time".to_owned(),
        };
        Some(Answer::problem(410, "brown_out", text).with("Retry-After", brown.as_secs().max(1).to_string()))
    }

    /// Tells the end on an answer.
    fn tell(&self, exchange: &mut Exchange) {
        for (name, told) in [(&b"Deprecation"[..], &self.deprecated), (b"Sunset", &self.sunset)] {
            if let (Some((_, text)), Ok(name)) = (told, Name::new(name)) {
                exchange.response.fields.set(name, text);
            }
        }
        let Ok(link) = Name::new(b"Link") else { return };
        if let Some(successor) = &self.successor {
            let target = location::location(exchange, successor);
            // What a request brings can end neither the target nor the line.
            if target.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>')) {
                let value = [&b"<"[..], &target, b">; rel=\"successor-version\""].concat();
                exchange.response.fields.push(link, &value);
            }
        }
        if let Some(docs) = &self.docs {
            for (is_told, rel) in
                [(self.deprecated.is_some(), "deprecation"), (self.sunset.is_some(), "sunset")]
            {
                if is_told {
                    let value = format!("<{docs}>; rel=\"{rel}\"; type=\"text/html\"");
                    exchange.response.fields.push(link, value.as_bytes());
                }
            }
        }
    }
}

impl Brown {
    /// How long it lasts from now on, if it has one request of this number.
    fn runs(&self, now: SystemTime, number: u64) -> Option<Duration> {
        let begun = self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until);
        if !begun || number % 1_000_000 >= u64::from(self.share) {
            return None;
        }
        let second = i64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
        let (from, until) = self.when.after(second)?;
        let left = u64::try_from(until.checked_sub(second)?).ok()?;
        (from <= second).then(|| Duration::from_secs(left))
    }
}

impl Asked {
    /// The answer to who asks for a version that there is not.
    fn refusal(&self, exchange: &Exchange) -> Option<Answer> {
        let asked = self.by.asked(exchange);
        if asked.is_empty() && self.is_default {
            return None;
        }
        if asked.iter().any(|name| self.own.contains(name)) {
            return None;
        }
        let status = if matches!(self.by, By::MediaType(_)) { 406 } else { 400 };
        // Who is here asks for another version, and this resource is none of it.
        if asked.iter().any(|name| self.others.contains(name)) {
            return Some(Answer::problem(404, "not_in_version", "this version has no such resource"));
        }
        let known: Vec<&str> = self.own.iter().chain(&self.others).map(String::as_str).collect();
        let text = format!("there is no such version; there are {}", known.join(", "));
        Some(Answer::problem(status, "unknown_version", text))
    }
}

impl By {
    /// The field by which answers differ.
    fn vary(&self) -> Option<&str> {
        match self {
            By::Header(name) => Some(name),
            By::Query(_) => None,
            By::MediaType(_) => Some("Accept"),
        }
    }

    /// The versions that a request asks for.
    fn asked(&self, exchange: &Exchange) -> Vec<String> {
        let text = |value: &[u8]| String::from_utf8_lossy(value.trim_ascii()).into_owned();
        let fields = &exchange.request.fields;
        match self {
            By::Header(name) => match Name::new(name.as_bytes()) {
                Ok(name) => fields.get_all(name).map(text).collect(),
                Err(_) => Vec::new(),
            },
            By::Query(name) => {
                let source = crate::values::Source::Query(name.clone());
                exchange.source(&source).iter().map(|value| text(value)).collect()
            }
            By::MediaType(name) => {
                let all = fields.get_all(http1::names::ACCEPT).flat_map(crate::http::list::elements);
                all.filter_map(|range| media_version(range, name)).collect()
            }
        }
    }
}

/// The version in a media type such as `application/vnd.shop.v2+json;q=0.5`.
fn media_version(range: &[u8], name: &str) -> Option<String> {
    let range = std::str::from_utf8(range).ok()?;
    let kind = range.split(';').next().unwrap_or_default().trim();
    let start = format!("application/{name}.");
    let (head, rest) = kind.split_at_checked(start.len())?;
    let version = rest.split('+').next().unwrap_or_default();
    (head.eq_ignore_ascii_case(&start) && !version.is_empty()).then(|| version.to_owned())
}

/// The day of a moment, for people.
fn day(at: SystemTime) -> String {
    let text = httpdate::fmt_http_date(at);
    text.get(5..16).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests;
