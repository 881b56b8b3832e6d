//! Clients: [`Raw`] sends any bytes and reads answers strictly; [`WebSocket`] speaks through a tunnel.
//!
//! Takes an address, gives what came back. The short forms [`get`] and [`request`] open a connection of their
//! own for one exchange. A client must never repair what it reads: an answer out of grammar fails the test.

mod raw;
pub(crate) mod websocket;

use std::net::SocketAddr;

pub use raw::{Interim, Raw, Response};
pub use websocket::{Frame, WebSocket};

/// One GET on a connection of its own.
#[track_caller]
pub fn get(addr: SocketAddr, path: &str) -> Response {
    request(addr, "GET", path, &[], b"")
}

/// One request on a connection of its own. `Host` is the address unless `headers` name it; a body gets a
/// `Content-Length`.
#[track_caller]
pub fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut raw = Raw::connect(addr);
    raw.request(method, path, headers, body);
    raw.read_response_to(method)
}

/// The bytes of a request: `Host` from `authority` unless `headers` name it, `Content-Length` when `body` is
/// not empty.
pub fn format_request(
    authority: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += &format!("Host: {authority}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    [text.as_bytes(), body].concat()
}
