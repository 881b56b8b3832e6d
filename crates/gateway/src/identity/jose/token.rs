//! A signed token in its compact form (RFC 7515 section 7.1), taken apart and not yet believed.

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::{base64url, unique};

/// Longest token that is looked at, in bytes.
pub const LONGEST: usize = 8 * 1024;
/// Longest name of a key.
const LONGEST_ID: usize = 256;

/// A token that is well formed. Nothing in it is proven.
pub struct Token<'t> {
    /// What it says its algorithm is.
    pub algorithm: Algorithm,
    /// The key it names.
    pub key_id: Option<String>,
    /// Its `typ`, in lower case and without `application/`.
    pub kind: Option<String>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// What was signed.
    pub text: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// It is longer than any token may be.
    TooLong,
    /// It has not three parts, or one of them is no base64 for URLs, or no JSON object with each name once.
    Malformed,
    /// It is encrypted, has another token inside, or a payload that is not encoded (RFC 7797).
    OtherForm,
    /// Its header has a `crit`: it demands what nobody here knows (RFC 7515 section 4.1.11).
    Critical,
    /// Its algorithm is none, or none that is known.
    Algorithm,
}

impl BadToken {
    /// What logs tell.
    pub fn why(self) -> &'static str {
        match self {
            BadToken::TooLong => "the token is longer than 8 KiB",
            BadToken::Malformed => "the token is malformed",
            BadToken::OtherForm => "the token is encrypted, nested or not encoded",
            BadToken::Critical => "the token demands an extension (crit)",
            BadToken::Algorithm => "the token names no algorithm that is known",
        }
    }
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    pub fn parse(token: &'t [u8]) -> Result<Token<'t>, BadToken> {
        if token.len() > LONGEST {
            return Err(BadToken::TooLong);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (header, payload, signature) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(signature), None) => (header, payload, signature),
            // Five parts are an encrypted one (RFC 7516 section 7.1).
            (_, _, _, Some(_)) => return Err(BadToken::OtherForm),
            _ => return Err(BadToken::Malformed),
        };
        let object = |part: &[u8]| unique::object(&base64url::decode(part)?);
        let header_fields = object(header).ok_or(BadToken::Malformed)?;
        check_form(&header_fields)?;
        let name = header_fields.get("alg").and_then(Value::as_str).ok_or(BadToken::Malformed)?;
        let algorithm = Algorithm::named(name).ok_or(BadToken::Algorithm)?;
        let key_id = text(&header_fields, "kid")?.filter(|id| id.len() <= LONGEST_ID);
        if key_id.is_none() && header_fields.contains_key("kid") {
            return Err(BadToken::Malformed);
        }
        let kind = text(&header_fields, "typ")?.map(|kind| plain_kind(&kind));
        let claims = object(payload).ok_or(BadToken::Malformed)?;
        let signature = base64url::decode(signature).ok_or(BadToken::Malformed)?;
        let signed = header.len().saturating_add(1).saturating_add(payload.len());
        let text = token.get(..signed).ok_or(BadToken::Malformed)?;
        Ok(Token { algorithm, key_id, kind, claims, text, signature })
    }
}

/// A `typ` as it is compared: media types may leave out `application/` (RFC 7515 section 4.1.9).
pub fn plain_kind(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
}

fn check_form(header: &Map<String, Value>) -> Result<(), BadToken> {
    if header.contains_key("crit") {
        return Err(BadToken::Critical);
    }
    let nested =
        header.get("cty").is_some_and(|kind| kind.as_str().is_none_or(|kind| plain_kind(kind) == "jwt"));
    if ["enc", "zip", "b64"].iter().any(|name| header.contains_key(*name)) || nested {
        return Err(BadToken::OtherForm);
    }
    Ok(())
}

fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, BadToken> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(BadToken::Malformed),
    }
}
