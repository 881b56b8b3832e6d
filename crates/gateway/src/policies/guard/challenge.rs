//! What a client is asked to do before it may go on: work of its browser, a code of its authenticator, or a verification of the
//! operator's own.
//!
//! Takes a request; says whether the client has done it, and gives the answer that asks for it or takes it in. No third party,
//! no script from elsewhere: `page` has the pages, `code` says which codes are good.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use http1::{Method, names};

use super::code::{Codes, Typed};
use super::page;
use super::pass::{self, Bearer, Kind, Sealer};
use super::table::Who;
use crate::exchange::{Answer, Exchange, Problem};
use crate::identity::Totp;

/// Type of the problem (draft-ietf-httpapi-ratelimit-headers-10 section 4.3).
const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
const TITLE: &str = "Request not satisfied due to detection of abnormal request pattern";
/// The cookies.
const PASS: &str = "tidegate_pass";
const PROOF: &str = "tidegate_proof";
const CODE: &str = "tidegate_code";
const CODE_PASS: &str = "tidegate_code_pass";
/// The word in the query by which the operator's verification answers.
const VERIFIED: &str = "tidegate_verified";
/// Seconds for a task, and for a verification.
const TASK_TIME: u64 = 600;
const QUESTION_TIME: u64 = 1_800;

/// The challenge of a watch.
pub(super) struct Challenge {
    pub(super) sealer: Sealer,
    pub(super) bits: u32,
    pub(super) lasts: Duration,
    /// What is remembered of codes; none where nobody is asked for one.
    pub(super) codes: Option<Arc<Codes>>,
    /// The operator's own verification, and the secret that is common with it.
    pub(super) elsewhere: Option<(String, Vec<u8>)>,
}

/// A secret by chance.
pub(super) fn chance() -> [u8; 32] {
    let mut secret = [0; 32];
    // Without random numbers of the system TLS could not begin either.
    let _ = rand::fill(&mut secret);
    secret
}

impl Challenge {
    /// Whether the client has met it lately.
    pub(super) fn is_met(&self, exchange: &Exchange, bearer: Bearer<'_>) -> bool {
        let (cookie, kind) =
            if bearer.consumer.is_empty() { (PASS, Kind::Pass) } else { (CODE_PASS, Kind::Code) };
        let pass = exchange.cookie(cookie);
        pass.is_some_and(|pass| self.sealer.holds(kind, pass, bearer, second(exchange)))
    }

    /// The answer to a request that brings what was asked for.
    pub(super) fn met(&self, exchange: &Exchange, who: Who) -> Option<Answer> {
        if !matches!(exchange.request.method, Method::Get | Method::Head) {
            return None;
        }
        let now = second(exchange);
        let proof = exchange.cookie(PROOF);
        if self.elsewhere.is_none()
            && proof.is_some_and(|proof| self.sealer.is_solved(proof, who, now, self.bits))
        {
            return Some(self.sent_on(exchange, who.into(), &exchange.query));
        }
        let (_, secret) = self.elsewhere.as_ref()?;
        let (word, rest) = verified(&exchange.query)?;
        let question = pass::is_confirmed(secret, word)?;
        let holds = self.sealer.holds(Kind::Question, &question, who.into(), now);
        holds.then(|| self.sent_on(exchange, who.into(), &rest))
    }

    /// To the same page again, with a pass.
    fn sent_on(&self, exchange: &Exchange, bearer: Bearer<'_>, query: &[u8]) -> Answer {
        let (cookie, kind, done) = if bearer.consumer.is_empty() {
            (PASS, Kind::Pass, PROOF)
        } else {
            (CODE_PASS, Kind::Code, CODE)
        };
        let until = second(exchange).saturating_add(self.lasts.as_secs());
        let pass = self.sealer.seal(kind, bearer, until, salt(exchange));
        let mut to = exchange.path.clone();
        // Two slashes at the beginning would lead to another host.
        if to.starts_with(b"//") {
            to.insert(0, b'.');
            to.insert(0, b'/');
        }
        if !query.is_empty() {
            to.push(b'?');
            to.extend_from_slice(query);
        }
        Answer::empty(303, "guard_challenge_met")
            .with("Location", to)
            .with("Set-Cookie", set(exchange, cookie, &pass, self.lasts.as_secs()))
            .with("Set-Cookie", set(exchange, done, "", 0))
            .with("Cache-Control", "no-store")
    }

    /// The answer that asks for it.
    pub(super) fn ask(&self, exchange: &Exchange, who: Who, wait: u64) -> Answer {
        if !wants_page(exchange) {
            return refusal(429, "guard_challenge", wait);
        }
        let (now, salt) = (second(exchange), salt(exchange));
        if let Some((url, _)) = &self.elsewhere {
            let until = now.saturating_add(QUESTION_TIME);
            let question = self.sealer.seal(Kind::Question, who.into(), until, salt);
            let between = if url.contains('?') { '&' } else { '?' };
            let back = escaped(&back(exchange));
            let to = format!("{url}{between}token={question}&return={back}");
            return Answer::empty(303, "guard_challenge")
                .with("Location", to)
                .with("Cache-Control", "no-store");
        }
        let task = self.sealer.seal(Kind::Task, who.into(), now.saturating_add(TASK_TIME), salt);
        page::TASK.shown(&[("{TASK}", &task), ("{BITS}", &self.bits.to_string())], "guard_challenge", wait)
    }

    /// The code that the page has sent along, if any.
    pub(super) fn code<'e>(&self, exchange: &'e Exchange) -> Option<&'e [u8]> {
        exchange.cookie(CODE).filter(|code| !code.is_empty() && wants_page(exchange))
    }

    /// Takes a code in: the way on where it is good, else why it is not.
    pub(super) fn typed(
        &self,
        exchange: &Exchange,
        (bearer, totp): (Bearer<'_>, &Totp),
        code: &[u8],
    ) -> Result<Answer, Typed> {
        let codes = self.codes.as_ref().ok_or(Typed::Wrong)?;
        match codes.take(bearer.consumer, totp, code, second(exchange)) {
            Typed::Right => Ok(self.sent_on(exchange, bearer, &exchange.query)),
            not => Err(not),
        }
    }

    /// The answer that asks for a code, after one that was typed or none.
    pub(super) fn ask_for_code(&self, exchange: &Exchange, typed: Option<Typed>, wait: u64) -> Answer {
        if !wants_page(exchange) {
            return refusal(429, "guard_challenge", wait);
        }
        let page = |said: &str, reason: &'static str, wait: u64| {
            page::CODE.shown(&[("{SAID}", said)], reason, wait).with("Set-Cookie", set(exchange, CODE, "", 0))
        };
        match typed {
            None | Some(Typed::Right) => page("", "guard_challenge", wait),
            Some(Typed::Wrong) => page(
                "This code is not the right one, or was used before. Please type the one that the app shows now.",
                "guard_code_wrong",
                wait,
            ),
            Some(Typed::TooOften(left)) => {
                let minutes = left.div_ceil(60);
                let said = format!("Too many codes were wrong. Please try again in {minutes} min.");
                page(&said, "guard_code_wrong", left)
            }
        }
    }
}

/// A line that sets a cookie for so many seconds.
fn set(exchange: &Exchange, name: &str, value: &str, age: u64) -> String {
    let secure = if exchange.client.https { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

/// The refusal of who behaves abnormally.
pub(super) fn refusal(status: u16, reason: &'static str, wait: u64) -> Answer {
    let problem = Problem {
        kind: PROBLEM,
        title: TITLE,
        detail: "requests from here are not as usual; try again later, and more slowly".to_owned(),
        members: Vec::new(),
    };
    Answer::typed_problem(status, reason, problem).with("Retry-After", wait.max(1).to_string())
}

/// Whether it is a browser that goes to a page: whatever else it fetches could not show one.
fn wants_page(exchange: &Exchange) -> bool {
    let fields = &exchange.request.fields;
    let accepts =
        fields.get(names::ACCEPT).is_some_and(|accept| memchr::memmem::find(accept, b"text/html").is_some());
    let mode = fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"sec-fetch-mode"));
    let goes = mode.is_none_or(|mode| mode.value == b"navigate");
    matches!(exchange.request.method, Method::Get | Method::Head) && accepts && goes
}

fn second(exchange: &Exchange) -> u64 {
    let since = exchange.record.started_at.duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// What makes two texts of one second differ.
fn salt(exchange: &Exchange) -> u64 {
    let id = exchange.id.as_bytes();
    id.iter().fold(0, |salt: u64, byte| salt.rotate_left(7) ^ u64::from(*byte))
}

/// The word of the operator's verification in a query, and the query without it.
fn verified(query: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let mut word = None;
    let mut rest: Vec<&[u8]> = Vec::new();
    for pair in query.split(|byte| *byte == b'&') {
        match pair.strip_prefix(VERIFIED.as_bytes()).and_then(|value| value.strip_prefix(b"=")) {
            Some(value) => word = Some(value),
            None => rest.push(pair),
        }
    }
    word.map(|word| (word, rest.join(&b'&')))
}

/// The URL that was asked for.
fn back(exchange: &Exchange) -> Vec<u8> {
    let mut url = if exchange.client.https { b"https://".to_vec() } else { b"http://".to_vec() };
    url.extend_from_slice(exchange.request.fields.get(names::HOST).unwrap_or(&exchange.host));
    url.extend_from_slice(&exchange.path);
    let query = verified(&exchange.query).map_or_else(|| exchange.query.clone(), |(_, rest)| rest);
    if !query.is_empty() {
        url.push(b'?');
        url.extend_from_slice(&query);
    }
    url
}

/// For the value of a query (RFC 3986 section 2.3).
fn escaped(text: &[u8]) -> String {
    text.iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(*byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_the_verification_is_taken_out_of_the_query() {
        let told = |query: &str| verified(query.as_bytes()).map(|(word, rest)| (word.to_vec(), rest));
        assert_eq!(told("a=1&tidegate_verified=x.y&b"), Some((b"x.y".to_vec(), b"a=1&b".to_vec())));
        assert_eq!(told("tidegate_verified=x"), Some((b"x".to_vec(), Vec::new())));
        assert_eq!(told("a=1"), None);
    }
}
