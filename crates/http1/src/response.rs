//! The head of a response and its parser.
//!
//! Takes the bytes an origin sent and the method of the request they answer, gives a [`ResponseHead`] with the
//! one decision of where its body ends, or the rule it breaks. It must never take a response whose end another
//! party could see elsewhere.

use crate::error::HeadError;
use crate::field_line;
use crate::fields::Fields;
use crate::head::{self, Framing, HeadLimits, Upgrade, Version};
use crate::lines::{LineLimit, Lines};
use crate::marks::Marks;
use crate::method::Method;
use crate::octets;
use crate::request::is_hop_by_hop;
use crate::status::canonical_reason;

/// A response without its body. Reusable: parsing into it clears it and keeps its memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponseHead {
    /// The status, 100 to 599.
    pub status: u16,
    /// The version the origin speaks.
    pub version: Version,
    /// The fields, as they came.
    pub fields: Fields,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the response lets the connection live on: its version, its `Connection` field, and its framing.
    pub keep_alive: bool,
    /// The seconds of `Keep-Alive: timeout=`.
    pub keep_alive_timeout: Option<u32>,
    /// The `Content-Length` of an answer to HEAD or of a 304: it says how long the body would be, so it is
    /// forwarded though the framing is [`Framing::None`] (RFC 9110 section 8.6).
    pub declared_length: Option<u64>,
    /// The protocol change a 101 makes; [`Upgrade::None`] for every other status.
    pub upgrade: Upgrade,
    reason: Vec<u8>,
}

impl Default for ResponseHead {
    fn default() -> ResponseHead {
        ResponseHead {
            status: 200,
            version: Version::default(),
            fields: Fields::new(),
            framing: Framing::None,
            keep_alive: false,
            keep_alive_timeout: None,
            declared_length: None,
            upgrade: Upgrade::None,
            reason: Vec::new(),
        }
    }
}

impl ResponseHead {
    /// The reason phrase as it came or as [`ResponseHead::set_status`] set it; may be empty.
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Sets the status with the reason phrase of the registry.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
        self.reason.clear();
        self.reason.extend_from_slice(canonical_reason(status).as_bytes());
    }

    /// Whether this is a 1xx after which another response follows: all but 101.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Back to an empty 200, keeping the memory.
    pub fn clear(&mut self) {
        self.status = 200;
        self.version = Version::default();
        self.fields.clear();
        self.framing = Framing::None;
        self.keep_alive = false;
        self.keep_alive_timeout = None;
        self.declared_length = None;
        self.upgrade = Upgrade::None;
        self.reason.clear();
    }

    /// Removes what belongs to this connection alone, as for requests.
    pub fn remove_hop_by_hop(&mut self) {
        self.fields.remove_nominated(is_hop_by_hop);
    }
}

/// Reads response heads, one after another.
///
/// Resumable: call it again with the same buffer, grown at its end and starting at the first byte of the
/// message. The answer does not depend on how the bytes were split.
#[derive(Clone, Default, Debug)]
pub struct ResponseParser {
    lines: Lines,
    stage: Stage,
    marks: Marks,
}

#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
enum Stage {
    #[default]
    Start,
    StatusLine,
    Fields,
    Failed(HeadError),
}

impl ResponseParser {
    /// A parser before its first message.
    pub fn new() -> ResponseParser {
        ResponseParser::default()
    }

    /// Forgets a message that was begun or refused.
    pub fn reset(&mut self) {
        *self = ResponseParser::default();
    }

    /// Reads on. `request_method` is that of the request this answers, because an answer to HEAD has no body.
    /// `Some(n)`: the head is complete and is the first `n` bytes; the next call starts a new message. `None`:
    /// more bytes are needed, what stands in `head` means nothing yet.
    ///
    /// # Errors
    /// The first rule the bytes break, again at each call until [`ResponseParser::reset`].
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        request_method: Method,
        head: &mut ResponseHead,
    ) -> Result<Option<usize>, HeadError> {
        let result = self.read(input, limits, request_method, head);
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
        request_method: Method,
        head: &mut ResponseHead,
    ) -> Result<Option<usize>, HeadError> {
        if let Stage::Failed(error) = self.stage {
            return Err(error);
        }
        if self.stage == Stage::Start {
            // Nothing but a version may stand here; what can never become one is refused at its first byte.
            match input.first() {
                None => return Ok(None),
                Some(b'H') => {}
                Some(b'\n') => return Err(HeadError::BareLf),
                Some(_) => return Err(HeadError::BadVersion),
            }
            self.stage = Stage::StatusLine;
            head.clear();
        }
        if self.stage == Stage::StatusLine {
            let too_long = HeadError::StartLineTooLong;
            let limit = LineLimit { line: limits.start_line, too_long, head: limits.head };
            let Some((_, line)) = self.lines.next(input, limit)? else { return Ok(None) };
            status_line(line, head)
                .map_err(|error| if line.contains(&b'\r') { HeadError::BareCr } else { error })?;
            self.stage = Stage::Fields;
        }
        let limit = LineLimit { line: limits.field, too_long: HeadError::FieldTooLong, head: limits.head };
        while let Some((base, line)) = self.lines.next(input, limit)? {
            if line.is_empty() {
                self.finish(request_method, head)?;
                let length = self.lines.at();
                head.fields.adopt(input.get(..length).unwrap_or_default());
                return Ok(Some(length));
            }
            if head.fields.len() >= limits.fields {
                return Err(HeadError::TooManyFields);
            }
            let (place, name, value) = field_line::read(line, base)?;
            self.marks.see(head.version, place.id, name, value)?;
            head.fields.note(place);
        }
        Ok(None)
    }

    /// Decides what only the whole head can tell (RFC 9112 section 6.3).
    fn finish(&self, request_method: Method, head: &mut ResponseHead) -> Result<(), HeadError> {
        let said = self.marks.framing()?;
        let keep_alive = self.marks.keep_alive(head.version);
        let bodyless = request_method == Method::Head || matches!(head.status, 100..200 | 204 | 304);
        head.framing = match said {
            _ if bodyless => Framing::None,
            Some(framing) => framing,
            None => Framing::UntilClose,
        };
        if request_method == Method::Head || head.status == 304 {
            head.declared_length = self.marks.length.filter(|_| !matches!(head.status, 100..200 | 204));
        }
        // A 1xx or 204 that announces a body may be followed by one: what comes next is not to be trusted.
        let announces = !matches!(said, None | Some(Framing::Length(0)));
        let stray_body = matches!(head.status, 100..200 | 204) && announces;
        head.keep_alive = keep_alive && head.framing != Framing::UntilClose && !stray_body;
        head.keep_alive_timeout = self.marks.keep_alive_timeout;
        if head.status == 101 {
            head.upgrade = self.marks.upgrade(head.version);
        }
        Ok(())
    }
}

/// Version, one SP, three digits, then SP and a reason phrase that may be empty (RFC 9112 section 4). A missing
/// SP before an empty reason phrase is let through: it has one meaning only and some origins leave it out.
fn status_line(line: &[u8], head: &mut ResponseHead) -> Result<(), HeadError> {
    let (version, rest) = line.split_at_checked(8).ok_or(HeadError::BadVersion)?;
    head.version =
        head::version(version).ok_or(HeadError::BadVersion)?.ok_or(HeadError::UnsupportedVersion)?;
    let (b" ", rest) = rest.split_at_checked(1).ok_or(HeadError::BadStatus)? else {
        return Err(HeadError::BadVersion);
    };
    let (status, reason) = rest.split_at_checked(3).ok_or(HeadError::BadStatus)?;
    head.status = octets::decimal(status)
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (100..600).contains(status))
        .ok_or(HeadError::BadStatus)?;
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(HeadError::BadStatus),
    };
    if !octets::is_value(reason) {
        return Err(HeadError::BadReason);
    }
    head.reason.extend_from_slice(reason);
    Ok(())
}
