//! Heads between the codec and HTTP/2 towards services.
//!
//! What is sent came through the rules of the codec; what is received passes them.

use http::Uri;
use http::header::{CONTENT_LENGTH, HeaderValue, TE};
use http1::{Framing, HeadError, HeadLimits, Method, RequestHead, ResponseHead, names};

use crate::http::http2::heads::{lines, map};

/// The head of a request for a service. `fallback` stands in for a `Host` that is empty; `trailers` asks for trailers.
///
/// `None` when method, host or target cannot be said in HTTP/2.
pub fn request(
    head: &RequestHead,
    secure: bool,
    fallback: &str,
    trailers: bool,
) -> Option<http::Request<()>> {
    let host = head.fields.get(names::HOST).filter(|host| !host.is_empty());
    let authority = host.unwrap_or(fallback.as_bytes());
    let uri = Uri::builder()
        .scheme(if secure { "https" } else { "http" })
        .authority(authority)
        .path_and_query(head.target())
        .build()
        .ok()?;
    let mut request = http::Request::new(());
    *request.method_mut() = http::Method::from_bytes(head.method_text()).ok()?;
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    let fields = request.headers_mut();
    *fields = map(&head.fields);
    if let Framing::Length(length) = head.framing {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    Some(request)
}

/// Takes a service's answer over, interim or final. `ended` says that nothing follows the head.
///
/// # Errors
/// The first rule that is broken.
pub fn answer(
    parts: &http::response::Parts,
    ended: bool,
    method: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<(), HeadError> {
    head.take_over(parts.status.as_u16(), ended, method, lines(&parts.headers), limits)
}
