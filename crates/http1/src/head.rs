//! What both kinds of head share: version, framing, upgrade, limits.
//!
//! Takes nothing, gives the words in which the parsers answer. [`Framing`] is the one decision of where a
//! message ends; nothing else in the codec may decide it again.

/// The version a message says it is in.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Version {
    /// HTTP/1.0: no chunks, no persistence unless asked for, `Host` may be missing.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2: the head was taken over, never parsed from lines.
    Http2,
}

/// Where the body of a message ends (RFC 9112 section 6.3), decided once from the head.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Framing {
    /// There is no body. For a request: neither `Content-Length` nor `Transfer-Encoding` was said.
    #[default]
    None,
    /// So many bytes. `Length(0)` is a message that said `Content-Length: 0`.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
    /// All that comes until the connection closes. Never for a request.
    UntilClose,
}

/// Whether the message asks to change the protocol (RFC 9110 section 7.8).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Upgrade {
    /// No.
    #[default]
    None,
    /// To exactly `websocket` (RFC 6455): a GET without a body in a request, a 101 in a response.
    WebSocket,
    /// To something else, or in a form that must not be carried out. Never forwarded.
    Other,
}

/// How large a head may be, in bytes without the CRLF of a line but for `head`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// The request line or status line. Default 8 KiB.
    pub start_line: usize,
    /// One field line. Default 16 KiB.
    pub field: usize,
    /// The whole head with all its CRLFs. Default 32 KiB.
    pub head: usize,
    /// How many field lines. Default 100.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { start_line: 8 << 10, field: 16 << 10, head: 32 << 10, fields: 100 }
    }
}

/// The version of a start line: exactly `HTTP/1.1` or `HTTP/1.0` (RFC 9112 section 2.3). `Some(None)` is a
/// well-formed version that is not spoken here, `None` is no version at all.
pub(crate) fn version(text: &[u8]) -> Option<Option<Version>> {
    match text {
        b"HTTP/1.1" => Some(Some(Version::Http11)),
        b"HTTP/1.0" => Some(Some(Version::Http10)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(None)
        }
        _ => None,
    }
}
