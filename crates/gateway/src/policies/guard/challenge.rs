//! What a client is asked to do before it may go on: work of its browser, or a verification of the operator's own.
//!
//! Takes a request; says whether the client has done it, and gives the answer that asks for it or takes it in. No third party,
//! no script from elsewhere: the page is in the program and its policy lets run nothing but its own script.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http1::{Method, names};

use super::pass::{self, Kind, Sealer};
use super::table::Who;
use crate::exchange::{Answer, Body, Exchange, Problem};

/// Type of the problem (draft-ietf-httpapi-ratelimit-headers-10 section 4.3).
const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
const TITLE: &str = "Request not satisfied due to detection of abnormal request pattern";
/// The cookies.
const PASS: &str = "tidegate_pass";
const PROOF: &str = "tidegate_proof";
/// The word in the query by which the operator's verification answers.
const VERIFIED: &str = "tidegate_verified";
/// Seconds for a task, and for a verification.
const TASK_TIME: u64 = 600;
const QUESTION_TIME: u64 = 1_800;
/// The page.
const PAGE: &str = include_str!("challenge.html");

/// The challenge of a watch.
pub(super) struct Challenge {
    pub(super) sealer: Sealer,
    pub(super) bits: u32,
    pub(super) lasts: Duration,
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
    pub(super) fn is_met(&self, exchange: &Exchange, who: Who) -> bool {
        let pass = exchange.cookie(PASS);
        pass.is_some_and(|pass| self.sealer.holds(Kind::Pass, pass, who, second(exchange)))
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
            return Some(self.sent_on(exchange, who, &exchange.query));
        }
        let (_, secret) = self.elsewhere.as_ref()?;
        let (word, rest) = verified(&exchange.query)?;
        let question = pass::is_confirmed(secret, word)?;
        let holds = self.sealer.holds(Kind::Question, &question, who, now);
        holds.then(|| self.sent_on(exchange, who, &rest))
    }

    /// To the same page again, with a pass.
    fn sent_on(&self, exchange: &Exchange, who: Who, query: &[u8]) -> Answer {
        let until = second(exchange).saturating_add(self.lasts.as_secs());
        let pass = self.sealer.seal(Kind::Pass, who, until, salt(exchange));
        let secure = if exchange.client.https { "; Secure" } else { "" };
        let cookie = |name: &str, value: &str, age: u64| {
            format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
        };
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
            .with("Set-Cookie", cookie(PASS, &pass, self.lasts.as_secs()))
            .with("Set-Cookie", cookie(PROOF, "", 0))
            .with("Cache-Control", "no-store")
    }

    /// The answer that asks for it.
    pub(super) fn ask(&self, exchange: &Exchange, who: Who, wait: u64) -> Answer {
        if !wants_page(exchange) {
            return refusal(429, "guard_challenge", wait);
        }
        let (now, salt) = (second(exchange), salt(exchange));
        if let Some((url, _)) = &self.elsewhere {
            let question = self.sealer.seal(Kind::Question, who, now.saturating_add(QUESTION_TIME), salt);
            let between = if url.contains('?') { '&' } else { '?' };
            let back = escaped(&back(exchange));
            let to = format!("{url}{between}token={question}&return={back}");
            return Answer::empty(303, "guard_challenge")
                .with("Location", to)
                .with("Cache-Control", "no-store");
        }
        let task = self.sealer.seal(Kind::Task, who, now.saturating_add(TASK_TIME), salt);
        let page = PAGE.replace("{TASK}", &task).replace("{BITS}", &self.bits.to_string());
        let mut answer = Answer::empty(429, "guard_challenge")
            .with("Cache-Control", "no-store")
            .with("Retry-After", wait.to_string())
            .with("Content-Security-Policy", policy())
            .with("Referrer-Policy", "same-origin")
            .with("X-Content-Type-Options", "nosniff");
        answer.body = Body::Bytes {
            content_type: "text/html; charset=utf-8".into(),
            bytes: Arc::from(page.into_bytes()),
        };
        answer
    }
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

/// What the page may do: run its own script and wear its own style.
fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = |tag: &str| {
            let inner = PAGE.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
            let inner = inner.map_or("", |(inner, _)| inner);
            BASE64_STANDARD.encode(digest::digest(&digest::SHA256, inner.as_bytes()))
        };
        format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            hash("script"),
            hash("style")
        )
    })
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
    fn the_page_says_by_hashes_what_it_may_do() {
        let policy = policy();
        assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(PAGE.matches("<script>").count(), 1);
        // What is filled in stands outside of what was hashed.
        let script = PAGE.split("<script>").nth(1).unwrap();
        assert!(!script.contains("{TASK}") && !script.contains("{BITS}"));
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://"), "nobody else is asked");
    }

    #[test]
    fn the_word_of_the_verification_is_taken_out_of_the_query() {
        let told = |query: &str| verified(query.as_bytes()).map(|(word, rest)| (word.to_vec(), rest));
        assert_eq!(told("a=1&tidegate_verified=x.y&b"), Some((b"x.y".to_vec(), b"a=1&b".to_vec())));
        assert_eq!(told("tidegate_verified=x"), Some((b"x".to_vec(), Vec::new())));
        assert_eq!(told("a=1"), None);
    }
}
