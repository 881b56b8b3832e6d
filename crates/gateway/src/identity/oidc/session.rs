//! What a browser carries after a login: the token that says who it is, and what it is renewed with.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::party::Tokens;
use crate::identity::jose::{base64url, unique};

/// How long the tokens of a provider hold that does not say it.
const USUAL_LIFE: u64 = 3600;
/// The longest life of a provider's tokens that is believed: a day.
const LONGEST_LIFE: u64 = 24 * 60 * 60;

/// A session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The ID token of the login, or of the last renewal that brought one.
    pub id_token: String,
    /// What it is renewed with.
    pub refresh_token: Option<String>,
    /// The scopes that were granted.
    pub scope: String,
    /// When the login was, in seconds since 1970.
    pub begun: u64,
    /// From when on it should be renewed, and from when on it must be; none where it cannot be.
    pub renewal: Option<(u64, u64)>,
}

impl Session {
    /// The session of a login, or of a renewal of `before`.
    pub fn new(tokens: &Tokens, before: Option<&Session>, asked_scope: &str, now: u64) -> Option<Session> {
        let kept = |new: &Option<String>, old: Option<&String>| new.clone().or_else(|| old.cloned());
        let refresh_token =
            kept(&tokens.refresh_token, before.and_then(|before| before.refresh_token.as_ref()));
        let life = tokens.expires_in.unwrap_or(USUAL_LIFE).clamp(1, LONGEST_LIFE);
        let renewal = (now.saturating_add(life.saturating_mul(4) / 5), now.saturating_add(life));
        Some(Session {
            id_token: kept(&tokens.id_token, before.map(|before| &before.id_token))?,
            scope: kept(&tokens.scope, before.map(|before| &before.scope))
                .unwrap_or_else(|| asked_scope.to_owned()),
            begun: before.map_or(now, |before| before.begun),
            renewal: refresh_token.is_some().then_some(renewal),
            refresh_token,
        })
    }

    /// As it is sealed.
    pub fn to_text(&self) -> Vec<u8> {
        let Session { id_token, refresh_token, scope, begun, renewal } = self;
        json!([id_token, refresh_token, scope, begun, renewal]).to_string().into_bytes()
    }

    /// Reads what was sealed.
    pub fn from_text(text: &[u8]) -> Option<Session> {
        let (id_token, refresh_token, scope, begun, renewal) = serde_json::from_slice(text).ok()?;
        Some(Session { id_token, refresh_token, scope, begun, renewal })
    }

    /// The claims of its token, which was verified when the session was made.
    pub fn claims(&self) -> Option<Map<String, Value>> {
        unique::object(&base64url::decode(self.id_token.split('.').nth(1)?.as_bytes())?)
    }

    /// From when on it is over, for sessions of this length.
    pub fn end(&self, length: Duration) -> u64 {
        self.begun.saturating_add(length.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_was_written_and_renewed_in_part() {
        let tokens = Tokens {
            id_token: Some("a.eyJzdWIiOiJ1MSJ9.c".to_owned()),
            refresh_token: Some("r1".to_owned()),
            scope: None,
            expires_in: Some(100),
        };
        let first = Session::new(&tokens, None, "openid", 1000).unwrap();
        assert_eq!((first.begun, first.renewal, &*first.scope), (1000, Some((1080, 1100)), "openid"));
        assert!(Session::from_text(&first.to_text()).unwrap() == first);
        assert_eq!(first.claims().unwrap()["sub"], "u1");
        let renewed = Tokens {
            id_token: None,
            refresh_token: Some("r2".to_owned()),
            scope: Some("x".to_owned()),
            expires_in: Some(0),
        };
        let second = Session::new(&renewed, Some(&first), "openid", 1090).unwrap();
        assert_eq!((second.begun, second.refresh_token.as_deref(), &*second.scope), (1000, Some("r2"), "x"));
        assert_eq!(second.id_token, first.id_token);
        assert!(Session::new(&renewed, None, "openid", 0).is_none(), "a login without an ID token is none");
        assert!(Session::from_text(b"[1]").is_none());
    }
}
