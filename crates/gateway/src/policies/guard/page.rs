//! The pages that the guard shows: each a file of the program, which asks nobody else and may run nothing but its own script.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::exchange::{Answer, Body};

/// The page with a task for the browser.
pub(super) static TASK: Page = Page { text: include_str!("challenge.html"), policy: OnceLock::new() };
/// The page that asks for a code of an authenticator.
pub(super) static CODE: Page = Page { text: include_str!("code.html"), policy: OnceLock::new() };

/// A page.
pub(super) struct Page {
    text: &'static str,
    policy: OnceLock<String>,
}

impl Page {
    /// The answer that shows it, with words in the places of `{NAMES}` and the seconds after which to come again.
    pub(super) fn shown(&self, words: &[(&str, &str)], reason: &'static str, wait: u64) -> Answer {
        let page = words.iter().fold(self.text.to_owned(), |page, (name, word)| page.replace(name, word));
        let mut answer = Answer::empty(429, reason)
            .with("Cache-Control", "no-store")
            .with("Retry-After", wait.max(1).to_string())
            .with("Content-Security-Policy", self.policy())
            .with("Referrer-Policy", "same-origin")
            .with("X-Content-Type-Options", "nosniff");
        answer.body = Body::Bytes {
            content_type: "text/html; charset=utf-8".into(),
            bytes: Arc::from(page.into_bytes()),
        };
        answer
    }

    /// What it may do: run its own script and wear its own style.
    fn policy(&self) -> &str {
        self.policy.get_or_init(|| {
            format!(
                "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'",
                self.hash_of("script"),
                self.hash_of("style")
            )
        })
    }

    fn hash_of(&self, tag: &str) -> String {
        let rest = self.text.split_once(&format!("<{tag}>")).map_or("", |(_, rest)| rest);
        let inner = rest.split_once(&format!("</{tag}>")).map_or("", |(inner, _)| inner);
        BASE64_STANDARD.encode(digest::digest(&digest::SHA256, inner.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_by_hashes_what_it_may_do() {
        for page in [&TASK, &CODE] {
            let policy = page.policy();
            assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(page.text.matches("<script>").count(), 1);
            assert_eq!(page.text.matches("<style>").count(), 1);
            // What is filled in stands outside of what was hashed.
            let hashed = [page.text.split("<script>").nth(1), page.text.split("<style>").nth(1)];
            let hashed = hashed.map(|rest| rest.unwrap().split("</").next().unwrap());
            assert!(
                hashed.iter().all(|text| !["{TASK}", "{BITS}", "{SAID}"].iter().any(|it| text.contains(it)))
            );
            assert!(
                !page.text.contains("http://") && !page.text.contains("https://"),
                "nobody else is asked"
            );
        }
    }
}
