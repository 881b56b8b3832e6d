//! Heads between the maps of `h2` and the heads of the codec.
//!
//! Everything received passes the rules of the codec; what is sent came through it. Fields that belong to a connection
//! never cross.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http1::{FieldId, Fields, Framing, HeadError, HeadLimits, Pseudo, RequestHead, ResponseHead};

/// The lines of a map.
pub fn lines(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// Fields as a map, without those that belong to a connection or frame a message.
pub fn map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len().saturating_add(1));
    for field in fields.iter() {
        use FieldId::{
            Connection, ContentLength, Host, KeepAlive, ProxyConnection, Te, TransferEncoding, Upgrade,
        };
        if matches!(
            field.id,
            Connection | ContentLength | Host | KeepAlive | ProxyConnection | Te | TransferEncoding | Upgrade
        ) {
            continue;
        }
        let name = HeaderName::from_bytes(field.name);
        let value = HeaderValue::from_bytes(field.value);
        // The codec's names are tokens and its values have no control bytes, so both are always there.
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Takes a client's request over.
pub fn request_from(
    parts: &http::request::Parts,
    ended: bool,
    head: &mut RequestHead,
    limits: &HeadLimits,
) -> Result<(), HeadError> {
    if parts.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(HeadError::BadTarget);
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let path = parts.uri.path_and_query().map(|path| path.as_str().as_bytes());
    let connect = parts.method == http::Method::CONNECT;
    let target = if connect { authority } else { path };
    // A path, or the asterisk of OPTIONS: a whole address stands in other fields here (RFC 9113 section 8.3.1).
    if !connect && !target.is_some_and(|target| target.starts_with(b"/") || target == b"*") {
        return Err(HeadError::BadTarget);
    }
    let pseudo = Pseudo {
        method: parts.method.as_str().as_bytes(),
        target: target.unwrap_or_default(),
        authority,
        ended,
    };
    head.take_over(pseudo, lines(&parts.headers), limits)
}

/// Whether a request is an extended CONNECT for a WebSocket (RFC 8441 section 4).
pub fn asks_for_websocket(parts: &http::request::Parts) -> bool {
    parts.method == http::Method::CONNECT
        && parts.extensions.get::<h2::ext::Protocol>().is_some_and(|told| told.as_str() == "websocket")
}

/// Takes a request for a WebSocket over, as the GET that it is over HTTP/1.1. It has no body: what follows on its
/// stream is what a connection carries once both sides have agreed.
pub fn websocket_from(
    parts: &http::request::Parts,
    head: &mut RequestHead,
    limits: &HeadLimits,
) -> Result<(), HeadError> {
    if parts.uri.scheme_str().is_none_or(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(HeadError::BadTarget);
    }
    let path = parts.uri.path_and_query().map(|path| path.as_str().as_bytes());
    let pseudo = Pseudo {
        method: b"GET",
        target: path.filter(|path| path.starts_with(b"/")).ok_or(HeadError::BadTarget)?,
        authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
        ended: true,
    };
    head.take_over(pseudo, lines(&parts.headers), limits)
}

/// The head of an answer for a client.
///
/// `None` for a status that no answer has.
pub fn response(head: &ResponseHead) -> Option<http::Response<()>> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status).ok()?;
    *response.headers_mut() = map(&head.fields);
    let length = match head.framing {
        _ if matches!(head.status, 100..200 | 204) => None,
        Framing::Length(length) => Some(length),
        Framing::None => head.declared_length,
        Framing::Chunked | Framing::UntilClose => None,
    };
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Some(response)
}
