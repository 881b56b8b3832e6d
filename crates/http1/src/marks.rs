//! What the fields of a head say about framing, connection and expectation.
//!
//! Takes each field line once, while the head is read, gives the facts from which the framing is decided. It
//! refuses every spelling that another party could read differently; it must never repair one.

use crate::error::HeadError;
use crate::head::{Framing, Upgrade, Version};
use crate::names::FieldId;
use crate::octets;

/// More options than any peer names; with it the cost of removing nominated fields is bounded.
const MAX_CONNECTION_OPTIONS: u8 = 64;

/// The facts of one head. Both roles read the same ones.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Marks {
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) upgrade: Upgrade,
    pub(crate) keep_alive_timeout: Option<u32>,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    options: u8,
}

impl Marks {
    /// Looks at one field line. `version` is that of the start line.
    #[inline]
    pub(crate) fn see(
        &mut self,
        version: Version,
        id: FieldId,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), HeadError> {
        match id {
            FieldId::Other => return refuse_ambiguous(name),
            FieldId::ContentLength => {
                if self.length.is_some() {
                    return Err(HeadError::DuplicateContentLength);
                }
                self.length = Some(octets::decimal(value).ok_or(HeadError::BadContentLength)?);
            }
            FieldId::TransferEncoding => return self.see_transfer_encoding(version, value),
            FieldId::Connection => return self.see_connection(value),
            FieldId::Upgrade => {
                let websocket = self.upgrade == Upgrade::None && value.eq_ignore_ascii_case(b"websocket");
                self.upgrade = if websocket { Upgrade::WebSocket } else { Upgrade::Other };
            }
            FieldId::KeepAlive => self.keep_alive_timeout = timeout(value).or(self.keep_alive_timeout),
            _ => {}
        }
        Ok(())
    }

    /// Exactly `chunked`, once, in HTTP/1.1 (RFC 9112 section 6.1).
    fn see_transfer_encoding(&mut self, version: Version, value: &[u8]) -> Result<(), HeadError> {
        if version == Version::Http10 {
            return Err(HeadError::TransferEncodingInHttp10);
        }
        if self.chunked {
            return Err(HeadError::DuplicateTransferEncoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            let coding = octets::is_token(value);
            return Err(if coding {
                HeadError::UnsupportedTransferCoding
            } else {
                HeadError::BadTransferEncoding
            });
        }
        self.chunked = true;
        Ok(())
    }

    /// A list of tokens (RFC 9110 section 7.6.1). Naming a field without which the message means something else
    /// would make a careless party strip it.
    fn see_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.options == 0 && value == b"keep-alive" {
            // What nearly every browser and pool says.
            (self.keep_alive, self.options) = (true, 1);
            return Ok(());
        }
        for option in value.split(|&byte| byte == b',').map(octets::trim).filter(|option| !option.is_empty())
        {
            self.options += 1;
            if self.options > MAX_CONNECTION_OPTIONS || !octets::is_token(option) {
                return Err(HeadError::BadConnection);
            }
            let is = |word: &[u8]| option.eq_ignore_ascii_case(word);
            match option.len() {
                5 if is(b"close") => self.close = true,
                10 if is(b"keep-alive") => self.keep_alive = true,
                7 if is(b"upgrade") => self.upgrade_option = true,
                4 if is(b"host") => return Err(HeadError::ConnectionNamesFraming),
                14 | 17 if is(b"content-length") || is(b"transfer-encoding") => {
                    return Err(HeadError::ConnectionNamesFraming);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses both framing fields in one head (RFC 9112 section 6.3). `None` if there is neither.
    pub(crate) fn framing(&self) -> Result<Option<Framing>, HeadError> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(HeadError::LengthAndTransferEncoding),
            (true, None) => Ok(Some(Framing::Chunked)),
            (false, Some(length)) => Ok(Some(Framing::Length(length))),
            (false, None) => Ok(None),
        }
    }

    /// Whether the message lets the connection live on (RFC 9112 section 9.3).
    pub(crate) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// What is asked for with both `Connection: upgrade` and `Upgrade` in HTTP/1.1 (RFC 9110 section 7.8).
    pub(crate) fn upgrade(&self, version: Version) -> Upgrade {
        if version == Version::Http11 && self.upgrade_option { self.upgrade } else { Upgrade::None }
    }
}

/// Refuses names that CGI-like origins fold to a framing field, the classic being `Transfer_Encoding`.
fn refuse_ambiguous(name: &[u8]) -> Result<(), HeadError> {
    let ambiguous = match name.len() {
        14 => octets::folds_to(name, b"content-length"),
        17 => octets::folds_to(name, b"transfer-encoding"),
        _ => false,
    };
    if ambiguous { Err(HeadError::AmbiguousName) } else { Ok(()) }
}

/// The seconds of `timeout=` in a `Keep-Alive` value. It is a hint (RFC 2068 section 19.7.1.1), so what is
/// malformed is passed over.
fn timeout(value: &[u8]) -> Option<u32> {
    value.split(|&byte| byte == b',').map(octets::trim).find_map(|parameter| {
        let (name, seconds) = parameter.split_at_checked(8)?;
        if !name.eq_ignore_ascii_case(b"timeout=") {
            return None;
        }
        u32::try_from(octets::decimal(seconds)?).ok()
    })
}
