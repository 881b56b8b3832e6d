//! `body_limit` on the wire: too large is refused before the service sees a whole request.

use testkit::client::{Raw, request};
use testkit::origin::{Origin, Reply};

use crate::setup::with_routes;

const ROUTES: &str = r#"
  /small: { to: app, body_limit: 4B }
  /none: { to: app, body_limit: 0 }
  /all: { to: app, body_limit: off }
"#;

#[test]
fn a_body_is_taken_up_to_its_limit() {
    let origin = Origin::answering(|_| Reply::ok(""));
    let gateway = with_routes(&origin, ROUTES);
    let large = vec![b'x'; 11 << 20];
    for (path, body, status) in [
        ("/small", &b"four"[..], 200),
        ("/small", b"fives", 413),
        ("/none", b"", 200),
        ("/none", b"x", 413),
        ("/all", &large, 200),
    ] {
        let answer = request(gateway.addr(), "POST", path, &[], body);
        assert_eq!(answer.status, status, "{path} {}", body.len());
    }
    assert!(origin.requests().iter().all(|request| request.whole));
    assert_eq!(origin.requests().len(), 3);
    origin.assert_clean();
}

#[test]
fn a_body_that_says_no_length_ends_at_its_limit() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, ROUTES);
    let head = "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (chunks, status) in
        [("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", 200), ("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", 413)]
    {
        let answer = Raw::connect(gateway.addr()).send(head.to_owned() + chunks).read_response();
        assert_eq!(answer.status, status, "{chunks:?}");
    }
    let whole = origin.requests().into_iter().filter(|request| request.whole);
    assert_eq!(whole.map(|request| request.text()).collect::<Vec<_>>(), ["abcd"]);
}
