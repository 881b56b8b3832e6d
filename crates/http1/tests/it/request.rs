//! Request heads: what is read from them, and every rule that refuses one.

use http1::{Framing, HeadError, Method, Upgrade, Version, names};

use crate::wire::{accepted, refused};

#[test]
fn a_plain_request_is_read() {
    let head = accepted("GET /v2/users/1?full=1 HTTP/1.1\r\nHost: shop.test\r\nAccept:  */*  \r\n\r\n");
    assert_eq!(head.method, Method::Get);
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.target(), b"/v2/users/1?full=1");
    assert_eq!(head.fields.get(names::ACCEPT), Some(&b"*/*"[..]));
    assert_eq!(head.framing, Framing::None);
    assert_eq!(head.upgrade, Upgrade::None);
    assert!(head.keep_alive);
    assert!(!head.expect_continue);
}

#[test]
fn both_framing_fields_in_one_request_are_refused() {
    let bytes =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    assert_eq!(refused(bytes), HeadError::LengthAndTransferEncoding);
}
