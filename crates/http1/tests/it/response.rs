//! Response heads: what is read from them, and every rule that refuses one.

use http1::{Framing, Method};

use crate::wire::response;

#[test]
fn an_answer_to_head_has_a_declared_length_and_no_body() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let (get, _) = response(bytes, Method::Get).unwrap().unwrap();
    assert_eq!((get.framing, get.declared_length), (Framing::Length(5), None));
    let (head, _) = response(bytes, Method::Head).unwrap().unwrap();
    assert_eq!((head.framing, head.declared_length), (Framing::None, Some(5)));
}
