//! A login that is under way: what the browser keeps of it until it comes back from the provider.

use aws_lc_rs::digest;
use serde_json::json;

use super::random_text;
use crate::identity::jose::base64url;

/// How long a login may take, in seconds.
pub const LONGEST: u64 = 600;
/// Letters of the state that name the cookie, so that every tab has one of its own.
const NAME: usize = 8;

/// A login that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What the provider sends back, so that only this browser's login is taken (RFC 6749 section 10.12).
    pub state: String,
    /// What the ID token must say, so that no other login's token is taken.
    pub nonce: String,
    /// What proves that the code was asked for here (RFC 7636).
    pub verifier: String,
    /// Path and query that the browser wanted.
    pub back: String,
    /// When it began, in seconds since 1970.
    pub begun: u64,
}

impl Login {
    /// A new login. None when the system gives no random numbers.
    pub fn new(back: String, now: u64) -> Option<Login> {
        let (state, nonce) = (random_text::<18>()?, random_text::<18>()?);
        Some(Login { state, nonce, verifier: random_text::<32>()?, back, begun: now })
    }

    /// What the provider is told of the verifier (RFC 7636 section 4.2, `S256`).
    pub fn challenge(&self) -> String {
        base64url::encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()).as_ref())
    }

    /// As it is sealed.
    pub fn to_text(&self) -> Vec<u8> {
        let Login { state, nonce, verifier, back, begun } = self;
        json!([state, nonce, verifier, back, begun]).to_string().into_bytes()
    }

    /// Reads what was sealed; none for a login that took too long.
    pub fn from_text(text: &[u8], now: u64) -> Option<Login> {
        let (state, nonce, verifier, back, begun) = serde_json::from_slice(text).ok()?;
        let login = Login { state, nonce, verifier, back, begun };
        (now.saturating_sub(login.begun) <= LONGEST).then_some(login)
    }
}

/// How the cookie of the login of this state goes on; none for what is no state.
pub fn cookie(state: &str) -> Option<String> {
    let name = state.get(..NAME)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    name.bytes().all(plain).then(|| format!("login-{name}"))
}

/// A path and query of this origin, as a page may ask for it; none for what a browser would take for another origin.
pub fn path_of_ours(asked: &str) -> Option<String> {
    let good = |byte: u8| (b'!'..=b'~').contains(&byte) && !b"\\\"<>^`{|}#".contains(&byte);
    (asked.starts_with('/') && !asked.starts_with("//") && asked.len() <= 2048 && asked.bytes().all(good))
        .then(|| asked.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636 appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let login = Login { verifier, ..Login::new(String::new(), 0).unwrap() };
        assert_eq!(login.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_login_is_read_as_it_was_written_within_its_time() {
        let login = Login::new("/x?a=1".to_owned(), 1000).unwrap();
        assert_eq!(Login::from_text(&login.to_text(), 1600).as_ref(), Some(&login));
        assert_eq!(Login::from_text(&login.to_text(), 1601), None);
        assert_eq!(cookie(&login.state).unwrap().len(), "login-".len() + NAME);
        assert!(cookie("a; b=cde").is_none() && cookie("short").is_none());
    }

    #[test]
    fn nobody_is_sent_to_another_origin() {
        for good in ["/", "/orders/1?a=%2F%2Fb", "/a//b"] {
            assert_eq!(path_of_ours(good).as_deref(), Some(good));
        }
        for wrong in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\/evil",
            "/a\r\nb",
            "/a b",
            "/\u{e9}",
            "x",
            "/#a",
        ] {
            assert_eq!(path_of_ours(wrong), None, "{wrong}");
        }
    }
}
