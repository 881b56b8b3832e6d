//! Signs requests for services of Amazon Web Services and whoever speaks their way (Signature Version 4).
//!
//! Takes the request as it will be sent; adds `Authorization`, `X-Amz-Date`, `X-Amz-Content-Sha256` and the session's token in
//! the place of whatever the client sent of them. Signs the method, the path, the query, the host, what the body is and its
//! type; bodies are not read, so that one is signed by the hash that the client says it has, or not at all. The key of a day is
//! made once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use aws_lc_rs::{digest, hmac};
use http1::{Framing, Name, names};

use super::sending::is_value;
use crate::config::{AwsCredentials, Diagnostics, codes};
use crate::exchange::Exchange;
use crate::exchange::source::decoded;
use crate::http::trust::Pattern;

/// What stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Signs for one service.
pub struct AwsSigner {
    access_key: Box<str>,
    secret: Box<str>,
    token: Option<Box<str>>,
    region: Box<str>,
    service: Box<str>,
    of_day: ArcSwapOption<Day>,
}

/// The key of a day.
struct Day {
    date: Box<str>,
    key: hmac::Key,
}

impl AwsSigner {
    /// Signs with these keys; reports what is wrong with them.
    pub(super) fn new(written: &AwsCredentials, faults: &mut Diagnostics) -> AwsSigner {
        let words =
            [("access_key", &written.access_key), ("region", &written.region), ("service", &written.service)];
        for (name, word) in words {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if word.is_empty() || !word.bytes().all(plain) {
                let text = format!("`{}` is no `{name}`", word.escape_debug());
                let fault = faults.error(codes::BAD_VALUE, word.span(), text);
                fault.help("write letters, digits, `-`, `.` and `_`, as in `eu-central-1`");
            }
        }
        if let Some(token) = written.session_token.as_ref().filter(|token| !is_value(token.expose())) {
            let fault = faults.error(codes::BAD_VALUE, token.span(), "the token cannot stand in a header");
            fault.help("write printable ASCII on one line");
        }
        AwsSigner {
            access_key: written.access_key.as_str().into(),
            secret: written.secret_key.expose().into(),
            token: written.session_token.as_ref().map(|token| token.expose().into()),
            region: written.region.as_str().into(),
            service: written.service.as_str().into(),
            of_day: ArcSwapOption::empty(),
        }
    }

    /// Takes out what the client sent in the place of a signature, and writes the query as it will be signed: in another
    /// spelling than ours a service could read it in another way.
    pub(super) fn prepare(&self, exchange: &mut Exchange) {
        let own = ["x-amz-date", "x-amz-security-token"].map(Pattern::new);
        exchange.request.fields.remove(names::AUTHORIZATION);
        exchange.request.fields.retain(|field| !own.iter().any(|name| name.matches(field.name)));
        if let Some(query) = exchange.upstream_query() {
            let mut spelled = Vec::with_capacity(query.len());
            for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
                if !spelled.is_empty() {
                    spelled.push(b'&');
                }
                let equals = memchr::memchr(b'=', pair);
                let (name, value) = halves(pair);
                encode(&mut spelled, &decoded(name), b"");
                if equals.is_some() {
                    spelled.push(b'=');
                    encode(&mut spelled, &decoded(value), b"");
                }
            }
            exchange.plan.query = Some(spelled);
        }
    }

    /// Signs the request, which has its last host, path and query.
    pub(super) fn sign(&self, exchange: &mut Exchange, at: SystemTime) {
        let time = time(at);
        let empty = matches!(exchange.request.framing, Framing::None | Framing::Length(0));
        let told = Name::new(b"X-Amz-Content-Sha256").ok();
        let known = told.and_then(|name| exchange.request.fields.get(name)).filter(|hash| is_hash(hash));
        let payload = match (empty, known) {
            (true, _) => hex(digest::digest(&digest::SHA256, b"").as_ref()),
            (false, Some(hash)) => String::from_utf8_lossy(hash).to_ascii_lowercase(),
            (false, None) => UNSIGNED.to_owned(),
        };
        let mut lines = vec![("x-amz-content-sha256", payload.clone()), ("x-amz-date", time.clone())];
        if let Some(token) = &self.token {
            lines.push(("x-amz-security-token", token.to_string()));
        }
        let fields = &mut exchange.request.fields;
        for (name, value) in &lines {
            if let Ok(name) = Name::new(name.as_bytes()) {
                fields.set(name, value.as_bytes());
            }
        }
        for name in [names::HOST, names::CONTENT_TYPE] {
            if let Some(value) = fields.get(name) {
                let own = if name == names::HOST { "host" } else { "content-type" };
                lines.push((own, String::from_utf8_lossy(value).into_owned()));
            }
        }
        let path = exchange.upstream_path().to_vec();
        let query = exchange.upstream_query().unwrap_or_default().to_vec();
        let method = exchange.request.method_text().to_vec();
        let asked = Asked { method: &method, path: &path, query: &query, lines, payload: &payload };
        let value = self.authorization(asked, &time);
        exchange.request.fields.set(names::AUTHORIZATION, value.as_bytes());
    }

    /// The value of `Authorization`.
    fn authorization(&self, asked: Asked<'_>, time: &str) -> String {
        let date = time.get(..8).unwrap_or_default();
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let (canonical, signed) = asked.canonical(*self.service == *"s3");
        let hash = hex(digest::digest(&digest::SHA256, &canonical).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let signature = hex(hmac::sign(&self.key(date).key, text.as_bytes()).as_ref());
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.access_key
        )
    }

    fn key(&self, date: &str) -> Arc<Day> {
        if let Some(known) = self.of_day.load_full().filter(|day| *day.date == *date) {
            return known;
        }
        let step =
            |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let first = step(format!("AWS4{}", self.secret).as_bytes(), date);
        let second = step(first.as_ref(), &self.region);
        let third = step(second.as_ref(), &self.service);
        let last = step(third.as_ref(), "aws4_request");
        let day = Arc::new(Day { date: date.into(), key: hmac::Key::new(hmac::HMAC_SHA256, last.as_ref()) });
        self.of_day.store(Some(day.clone()));
        day
    }
}

/// What is signed of a request.
struct Asked<'a> {
    method: &'a [u8],
    path: &'a [u8],
    query: &'a [u8],
    /// Names in lower case, and values.
    lines: Vec<(&'a str, String)>,
    payload: &'a str,
}

impl Asked<'_> {
    /// The canonical request, and the names of the lines that are signed.
    fn canonical(mut self, as_is: bool) -> (Vec<u8>, String) {
        let mut out = self.method.to_vec();
        out.push(b'\n');
        match as_is {
            true => out.extend_from_slice(self.path),
            false => encode(&mut out, self.path, b"/"),
        }
        out.push(b'\n');
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for pair in self.query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = halves(pair);
            let spelled = |part: &[u8]| {
                let mut out = Vec::new();
                encode(&mut out, &decoded(part), b"");
                out
            };
            pairs.push((spelled(name), spelled(value)));
        }
        pairs.sort_unstable();
        for (nth, (name, value)) in pairs.iter().enumerate() {
            out.extend_from_slice(if nth == 0 { b"" } else { b"&" });
            out.extend([name.as_slice(), b"=", value.as_slice()].concat());
        }
        out.push(b'\n');
        self.lines.sort_unstable();
        for (name, value) in &self.lines {
            let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
            out.extend_from_slice(format!("{name}:{}\n", words.join(" ")).as_bytes());
        }
        let signed = self.lines.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        out.extend_from_slice(format!("\n{signed}\n{}", self.payload).as_bytes());
        (out, signed)
    }
}

fn halves(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    (pair.get(..equals).unwrap_or_default(), pair.get(equals.saturating_add(1)..).unwrap_or_default())
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3) and these.
fn encode(out: &mut Vec<u8>, text: &[u8], kept: &[u8]) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || kept.contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

fn is_hash(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20150830T123600Z`.
fn time(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Eras of 400 years that begin with March, so that a leap day is the last of a year.
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
