//! The head of a request and its parser.
//!
//! Takes the bytes a client sent, gives a [`RequestHead`] with the one decision of where its body ends, or the
//! rule it breaks. All checks are made while the lines are read, each line once. It must never give a head of
//! which the same bytes could be read in another way.

use memchr::memchr;

use crate::error::HeadError;
use crate::field_line;
use crate::fields::Fields;
use crate::head::{self, Framing, HeadLimits, Upgrade, Version};
use crate::lines::{LineLimit, Lines};
use crate::marks::Marks;
use crate::method::Method;
use crate::name::InvalidName;
use crate::names::FieldId;
use crate::octets;
use crate::target;

/// A request without its body. Reusable: parsing into it clears it and keeps its memory.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// The method; the text of [`Method::Other`] is [`RequestHead::method_text`].
    pub method: Method,
    /// The version the client speaks.
    pub version: Version,
    /// The fields, as they came.
    pub fields: Fields,
    /// Where the body ends; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the request lets the connection live on: its version and its `Connection` field.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends the body. Only with a body and in HTTP/1.1
    /// (RFC 9110 section 10.1.1).
    pub expect_continue: bool,
    /// The protocol change that is asked for.
    pub upgrade: Upgrade,
    other_method: Vec<u8>,
    target: Vec<u8>,
}

impl Clone for RequestHead {
    fn clone(&self) -> RequestHead {
        let mut head = RequestHead::default();
        head.clone_from(self);
        head
    }

    /// Keeps the memory of the head that is overwritten.
    fn clone_from(&mut self, other: &RequestHead) {
        (self.method, self.version, self.framing) = (other.method, other.version, other.framing);
        (self.keep_alive, self.expect_continue) = (other.keep_alive, other.expect_continue);
        self.upgrade = other.upgrade;
        self.fields.copy_from(&other.fields);
        self.other_method.clone_from(&other.other_method);
        self.target.clone_from(&other.target);
    }
}

impl RequestHead {
    /// The method as it is written on the wire.
    pub fn method_text(&self) -> &[u8] {
        match self.method {
            Method::Other if !self.other_method.is_empty() => &self.other_method,
            known => known.as_str().as_bytes(),
        }
    }

    /// The request target as it came.
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// Sets the method by its text, known or not.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is no token; nothing is changed then.
    pub fn set_method(&mut self, text: &[u8]) -> Result<(), InvalidName> {
        if !octets::is_token(text) {
            return Err(InvalidName);
        }
        self.take_method(text);
        Ok(())
    }

    fn take_method(&mut self, text: &[u8]) {
        self.method = Method::from_bytes(text);
        self.other_method.clear();
        if self.method == Method::Other {
            self.other_method.extend_from_slice(text);
        }
    }

    /// Sets the request target. Bytes that may not stand in one (control bytes, SP, `#`, `\`, all from 0x7f on)
    /// are percent-encoded, an empty one becomes `/`.
    pub fn set_target(&mut self, target: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        self.target.clear();
        if octets::is_target(target) {
            self.target.extend_from_slice(if target.is_empty() { b"/" } else { target });
            return;
        }
        for &byte in target {
            if octets::is_target_byte(byte) {
                self.target.push(byte);
            } else {
                self.target.extend([b'%', digit(byte >> 4), digit(byte & 0x0f)]);
            }
        }
    }

    /// Back to the empty head, keeping the memory.
    pub fn clear(&mut self) {
        self.method = Method::default();
        self.version = Version::default();
        self.fields.clear();
        self.framing = Framing::default();
        self.keep_alive = false;
        self.expect_continue = false;
        self.upgrade = Upgrade::None;
        self.other_method.clear();
        self.target.clear();
    }

    /// Removes what belongs to this connection alone (RFC 9110 section 7.6.1): `Connection` and every field it
    /// names, `Keep-Alive`, `Proxy-Connection`, `Proxy-Authorization`, `Proxy-Authenticate`, `TE`, `Trailer`,
    /// `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings`, and `Content-Length`, which encoding adds again from
    /// the framing. To be called before the own fields of a proxy are added, so that none of them can be named.
    pub fn remove_hop_by_hop(&mut self) {
        self.fields.remove_nominated(is_hop_by_hop);
    }
}

/// The fields that end at the next party on the way.
pub(crate) fn is_hop_by_hop(id: FieldId) -> bool {
    use FieldId::{
        Connection, ContentLength, Http2Settings, KeepAlive, ProxyAuthenticate, ProxyAuthorization,
        ProxyConnection, Te, Trailer, TransferEncoding, Upgrade,
    };
    matches!(
        id,
        Connection
            | ContentLength
            | Http2Settings
            | KeepAlive
            | ProxyAuthenticate
            | ProxyAuthorization
            | ProxyConnection
            | Te
            | Trailer
            | TransferEncoding
            | Upgrade
    )
}

/// Reads request heads, one after another.
///
/// Resumable: call it again with the same buffer, grown at its end and starting at the first byte of the
/// message. The answer does not depend on how the bytes were split.
#[derive(Clone, Default, Debug)]
pub struct RequestParser {
    lines: Lines,
    stage: Stage,
    marks: Marks,
    host: bool,
    expect_continue: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
enum Stage {
    #[default]
    Start,
    RequestLine,
    Fields,
    Failed(HeadError),
}

impl RequestParser {
    /// A parser before its first message.
    pub fn new() -> RequestParser {
        RequestParser::default()
    }

    /// Forgets a message that was begun or refused.
    pub fn reset(&mut self) {
        *self = RequestParser::default();
    }

    /// Reads on. `Some(n)`: the head is complete and is the first `n` bytes; the next call starts a new message.
    /// `None`: more bytes are needed, what stands in `head` means nothing yet.
    ///
    /// # Errors
    /// The first rule the bytes break, again at each call until [`RequestParser::reset`].
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        head: &mut RequestHead,
    ) -> Result<Option<usize>, HeadError> {
        let result = self.read(input, limits, head);
        match result {
            Ok(None) => {}
            Ok(Some(_)) => self.reset(),
            Err(error) => self.stage = Stage::Failed(error),
        }
        result
    }

    fn read(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        head: &mut RequestHead,
    ) -> Result<Option<usize>, HeadError> {
        if let Stage::Failed(error) = self.stage {
            return Err(error);
        }
        if self.stage == Stage::Start {
            let Some(at) = start(input)? else { return Ok(None) };
            self.lines.skip_to(at);
            self.stage = Stage::RequestLine;
            head.clear();
        }
        if self.stage == Stage::RequestLine {
            let too_long = HeadError::StartLineTooLong;
            let limit = LineLimit { line: limits.start_line, too_long, head: limits.head };
            let Some((_, line)) = self.lines.next(input, limit)? else { return Ok(None) };
            request_line(line, head)
                .map_err(|error| if line.contains(&b'\r') { HeadError::BareCr } else { error })?;
            self.stage = Stage::Fields;
        }
        let limit = LineLimit { line: limits.field, too_long: HeadError::FieldTooLong, head: limits.head };
        while let Some((base, line)) = self.lines.next(input, limit)? {
            if line.is_empty() {
                self.finish(head)?;
                let length = self.lines.at();
                head.fields.adopt(input.get(..length).unwrap_or_default());
                return Ok(Some(length));
            }
            if head.fields.len() >= limits.fields {
                return Err(HeadError::TooManyFields);
            }
            let (place, name, value) = field_line::read(line, base)?;
            match place.id {
                FieldId::Host => self.see_host(head, value)?,
                FieldId::Expect => self.see_expect(value)?,
                id => self.marks.see(head.version, id, name, value)?,
            }
            head.fields.note(place);
        }
        Ok(None)
    }

    /// Exactly one, and the one the target names (RFC 9112 section 3.2).
    fn see_host(&mut self, head: &RequestHead, value: &[u8]) -> Result<(), HeadError> {
        if self.host {
            return Err(HeadError::DuplicateHost);
        }
        self.host = true;
        target::check_host(head.method, &head.target, value)
    }

    /// Exactly one `100-continue` (RFC 9110 section 10.1.1).
    fn see_expect(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.expect_continue || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::BadExpect);
        }
        self.expect_continue = true;
        Ok(())
    }

    /// Decides what only the whole head can tell.
    fn finish(&self, head: &mut RequestHead) -> Result<(), HeadError> {
        if !self.host && head.version == Version::Http11 {
            return Err(HeadError::MissingHost);
        }
        // RFC 9112 section 6.3: a request without a framing field has no body; never one until the end.
        head.framing = self.marks.framing()?.unwrap_or(Framing::None);
        head.keep_alive = self.marks.keep_alive(head.version);
        let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
        head.expect_continue = self.expect_continue && has_body && head.version == Version::Http11;
        head.upgrade = match self.marks.upgrade(head.version) {
            Upgrade::WebSocket if head.method != Method::Get || has_body => Upgrade::Other,
            upgrade => upgrade,
        };
        Ok(())
    }
}

/// Where the request line starts: at the first byte, or after one CRLF (RFC 9112 section 2.2). What can never
/// become a request is refused at its first byte.
fn start(input: &[u8]) -> Result<Option<usize>, HeadError> {
    let (at, first) = match input {
        [] | [b'\r'] | [b'\r', b'\n'] => return Ok(None),
        [b'\r', b'\n', first, ..] => (2, *first),
        [b'\r', ..] => return Err(HeadError::BareCr),
        [first, ..] => (0, *first),
    };
    match first {
        b'\n' => Err(HeadError::BareLf),
        first if octets::is_tchar(first) => Ok(Some(at)),
        _ => Err(HeadError::BadMethod),
    }
}

/// Method, one SP, target, one SP, version (RFC 9112 section 3).
fn request_line(line: &[u8], head: &mut RequestHead) -> Result<(), HeadError> {
    let (method, rest) = until_space(line).ok_or(if octets::is_token(line) {
        HeadError::BadTarget
    } else {
        HeadError::BadMethod
    })?;
    head.take_method(method);
    if head.method == Method::Other && !octets::is_token(method) {
        return Err(HeadError::BadMethod);
    }
    let (target, version) = until_space(rest).ok_or(HeadError::BadVersion)?;
    head.version = match head::version(version) {
        Some(known) => known.ok_or(HeadError::UnsupportedVersion)?,
        None if version.contains(&b' ') => return Err(HeadError::BadTarget),
        None => return Err(HeadError::BadVersion),
    };
    target::check(head.method, target)?;
    head.target.extend_from_slice(target);
    Ok(())
}

/// What stands before and after the first SP.
fn until_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(memchr(b' ', text)?)?;
    Some((before, rest.get(1..)?))
}
