//! The names of one exchange: its request id and its place in a trace (W3C Trace Context, level 1).
//!
//! Random numbers come from the worker's generator: they must be unlike, not secret.

use crate::values::random::Random;
use crate::values::{hex16, hex32};

/// Longest request id taken over from a client.
const LONGEST_ID: usize = 64;

/// The identifier of an exchange: the client's `X-Request-Id` where it is clean, else the trace id.
#[derive(Clone, Copy)]
pub struct RequestId {
    bytes: [u8; LONGEST_ID],
    length: u8,
}

impl Default for RequestId {
    fn default() -> Self {
        RequestId { bytes: [0; LONGEST_ID], length: 0 }
    }
}

impl RequestId {
    /// Takes over an id of letters, digits and `-_.:/+=`, at most 64 bytes long.
    pub fn from_client(value: &[u8]) -> Option<RequestId> {
        let clean = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
        if value.is_empty() || !value.iter().all(clean) {
            return None;
        }
        let mut id = RequestId { bytes: [0; LONGEST_ID], length: u8::try_from(value.len()).ok()? };
        id.bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(id)
    }

    /// The id that equals a trace id, in 32 hexadecimal digits.
    pub fn from_trace(trace: &Trace) -> RequestId {
        let mut id = RequestId { bytes: [0; LONGEST_ID], length: 32 };
        if let Some(place) = id.bytes.get_mut(..32) {
            place.copy_from_slice(&hex32(trace.trace_id));
        }
        id
    }

    /// The id as text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// A place in a trace.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The trace.
    pub trace_id: u128,
    /// The span of whoever called us; 0 when the trace starts here.
    pub parent_id: u64,
    /// The span of this exchange.
    pub span_id: u64,
    /// Whether the caller, or the sampler, wants this trace recorded.
    pub sampled: bool,
}

impl Trace {
    /// A new trace that starts here.
    pub fn start(random: &Random) -> Trace {
        let trace_id = (u128::from(random.next()) << 64) | u128::from(random.next() | 1);
        Trace { trace_id, parent_id: 0, span_id: random.next() | 1, sampled: false }
    }

    /// Goes on from a `traceparent` field; `None` when it is malformed (section 3.2.2: then a new trace starts).
    pub fn from_parent(value: &[u8], random: &Random) -> Option<Trace> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let shaped =
            lower_hex(version, 2) && lower_hex(trace, 32) && lower_hex(parent, 16) && lower_hex(flags, 2);
        if !shaped || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let parent_id = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Trace { trace_id, parent_id, span_id: random.next() | 1, sampled })
    }

    /// The `traceparent` for the service: this exchange is its parent.
    pub fn to_parent(self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        if let Some(place) = text.get_mut(3..35) {
            place.copy_from_slice(&hex32(self.trace_id));
        }
        if let Some(place) = text.get_mut(36..52) {
            place.copy_from_slice(&hex16(self.span_id));
        }
        if let Some(flags) = text.last_mut() {
            *flags = if self.sampled { b'1' } else { b'0' };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let random = Random::new(1);
        let trace = Trace::from_parent(PARENT, &random).unwrap();
        assert_eq!(trace.trace_id, 0x4bf92f3577b34da6a3ce929d0e0e4736);
        assert_eq!((trace.parent_id, trace.sampled), (0x00f067aa0ba902b7, true));
        let sent = trace.to_parent();
        assert_eq!(sent[..36], PARENT[..36]);
        assert_ne!(sent[36..52], PARENT[36..52]);
        assert_eq!(Trace::from_parent(&sent, &random).unwrap().parent_id, trace.span_id);
    }

    #[test]
    fn malformed_parents_are_no_parents() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        ] {
            assert_eq!(Trace::from_parent(wrong.as_bytes(), &Random::new(1)), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_may_bring_a_clean_id_only() {
        assert_eq!(RequestId::from_client(b"order-17:a").unwrap().as_str(), "order-17:a");
        for wrong in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert!(RequestId::from_client(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let trace = Trace { trace_id: 0xab, ..Trace::default() };
        assert_eq!(RequestId::from_trace(&trace).as_str(), "000000000000000000000000000000ab");
    }
}
