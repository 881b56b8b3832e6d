//! HTTP Message Signatures (RFC 9421) with digests of bodies (RFC 9530): what a signature of a request is judged by.
//!
//! `structured` reads the fields, `base` makes the text that was signed, `key` compiles the keys of consumers, `digest` takes
//! over what the body must be, `seen` remembers which signatures have been used. Bytes in, verdict out; the body itself is compared by the road, before a
//! service gets any of it.

pub mod base;
pub mod digest;
pub mod key;
pub mod seen;
pub mod structured;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::Name;

use super::jose::Algorithm;
use crate::exchange::Exchange;
use structured::{Bare, Item, Member, Params};

/// Longest `Signature-Input` and `Signature` that are looked at, all lines together.
const LONGEST: usize = 8 * 1024;
/// Most signatures of one request.
const MOST: usize = 4;

/// The name of an algorithm in the registry of RFC 9421 section 6.2.2; none for one that is not in it.
pub fn name_of(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::HS256 => Some("hmac-sha256"),
        Algorithm::RS256 => Some("rsa-v1_5-sha256"),
        Algorithm::PS512 => Some("rsa-pss-sha512"),
        Algorithm::ES256 => Some("ecdsa-p256-sha256"),
        Algorithm::ES384 => Some("ecdsa-p384-sha384"),
        Algorithm::EdDSA => Some("ed25519"),
        _ => None,
    }
}

/// One signature of a request, taken apart and not yet believed.
pub struct Signed {
    /// The components that it covers.
    pub covered: Vec<Item>,
    /// What it says besides.
    pub params: Params,
    /// The signature itself.
    pub signature: Vec<u8>,
}

/// Why a request has no signature that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSignature {
    /// The fields are too long, hold too much, or are no structured fields.
    Malformed,
    /// One field names a signature that the other does not have.
    Unpaired,
}

/// The signatures of a request, in the order of `Signature-Input`.
///
/// # Errors
/// Why they cannot be read.
pub fn signatures(exchange: &Exchange) -> Result<Vec<Signed>, BadSignature> {
    let inputs = dictionary(exchange, b"Signature-Input")?;
    let mut values = dictionary(exchange, b"Signature")?;
    if inputs.len() > MOST || inputs.len() != values.len() {
        return Err(BadSignature::Unpaired);
    }
    inputs
        .into_iter()
        .map(|(label, input)| {
            let place = values.iter().position(|(other, _)| *other == label);
            let (_, value) = values.swap_remove(place.ok_or(BadSignature::Unpaired)?);
            match (input, value) {
                (Member::List(covered, params), Member::Item(Item { value: Bare::Bytes(signature), .. })) => {
                    Ok(Signed { covered, params, signature })
                }
                _ => Err(BadSignature::Malformed),
            }
        })
        .collect()
}

/// Whether a request says that it is signed.
pub fn is_signed(exchange: &Exchange) -> bool {
    exchange.request.fields.iter().any(|field| {
        field.name.eq_ignore_ascii_case(b"Signature-Input") || field.name.eq_ignore_ascii_case(b"Signature")
    })
}

/// A field that is a dictionary. Lines of one name are one dictionary (RFC 9651 section 4.2).
fn dictionary(exchange: &Exchange, name: &'static [u8]) -> Result<Vec<(String, Member)>, BadSignature> {
    let name = Name::new(name).map_err(|_| BadSignature::Malformed)?;
    let lines: Vec<&[u8]> = exchange.request.fields.get_all(name).collect();
    let text = lines.join(&b", "[..]);
    if text.len() > LONGEST {
        return Err(BadSignature::Malformed);
    }
    structured::dictionary(&text).ok_or(BadSignature::Malformed)
}

/// When a signature holds, by its own words and by the rules of the gateway.
pub struct Times {
    /// How old it may be.
    pub max_age: Duration,
    /// By how much the clocks may differ.
    pub leeway: Duration,
}

impl Signed {
    /// The name of the key that it was made with.
    pub fn key_id(&self) -> Option<&str> {
        self.params.text("keyid")
    }

    /// Judges when it was made. Gives from when on it holds no more.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn judge_times(&self, times: &Times, now: SystemTime) -> Result<SystemTime, &'static str> {
        let moment = |name: &str| -> Result<Option<SystemTime>, &'static str> {
            match self.params.get(name) {
                None => Ok(None),
                Some(Bare::Integer(seconds)) => {
                    let seconds =
                        u64::try_from(*seconds).map_err(|_| "a time of the signature is before 1970")?;
                    Ok(UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
                }
                Some(_) => Err("a time of the signature is no number of seconds"),
            }
        };
        let created = moment("created")?.ok_or("the signature does not say when it was made (created)")?;
        if now.checked_add(times.leeway).is_some_and(|latest| created > latest) {
            return Err("the signature was made in the future (created)");
        }
        let oldest = created.checked_add(times.max_age).and_then(|end| end.checked_add(times.leeway));
        let end = oldest.ok_or("the signature was made too far in the future (created)")?;
        let expires = moment("expires")?.and_then(|expires| expires.checked_add(times.leeway));
        let until = expires.map_or(end, |expires| expires.min(end));
        if now >= until { Err("the signature is too old, or has expired") } else { Ok(until) }
    }

    /// Whether it covers a component, or one that says more than it.
    pub fn covers(&self, component: &str) -> bool {
        let whole = matches!(component, "@authority" | "@path" | "@query" | "@scheme");
        self.covered.iter().any(|item| {
            let name = item.text().unwrap_or_default();
            item.params.is_empty() && (name == component || (whole && name == "@target-uri"))
        })
    }
}

#[cfg(test)]
mod tests;
