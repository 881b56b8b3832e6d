//! WebSockets over HTTP/2 (RFC 8441) as HTTP/1.1 knows them: the key a service expects, and whether it agreed to it.
//!
//! A client of HTTP/2 asks by an extended CONNECT, without a key. The service gets a handshake of RFC 6455, whose
//! answer only a WebSocket can give.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http1::{Fields, RequestHead, Version, names};

use crate::values::random::Random;

/// What a service appends to the key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key that was never used (RFC 6455 section 4.1: sixteen bytes by chance).
pub fn key(random: &Random) -> String {
    let mut bytes = [0; 16];
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&random.next().to_ne_bytes());
    second.copy_from_slice(&random.next().to_ne_bytes());
    STANDARD.encode(bytes)
}

/// Whether the answer with these fields agrees to the WebSocket that was asked for. A client of HTTP/1.1 looks
/// itself; over HTTP/2 nobody else can.
pub fn agreed(request: &RequestHead, answer: &Fields) -> bool {
    request.version != Version::Http2
        || request.fields.get(names::SEC_WEBSOCKET_KEY).is_some_and(|key| {
            let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
            answer.get(names::SEC_WEBSOCKET_ACCEPT) == Some(STANDARD.encode(proof).as_bytes())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn only_the_right_proof_is_an_agreement() {
        let mut request = RequestHead::default();
        request.version = Version::Http2;
        let mut answer = Fields::new();
        answer.set(names::SEC_WEBSOCKET_ACCEPT, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!agreed(&request, &answer), "no key");
        request.fields.set(names::SEC_WEBSOCKET_KEY, b"dGhlIHNhbXBsZSBub25jZQ==");
        assert!(agreed(&request, &answer));
        answer.set(names::SEC_WEBSOCKET_ACCEPT, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO=");
        assert!(!agreed(&request, &answer));
        request.version = Version::Http11;
        assert!(agreed(&request, &answer), "the client of HTTP/1.1 looks itself");
    }

    #[test]
    fn no_key_comes_twice() {
        let random = Random::from_system();
        let (one, other) = (key(&random), key(&random));
        assert_eq!(STANDARD.decode(&one).unwrap().len(), 16);
        assert_ne!(one, other);
    }
}
