//! The request target and its four forms (RFC 9112 section 3.2).
//!
//! Takes method and target, gives the form or a refusal, and compares an authority in it with `Host`. It must
//! never change the target: paths are made canonical by whoever routes by them.

use memchr::memchr2;

use crate::error::HeadError;
use crate::host::{self, Authority};
use crate::method::Method;
use crate::octets;

/// The authority a target names, with the port its scheme stands for.
#[derive(Copy, Clone)]
pub(crate) struct Named<'a> {
    authority: Authority<'a>,
    default_port: Option<u16>,
}

/// Checks bytes and form of a target; `Some` if it names an authority.
pub(crate) fn check(method: Method, target: &[u8]) -> Result<Option<Named<'_>>, HeadError> {
    if !octets::is_target(target) {
        return Err(HeadError::BadTarget);
    }
    named(method, target)
}

/// The authority of a target whose bytes were checked.
fn named(method: Method, target: &[u8]) -> Result<Option<Named<'_>>, HeadError> {
    match (method, target) {
        (Method::Connect, _) => {
            let authority = host::authority(target).filter(Authority::has_port);
            Ok(Some(Named { authority: authority.ok_or(HeadError::BadTarget)?, default_port: None }))
        }
        (_, [b'/', ..]) | (Method::Options, b"*") => Ok(None),
        _ => absolute(target).map(Some).ok_or(HeadError::BadTarget),
    }
}

/// `http://` or `https://`, an authority, then nothing, a path or a query.
fn absolute(target: &[u8]) -> Option<Named<'_>> {
    let after = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let (rest, port) = match (after(b"http://"), after(b"https://")) {
        (Some(rest), _) => (rest, 80),
        (_, Some(rest)) => (rest, 443),
        _ => return None,
    };
    let end = memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    Some(Named { authority: host::authority(rest.get(..end)?)?, default_port: Some(port) })
}

/// Checks the value of `Host` and that it is the authority of the target, if that names one
/// (RFC 9112 section 3.2.2 would let the target win; two names in one request are refused instead).
pub(crate) fn check_host(method: Method, target: &[u8], value: &[u8]) -> Result<(), HeadError> {
    let host = host::authority(value).ok_or(HeadError::BadHost)?;
    match named(method, target)? {
        Some(Named { authority, default_port }) if !authority.same(&host, default_port) => {
            Err(HeadError::HostMismatch)
        }
        _ => Ok(()),
    }
}
