//! Bodies: chunks, extensions, trailers, lengths, and every rule that refuses one.

use crate::wire::chunked;

#[test]
fn a_chunked_body_is_read_to_its_end_and_no_further() {
    let body = chunked(b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n");
    assert_eq!(body.data, b"hello!");
    assert_eq!(body.length, 35);
    assert!(body.done);
    assert_eq!(body.error, None);
    assert_eq!(body.trailers.len(), 1);
}
