//! `csrf` on the wire: a page of another origin changes nothing, others do.

use testkit::client::request;
use testkit::origin::Origin;

use crate::setup::with_routes;

#[test]
fn a_page_of_another_origin_cannot_change_anything() {
    let origin = Origin::start();
    let gateway = with_routes(&origin, "  /*: { to: app, csrf: { origins: https://admin.example } }");
    let own = format!("http://{}", gateway.addr());
    let cases = [
        (
            "POST",
            vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example"), ("Cookie", "sid=1")],
            403,
        ),
        ("POST", vec![("Origin", "https://evil.example")], 403),
        ("POST", vec![("Origin", &own)], 200),
        ("POST", vec![("Origin", "https://admin.example"), ("Sec-Fetch-Site", "cross-site")], 200),
        ("GET", vec![("Sec-Fetch-Site", "cross-site")], 200),
        ("POST", vec![], 200),
    ];
    for (method, fields, status) in cases {
        let answer = request(gateway.addr(), method, "/x", &fields, b"");
        assert_eq!(answer.status, status, "{method} {fields:?}");
    }
    assert_eq!(origin.requests().len(), 4);
}
