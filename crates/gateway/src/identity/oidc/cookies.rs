//! The cookies of a login: one name, in as many parts as a browser needs, never for pages to read.
//!
//! Under TLS the name begins with `__Host-`, so that no other host and no page in clear can set it (RFC 6265bis section
//! 4.1.3). Two cookies of one name are none.

use std::borrow::Cow;

use http1::names;

use crate::exchange::Exchange;

/// Bytes of one part: with its name and attributes a cookie of 4 KiB, which is what browsers take.
const PART: usize = 3_800;
/// Most parts: together they fit into a header of the usual limit.
const MOST_PARTS: usize = 3;

/// The cookies of one policy.
pub struct Cookies {
    plain: String,
    host: String,
    secure: bool,
}

impl Cookies {
    /// With names that begin so; `secure` where browsers use TLS, whatever is known of the connection.
    pub fn new(name: &str, secure: bool) -> Cookies {
        Cookies { plain: name.to_owned(), host: format!("__Host-{name}"), secure }
    }

    /// Whether the browser uses TLS.
    pub fn is_secure(&self, exchange: &Exchange) -> bool {
        self.secure || exchange.client.https
    }

    fn base(&self, exchange: &Exchange) -> &str {
        if self.is_secure(exchange) { &self.host } else { &self.plain }
    }

    /// The name of a cookie beside the session.
    pub fn name(&self, exchange: &Exchange, what: &str) -> String {
        format!("{}-{what}", self.base(exchange))
    }

    /// The value of the session.
    pub fn session<'e>(&self, exchange: &'e Exchange) -> Option<Cow<'e, [u8]>> {
        let base = self.base(exchange);
        let first = value(exchange, base)?;
        let Some(dot) = memchr::memchr(b'.', first) else { return Some(Cow::Borrowed(first)) };
        let (parts, start) = first.split_at_checked(dot)?;
        let parts: usize = std::str::from_utf8(parts).ok()?.parse().ok()?;
        let mut whole = start.get(1..)?.to_vec();
        for place in 1..parts.min(MOST_PARTS) {
            whole.extend_from_slice(value(exchange, &format!("{base}-{place}"))?);
        }
        Some(Cow::Owned(whole))
    }

    /// Lines that set the session, and take away parts of one that had more. None when no browser would keep it.
    pub fn set_session(&self, exchange: &Exchange, value: &str, seconds: u64) -> Option<Vec<Vec<u8>>> {
        let base = self.base(exchange);
        let parts = value.len().div_ceil(PART).max(1);
        if parts > MOST_PARTS {
            return None;
        }
        let mut lines = Vec::new();
        let mut rest = value;
        for place in 0..MOST_PARTS {
            let (part, after) = rest.split_at_checked(PART).unwrap_or((rest, ""));
            rest = after;
            let name = if place == 0 { base.to_owned() } else { format!("{base}-{place}") };
            match (place, part) {
                (0, part) if parts > 1 => {
                    lines.push(self.set(exchange, &name, &format!("{parts}.{part}"), seconds))
                }
                (_, "") if self::value(exchange, &name).is_some() => {
                    lines.push(self.set(exchange, &name, "", 0))
                }
                (_, "") => {}
                (_, part) => lines.push(self.set(exchange, &name, part, seconds)),
            }
        }
        Some(lines)
    }

    /// Lines that take the session away.
    pub fn end_session(&self, exchange: &Exchange) -> Vec<Vec<u8>> {
        let base = self.base(exchange);
        let names =
            (0..MOST_PARTS).map(|place| if place == 0 { base.to_owned() } else { format!("{base}-{place}") });
        let there = names.filter(|name| value(exchange, name).is_some());
        there.map(|name| self.set(exchange, &name, "", 0)).collect()
    }

    /// The line that sets a cookie for so long; 0 takes it away.
    pub fn set(&self, exchange: &Exchange, name: &str, value: &str, seconds: u64) -> Vec<u8> {
        let secure = if self.is_secure(exchange) { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}").into_bytes()
    }

    /// The value of a cookie; none when it stands there twice.
    pub fn get<'e>(&self, exchange: &'e Exchange, name: &str) -> Option<&'e [u8]> {
        value(exchange, name)
    }

    /// The cookies beside the session whose names go on so: names and values.
    pub fn all<'e>(&self, exchange: &'e Exchange, what: &str) -> Vec<(String, &'e [u8])> {
        let beginning = self.name(exchange, what);
        let matching = all(exchange).filter(|(name, _)| name.starts_with(beginning.as_bytes()));
        matching
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?.to_owned(), value)))
            .collect()
    }

    /// Takes all of them out of the request.
    pub fn take(&self, exchange: &mut Exchange) {
        let own = |name: &[u8]| {
            [&self.plain, &self.host].into_iter().any(|base| {
                let rest = name.strip_prefix(base.as_bytes());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
            })
        };
        if !all(exchange).any(|(name, _)| own(name)) {
            return;
        }
        let kept: Vec<Vec<u8>> = exchange
            .request
            .fields
            .get_all(names::COOKIE)
            .map(|line| pairs(line).filter(|pair| !own(split(pair).0)).collect::<Vec<_>>().join(&b"; "[..]))
            .filter(|line| !line.is_empty())
            .collect();
        exchange.request.fields.retain(|field| field.id != http1::FieldId::Cookie);
        kept.iter().for_each(|line| exchange.request.fields.push(names::COOKIE, line));
    }
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    let (name, value) = pair.split_at_checked(equals).unwrap_or((pair, b""));
    (name, value.get(1..).unwrap_or_default())
}

fn all(exchange: &Exchange) -> impl Iterator<Item = (&[u8], &[u8])> {
    exchange.request.fields.get_all(names::COOKIE).flat_map(pairs).map(split)
}

fn value<'e>(exchange: &'e Exchange, wanted: &str) -> Option<&'e [u8]> {
    let mut values = all(exchange).filter(|(name, _)| *name == wanted.as_bytes()).map(|(_, value)| value);
    let (first, second) = (values.next(), values.next());
    first.filter(|value| second.is_none() && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&str]) -> Exchange {
        let mut exchange = Exchange::default();
        lines.iter().for_each(|line| exchange.request.fields.push(names::COOKIE, line.as_bytes()));
        exchange
    }

    /// What a browser sends back after these lines.
    fn browser(lines: &[Vec<u8>]) -> String {
        let text = |line: &Vec<u8>| String::from_utf8(line.clone()).unwrap();
        let lines = lines.iter().map(text).filter(|line| !line.contains("Max-Age=0;"));
        lines.map(|line| line.split(';').next().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_session_comes_back_whole_however_long() {
        let cookies = Cookies::new("tg", false);
        for length in [1, PART, PART + 1, 3 * PART] {
            let value: String = (0..length).map(|place| char::from(b'a' + (place % 26) as u8)).collect();
            let lines = cookies.set_session(&Exchange::default(), &value, 60).unwrap();
            let back = with(&[&format!("other=1; {}", browser(&lines))]);
            assert_eq!(cookies.session(&back).as_deref(), Some(value.as_bytes()), "{length}");
            let shorter = cookies.set_session(&back, "x", 60).unwrap();
            assert_eq!(shorter.len(), length.div_ceil(PART), "what is left over is taken away");
            assert_eq!(cookies.end_session(&back).len(), length.div_ceil(PART));
            let mut taken = with(&[&format!("other=1; {}", browser(&lines)), "tgx=2"]);
            cookies.take(&mut taken);
            let left: Vec<_> = taken.request.fields.get_all(names::COOKIE).collect();
            assert_eq!(left, [&b"other=1"[..], b"tgx=2"]);
        }
        assert!(cookies.set_session(&Exchange::default(), &"x".repeat(3 * PART + 1), 60).is_none());
    }

    #[test]
    fn a_session_that_is_not_whole_is_none() {
        let cookies = Cookies::new("tg", false);
        for lines in [
            &["tg=1; tg=2"][..],
            &["tg=a", "tg=b"],
            &["tg=2.a"],
            &["tg=2.a; tg-1=b; tg-1=c"],
            &["tg="],
            &["tgx=1"],
        ] {
            assert_eq!(cookies.session(&with(lines)), None, "{lines:?}");
        }
        let mut secure = with(&["tg=evil; __Host-tg=good"]);
        secure.client.https = true;
        assert_eq!(cookies.session(&secure).as_deref(), Some(&b"good"[..]));
        let line = String::from_utf8(cookies.set(&secure, "__Host-tg", "x", 60)).unwrap();
        assert_eq!(line, "__Host-tg=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
    }
}
