//! Writes heads and the marks of chunked bodies.
//!
//! Takes heads and appends to a buffer. The framing fields are written from the framing alone; those that
//! stand among the fields are passed over, so that a message can never frame itself twice. All names and values
//! are ones by construction, so nothing written here can end a line early.

use crate::fields::Fields;
use crate::head::{Framing, Upgrade, Version};
use crate::method::Method;
use crate::names::FieldId;
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// What ends the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The longest that is written besides target, method, reason and fields.
const MARKS: usize = 160;

/// Appends the head of a request, always as HTTP/1.1.
///
/// `Content-Length` and `Transfer-Encoding` come from [`RequestHead::framing`]: a POST, PUT or PATCH without a
/// body says `Content-Length: 0` (RFC 9110 section 8.6). `Connection: close` is said unless `keep_alive`; an
/// [`Upgrade::WebSocket`] is asked for, any other is not. `Connection`, `Keep-Alive`, `Proxy-Connection`,
/// `Upgrade` and framing fields that stand in the fields are not written. The caller sees to `Host`.
pub fn encode_request(out: &mut Vec<u8>, head: &RequestHead, keep_alive: bool) {
    let target = if head.target().is_empty() { b"/" } else { head.target() };
    let method = head.method_text();
    out.reserve(MARKS + method.len() + target.len());
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    encode_fields(out, &head.fields);
    match head.framing {
        Framing::Length(length) => encode_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::None | Framing::UntilClose => {
            if matches!(head.method, Method::Post | Method::Put | Method::Patch) {
                encode_length(out, 0);
            }
        }
    }
    if head.upgrade == Upgrade::WebSocket {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if !keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a response, always as HTTP/1.1 (RFC 9110 section 2.5 and 6.2).
///
/// The framing fields come from [`ResponseHead::framing`], or from [`ResponseHead::declared_length`] where there
/// is no body. [`Framing::UntilClose`] says `Connection: close`, and so does [`Framing::Chunked`] to an HTTP/1.0
/// client, which knows no chunks: to it the body must be sent bare and ended by closing. A 1xx or 204 never
/// says a length. An HTTP/1.0 client is told `Connection: keep-alive` where the connection stays.
pub fn encode_response(out: &mut Vec<u8>, head: &ResponseHead, version_of_client: Version, keep_alive: bool) {
    out.reserve(MARKS + head.reason().len());
    let status = head.status.clamp(100, 999);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    encode_fields(out, &head.fields);
    let bodyless = matches!(status, 100..200 | 204);
    let mut stays = keep_alive;
    match (head.framing, version_of_client) {
        _ if bodyless => {}
        (Framing::Length(length), _) => encode_length(out, length),
        (Framing::Chunked, Version::Http11 | Version::Http2) => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n")
        }
        (Framing::Chunked, Version::Http10) | (Framing::UntilClose, _) => stays = false,
        (Framing::None, _) => {
            if let Some(length) = head.declared_length {
                encode_length(out, length);
            }
        }
    }
    match (status, stays, version_of_client) {
        (101, _, _) if head.upgrade == Upgrade::WebSocket => {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        }
        // An interim response says nothing about the connection: the final one will.
        (100..200, _, _) => {}
        (_, false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (_, true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, true, Version::Http11 | Version::Http2) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before the data of a chunk, such as `1f` and CRLF. A chunk of length 0 would end the body:
/// for an empty piece nothing is written, and the caller writes no data and no [`CHUNK_END`] for it either.
pub fn encode_chunk_line(out: &mut Vec<u8>, len: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(HEX.get((len >> (4 * place)) & 0x0f).copied().unwrap_or(b'0'));
    }
    if digits > 0 {
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the chunk that ends the body, with its trailers.
pub fn encode_last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    encode_fields(out, trailers);
    out.extend_from_slice(b"\r\n");
}

/// The fields but for those that belong to the connection and are written from what the head knows.
fn encode_fields(out: &mut Vec<u8>, fields: &Fields) {
    use FieldId::{Connection, ContentLength, KeepAlive, ProxyConnection, TransferEncoding, Upgrade};
    fields.write(out, |id| {
        !matches!(id, Connection | ContentLength | KeepAlive | ProxyConnection | TransferEncoding | Upgrade)
    });
}

fn encode_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}
