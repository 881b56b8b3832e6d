//! What the claims of a token must say (RFC 7519 section 4.1, RFC 8725 section 3, RFC 9068).
//!
//! Takes a token whose signature held; gives the identity, and until when it holds. A claim of the wrong type is a fault
//! of the token, never an absent claim.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::Refusal;
use super::jose::Token;
use crate::exchange::Identity;
use crate::exchange::caller::{self, Texts};

/// The largest moment that a claim may name: the end of the year 9999.
const LAST: f64 = 253_402_300_799.0;

/// What the claims must say.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Who issued it; none for anybody whose key it is.
    pub issuer: Option<Box<str>>,
    /// For whom it is: one of these; none for anybody.
    pub audiences: Option<Vec<Box<str>>>,
    /// Its `typ`, one of these, as [`super::jose::token::plain_kind`] gives it. A token that has none has "".
    pub kinds: Vec<String>,
    /// By how much the clocks may differ.
    pub leeway: Duration,
    /// Claims that must be there, and what they must be one of; nothing for anything.
    pub required: Vec<(String, Vec<String>)>,
    /// Scopes that must all be there.
    pub scopes: Vec<Box<str>>,
    /// Where groups stand.
    pub groups: String,
    /// Where roles stand.
    pub roles: String,
}

impl Rules {
    /// Whether a token says that it is of this issuer.
    pub fn are_for(&self, claims: &Map<String, Value>) -> bool {
        let issuer = claims.get("iss").and_then(Value::as_str);
        self.issuer.as_deref().is_none_or(|own| issuer == Some(own))
    }

    /// Judges the claims of a token at this time. Gives who it is about, and its end.
    pub fn judge(&self, token: Token<'_>, now: SystemTime) -> Result<(Identity, SystemTime), Refusal> {
        self.judge_as("jwt", token, now)
    }

    /// As [`Rules::judge`], for a policy of another name.
    pub fn judge_as(
        &self,
        kind: &'static str,
        token: Token<'_>,
        now: SystemTime,
    ) -> Result<(Identity, SystemTime), Refusal> {
        let claims = &token.claims;
        if !self.are_for(claims) {
            return Err(Refusal::bad("the token is of another issuer"));
        }
        let said = token.kind.as_deref().unwrap_or_default();
        if !self.kinds.iter().any(|good| good == said) {
            return Err(Refusal::bad("the token is of another type (typ)"));
        }
        // A token that has no end would hold for ever.
        if !token.claims.contains_key("exp") {
            return Err(Refusal::bad("`exp` is missing"));
        }
        let (identity, until) = self.judge_claims(kind, token.claims, now)?;
        Ok((identity, until.unwrap_or(now)))
    }

    /// Judges what somebody trusted says of a credential. Gives who it is about, and its end if there is one.
    pub fn judge_claims(
        &self,
        kind: &'static str,
        claims: Map<String, Value>,
        now: SystemTime,
    ) -> Result<(Identity, Option<SystemTime>), Refusal> {
        let until = self.judge_times(&claims, now)?;
        self.judge_audience(&claims)?;
        for (path, values) in &self.required {
            let value = caller::find(&claims, path).filter(|value| !value.is_null());
            let good =
                value.is_some_and(|value| values.is_empty() || values.iter().any(|one| says(value, one)));
            if !good {
                return Err(Refusal::bad(format!("the claim `{path}` is not what it must be")));
            }
        }
        Ok((self.identity_of(kind, claims)?, until))
    }

    /// Who claims are about, at whatever time.
    pub fn identity_of(&self, kind: &'static str, claims: Map<String, Value>) -> Result<Identity, Refusal> {
        let mut identity = Identity::new(kind);
        identity.subject = match claims.get("sub") {
            None => None,
            Some(Value::String(subject)) => Some(subject.as_str().into()),
            Some(_) => return Err(Refusal::bad("`sub` is no text")),
        };
        let scopes = claims.get("scope").or_else(|| claims.get("scp"));
        identity.scopes = words(scopes, ' ').ok_or_else(|| Refusal::bad("`scope` is no text"))?;
        identity.groups = words(caller::find(&claims, &self.groups), ',').unwrap_or_default();
        identity.roles = words(caller::find(&claims, &self.roles), ',').unwrap_or_default();
        if let Some(missing) = self.scopes.iter().find(|scope| !identity.scopes.contains(scope)) {
            return Err(self.insufficient(missing));
        }
        identity.claims = claims;
        Ok(identity)
    }

    fn insufficient(&self, missing: &str) -> Refusal {
        Refusal {
            status: 403,
            reason: "insufficient_scope",
            detail: "the token has not all the scopes that this needs",
            error: "insufficient_scope",
            scope: self.scopes.join(" "),
            wait: None,
            why: Cow::Owned(format!("the scope `{missing}` is missing")),
        }
    }

    /// Gives the end of the token, leeway included, if it has one.
    fn judge_times(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Refusal> {
        let end = moment(claims, "exp")?;
        let until = end.map(|end| end.checked_add(self.leeway).unwrap_or(end));
        if until.is_some_and(|until| now >= until) {
            return Err(Refusal {
                reason: "token_expired",
                detail: "the token has expired",
                ..Refusal::bad("the token has expired")
            });
        }
        let latest = now.checked_add(self.leeway).unwrap_or(now);
        if moment(claims, "nbf")?.is_some_and(|start| start > latest) {
            return Err(Refusal::bad("the token does not hold yet (nbf)"));
        }
        if moment(claims, "iat")?.is_some_and(|issued| issued > latest) {
            return Err(Refusal::bad("the token was issued in the future (iat)"));
        }
        Ok(until)
    }

    fn judge_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let named: Vec<&str> = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(audience)) => vec![audience],
            Some(Value::Array(all)) => {
                let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| Refusal::bad("`aud` is no text and no list of texts"))?
            }
            Some(_) => return Err(Refusal::bad("`aud` is no text and no list of texts")),
        };
        let Some(own) = &self.audiences else { return Ok(()) };
        match named.iter().any(|named| own.iter().any(|own| **own == **named)) {
            true => Ok(()),
            false => Err(Refusal::bad("the token is for another audience")),
        }
    }
}

/// A moment in seconds since 1970; a fault when it is there and no such number.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds));
    let seconds = seconds.ok_or_else(|| Refusal::bad(format!("`{name}` is no moment")))?;
    Ok(UNIX_EPOCH.checked_add(Duration::from_secs_f64(seconds)))
}

/// Whether a claim is this text, or a list with it.
pub fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Bool(own) => text == if *own { "true" } else { "false" },
        Value::Number(own) => *text == *own.to_string(),
        Value::Array(all) => all.iter().any(|one| !one.is_array() && says(one, text)),
        Value::Null | Value::Object(_) => false,
    }
}

/// A text of words, or a list of texts; none for something else.
fn words(value: Option<&Value>, between: char) -> Option<Texts> {
    match value {
        None | Some(Value::Null) => Some(Texts::default()),
        Some(Value::String(text)) => {
            Some(text.split(between).filter(|word| !word.is_empty()).map(Into::into).collect())
        }
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(Into::into)).collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
