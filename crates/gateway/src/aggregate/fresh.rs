//! How long the one answer may be kept: no longer, and by no more, than each of the answers in it.
//!
//! Takes the heads of the parts' answers; gives `Cache-Control` and `Vary` for the whole. What one of them forbids is
//! forbidden for all of it; what none speaks of is left to the route.

use std::time::SystemTime;

use http1::{Fields, names};

use crate::http::list::elements;
use crate::policies::cache::Directives;

/// What the answers so far allow.
#[derive(Debug, Default)]
pub struct Fresh {
    forbidden: bool,
    private: bool,
    no_cache: bool,
    must_revalidate: bool,
    /// Answers, and those of them that callers with credentials may share.
    answers: usize,
    shareable: usize,
    /// The shortest lifetime that one of them named.
    seconds: Option<u64>,
    vary: Vec<Vec<u8>>,
}

impl Fresh {
    /// The whole is not to be kept, whatever the answers say.
    pub fn forbid(&mut self) {
        self.forbidden = true;
    }

    /// Takes the head of an answer in, which came at this time.
    pub fn add(&mut self, fields: &Fields, now: SystemTime) {
        let said = Directives::of_answer(fields);
        self.answers = self.answers.saturating_add(1);
        self.shareable = self.shareable.saturating_add(usize::from(said.shareable()));
        self.forbidden |= said.no_store;
        self.private |= said.private || fields.contains(names::SET_COOKIE);
        self.no_cache |= said.no_cache;
        self.must_revalidate |= said.must_revalidate;
        let named = said.s_maxage.or(said.max_age);
        let age = fields.get(names::AGE).map_or(0, |age| number(age).unwrap_or(u64::MAX));
        let left = named.map(|seconds| seconds.saturating_sub(age)).or_else(|| expires(fields, now));
        self.seconds = match (self.seconds, left) {
            (Some(known), Some(left)) => Some(known.min(left)),
            (known, left) => known.or(left),
        };
        for name in fields.get_all(names::VARY).flat_map(elements) {
            // The parts were asked for one form and one coding, whatever the client says of them.
            let own = name.eq_ignore_ascii_case(b"accept") || name.eq_ignore_ascii_case(b"accept-encoding");
            if !own && !self.vary.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                self.vary.push(name.to_vec());
            }
        }
    }

    /// Writes it into the head of the whole.
    pub fn tell(&self, fields: &mut Fields) {
        let mut words: Vec<String> = Vec::new();
        if self.forbidden {
            words.push("no-store".to_owned());
        } else {
            let said = [
                (self.private, "private"),
                (self.no_cache, "no-cache"),
                (self.must_revalidate, "must-revalidate"),
            ];
            words.extend(said.iter().filter(|(is_said, _)| *is_said).map(|(_, word)| (*word).to_owned()));
            if !self.private && self.answers > 0 && self.shareable == self.answers {
                words.push("public".to_owned());
            }
            words.extend(self.seconds.map(|seconds| format!("max-age={seconds}")));
        }
        if !words.is_empty() {
            fields.set(names::CACHE_CONTROL, words.join(", ").as_bytes());
        }
        if !self.vary.is_empty() {
            fields.set(names::VARY, &self.vary.join(&b", "[..]));
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What `Expires` leaves; nothing where it is no date (RFC 9111 section 5.3).
fn expires(fields: &Fields, now: SystemTime) -> Option<u64> {
    let text = fields.get(names::EXPIRES)?;
    let until = std::str::from_utf8(text).ok().and_then(|text| httpdate::parse_http_date(text).ok());
    Some(until.and_then(|until| until.duration_since(now).ok()).map_or(0, |left| left.as_secs()))
}

#[cfg(test)]
mod tests {
    use http1::Name;

    use super::*;

    fn told(answers: &[&[(&str, &str)]]) -> String {
        let mut fresh = Fresh::default();
        for answer in answers {
            let mut fields = Fields::new();
            for (name, value) in *answer {
                fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
            }
            fresh.add(&fields, SystemTime::UNIX_EPOCH);
        }
        let mut fields = Fields::new();
        fresh.tell(&mut fields);
        let line = |name| {
            fields.get(name).map(|value| String::from_utf8(value.to_vec()).unwrap()).unwrap_or_default()
        };
        format!("{}|{}", line(names::CACHE_CONTROL), line(names::VARY))
    }

    #[test]
    fn the_strictest_word_counts() {
        let cache = |value: &'static str| [("Cache-Control", value)];
        assert_eq!(told(&[&[], &[]]), "|");
        assert_eq!(told(&[&cache("max-age=60"), &cache("max-age=5, public"), &[]]), "max-age=5|");
        assert_eq!(told(&[&cache("public, max-age=60"), &cache("s-maxage=5")]), "public, max-age=5|");
        assert_eq!(told(&[&cache("max-age=60"), &cache("no-store")]), "no-store|");
        assert_eq!(told(&[&cache("public, max-age=60"), &cache("private")]), "private, max-age=60|");
        assert_eq!(told(&[&[("Set-Cookie", "a=1")], &[]]), "private|");
        assert_eq!(told(&[&[("Cache-Control", "max-age=60"), ("Age", "50")]]), "max-age=10|");
        assert_eq!(told(&[&[("Cache-Control", "max-age=60"), ("Age", "soon")]]), "max-age=0|");
        assert_eq!(told(&[&[("Expires", "0")]]), "max-age=0|");
        assert_eq!(
            told(&[&[("Vary", "Accept-Encoding, X-A")], &[("Vary", "x-a, Accept-Language")]]),
            "|X-A, Accept-Language"
        );
    }
}
