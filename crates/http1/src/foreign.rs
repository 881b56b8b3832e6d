//! Heads that came in another framing than lines (HTTP/2), taken over by the rules of parsed ones.
//!
//! Takes what RFC 9113 section 8.3 calls pseudo-header fields and the field lines, gives the same heads as the
//! parser, or the rule that is broken. It must never be more lenient than they are: what is taken over here may be
//! written as HTTP/1.1 next.

use crate::error::{BodyError, HeadError};
use crate::fields::Fields;
use crate::head::{Framing, HeadLimits, Version};
use crate::host;
use crate::marks::Marks;
use crate::method::Method;
use crate::name::Name;
use crate::names::{self, FieldId};
use crate::octets;
use crate::request::RequestHead;
use crate::response::ResponseHead;
use crate::target;
use crate::trailers;

/// What an HTTP/2 request says besides its field lines (RFC 9113 section 8.3.1).
#[derive(Copy, Clone, Debug, Default)]
pub struct Pseudo<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`; for a CONNECT its authority.
    pub target: &'a [u8],
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// The stream has ended: there is no body.
    pub ended: bool,
}

/// What a field line costs besides its bytes (RFC 9113 section 10.5.1).
const LINE_COST: usize = 32;

impl RequestHead {
    /// Takes a request over. Crumbs of cookies are joined (RFC 9113 section 8.2.3) and counted each.
    ///
    /// # Errors
    /// The first rule that is broken; what stands in the head means nothing then.
    pub fn take_over<'f>(
        &mut self,
        pseudo: Pseudo<'_>,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        limits: &HeadLimits,
    ) -> Result<(), HeadError> {
        self.clear();
        if pseudo.method.len().saturating_add(pseudo.target.len()) > limits.start_line {
            return Err(HeadError::StartLineTooLong);
        }
        self.set_method(pseudo.method).map_err(|_| HeadError::BadMethod)?;
        if pseudo.target.is_empty() {
            return Err(HeadError::BadTarget);
        }
        target::check(self.method, pseudo.target)?;
        self.set_target(pseudo.target);
        let mut taking = Taking::new(limits);
        taking.authority(self, pseudo.authority)?;
        for (name, value) in fields {
            taking.field(self, name, value)?;
        }
        taking.finish(self, pseudo)
    }
}

impl ResponseHead {
    /// Takes an answer over, interim or final. `ended` says that the stream ends with the head. An answer that says no
    /// length and has not ended is [`Framing::Chunked`].
    ///
    /// # Errors
    /// The first rule that is broken; what stands in the head means nothing then.
    pub fn take_over<'f>(
        &mut self,
        status: u16,
        ended: bool,
        request_method: Method,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        limits: &HeadLimits,
    ) -> Result<(), HeadError> {
        self.clear();
        // Nothing is switched on a stream (RFC 9113 section 8.6).
        if !(100..600).contains(&status) || status == 101 {
            return Err(HeadError::BadStatus);
        }
        self.set_status(status);
        let (mut marks, mut count, mut bytes) = (Marks::default(), 0, 0);
        for (name, value) in fields {
            let (name, value) = line(name, value, limits, &mut count, &mut bytes)?;
            marks.see(Version::Http11, name.id(), name.text(), value)?;
            self.fields.push(name, value);
        }
        let said = marks.framing()?;
        let bodyless = request_method == Method::Head || matches!(status, 100..200 | 204 | 304);
        self.framing = match (said, ended) {
            _ if bodyless => Framing::None,
            (Some(Framing::Length(length)), true) if length > 0 => return Err(HeadError::BadContentLength),
            (Some(framing), _) => framing,
            (None, true) => Framing::None,
            (None, false) => Framing::Chunked,
        };
        if request_method == Method::Head || status == 304 {
            self.declared_length = marks.length.filter(|_| !matches!(status, 100..200 | 204));
        }
        (self.version, self.keep_alive) = (Version::Http2, true);
        Ok(())
    }
}

/// A request head on its way in.
struct Taking<'l> {
    limits: &'l HeadLimits,
    marks: Marks,
    host: bool,
    named: bool,
    expect_continue: bool,
    cookie: Vec<u8>,
    count: usize,
    bytes: usize,
}

impl<'l> Taking<'l> {
    fn new(limits: &'l HeadLimits) -> Taking<'l> {
        Taking {
            limits,
            marks: Marks::default(),
            host: false,
            named: false,
            expect_continue: false,
            cookie: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }

    fn authority(&mut self, head: &mut RequestHead, authority: Option<&[u8]>) -> Result<(), HeadError> {
        let Some(authority) = authority else { return Ok(()) };
        target::check_host(head.method, head.target(), authority)?;
        head.fields.push(names::HOST, authority);
        self.named = true;
        Ok(())
    }

    fn field(&mut self, head: &mut RequestHead, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        let (name, value) = line(name, value, self.limits, &mut self.count, &mut self.bytes)?;
        match name.id() {
            FieldId::Host => return self.host(head, value),
            FieldId::Expect => {
                if self.expect_continue || !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::BadExpect);
                }
                self.expect_continue = true;
            }
            FieldId::Cookie => {
                if !self.cookie.is_empty() {
                    self.cookie.extend_from_slice(b"; ");
                }
                self.cookie.extend_from_slice(value);
                return Ok(());
            }
            // RFC 9113 section 8.2.2.
            FieldId::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(HeadError::BadConnection),
            id => self.marks.see(Version::Http11, id, name.text(), value)?,
        }
        head.fields.push(name, value);
        Ok(())
    }

    /// At most one, and the same as `:authority` (RFC 9113 section 8.3.1).
    fn host(&mut self, head: &mut RequestHead, value: &[u8]) -> Result<(), HeadError> {
        if self.host {
            return Err(HeadError::DuplicateHost);
        }
        self.host = true;
        target::check_host(head.method, head.target(), value)?;
        let told = head.fields.get(names::HOST);
        if let (Some(told), Some(host)) = (told.and_then(host::authority), host::authority(value)) {
            return if told.same(&host, None) { Ok(()) } else { Err(HeadError::HostMismatch) };
        }
        head.fields.push(names::HOST, value);
        Ok(())
    }

    fn finish(self, head: &mut RequestHead, pseudo: Pseudo<'_>) -> Result<(), HeadError> {
        if !self.named && !self.host {
            return Err(HeadError::MissingHost);
        }
        if !self.cookie.is_empty() {
            head.fields.push(names::COOKIE, &self.cookie);
        }
        head.framing = match (self.marks.framing()?, pseudo.ended) {
            (Some(Framing::Length(length)), true) if length > 0 => return Err(HeadError::BadContentLength),
            (Some(framing), _) => framing,
            (None, true) => Framing::None,
            (None, false) => Framing::Chunked,
        };
        (head.version, head.keep_alive) = (Version::Http2, true);
        head.expect_continue = self.expect_continue && !pseudo.ended;
        Ok(())
    }
}

/// Checks one line by the rules of both versions and counts it.
fn line<'f>(
    name: &'f [u8],
    value: &'f [u8],
    limits: &HeadLimits,
    count: &mut usize,
    bytes: &mut usize,
) -> Result<(Name<'f>, &'f [u8]), HeadError> {
    *count = count.saturating_add(1);
    if *count > limits.fields {
        return Err(HeadError::TooManyFields);
    }
    let length = name.len().saturating_add(value.len());
    *bytes = bytes.saturating_add(length).saturating_add(LINE_COST);
    if length > limits.field {
        return Err(HeadError::FieldTooLong);
    }
    if *bytes > limits.head {
        return Err(HeadError::HeadTooLong);
    }
    // RFC 9113 section 8.2.1: names are in lower case, values do not start or end with white space.
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(HeadError::BadName);
    }
    let checked = Name::new(name).map_err(|_| HeadError::BadName)?;
    if !octets::is_value(value) || octets::trim(value).len() != value.len() {
        return Err(HeadError::BadValue);
    }
    use FieldId::{Connection, KeepAlive, ProxyConnection, TransferEncoding, Upgrade};
    match checked.id() {
        // RFC 9113 section 8.2.2.
        Connection | KeepAlive | ProxyConnection | Upgrade => Err(HeadError::BadConnection),
        TransferEncoding => Err(HeadError::BadTransferEncoding),
        _ => Ok((checked, value)),
    }
}

impl Fields {
    /// Takes trailers over: those that may not stand there are passed over, as in a chunked body.
    ///
    /// # Errors
    /// [`BodyError::TooManyTrailers`], [`BodyError::TrailersTooLong`] or [`BodyError::BadTrailer`].
    pub fn take_trailers<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        limits: &crate::BodyLimits,
    ) -> Result<(), BodyError> {
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for (name, value) in fields {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len()).saturating_add(4);
            if count > limits.trailer_fields {
                return Err(BodyError::TooManyTrailers);
            }
            if bytes > limits.trailer_bytes {
                return Err(BodyError::TrailersTooLong);
            }
            let name = Name::new(name).map_err(|_| BodyError::BadTrailer)?;
            if !octets::is_value(value) {
                return Err(BodyError::BadTrailer);
            }
            if trailers::may_trail(name) {
                self.push(name, value);
            }
        }
        Ok(())
    }
}
