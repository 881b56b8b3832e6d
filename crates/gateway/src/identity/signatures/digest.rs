//! What the body of a request must be, by its `Content-Digest` (RFC 9530).

use http1::Name;

use super::structured::{self, Bare, Item, Member};
use crate::exchange::Exchange;
use crate::exchange::digest::BodyDigest;

/// Longest field that is looked at.
const LONGEST: usize = 1024;

/// What `Content-Digest` says: none when there is none, or it names no digest that is known.
///
/// All digests that are known must be right, not the best of them alone: which one a service would look at is not known.
pub fn wanted(exchange: &Exchange) -> Option<BodyDigest> {
    let lines: Vec<&[u8]> = exchange.request.fields.get_all(Name::new(b"Content-Digest").ok()?).collect();
    let text = lines.join(&b", "[..]);
    if text.len() > LONGEST {
        return None;
    }
    let mut digest = BodyDigest::default();
    for (name, member) in structured::dictionary(&text)? {
        let Member::Item(Item { value: Bare::Bytes(bytes), .. }) = member else { return None };
        match name.as_str() {
            "sha-256" => digest.sha256 = Some(bytes.try_into().ok()?),
            "sha-512" => digest.sha512 = Some(bytes.try_into().ok()?),
            // Others are registered as insecure, or are not known: they prove nothing.
            _ => {}
        }
    }
    (digest.sha256.is_some() || digest.sha512.is_some()).then_some(digest)
}
