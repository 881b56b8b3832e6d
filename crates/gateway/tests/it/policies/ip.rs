//! `ip` on the wire: the address of the connection decides, or what a trusted proxy says.

use testkit::client::request;
use testkit::origin::Origin;

use crate::setup::with_routes;

#[test]
fn only_named_networks_pass() {
    let origin = Origin::start();
    let gateway = with_routes(
        &origin,
        r#"
  /inner: { to: app, ip: { allow: [10.0.0.0/8] } }
  /local: { to: app, ip: { allow: [127.0.0.0/8] } }
  /closed: { to: app, ip: { allow: [127.0.0.0/8], deny: [127.0.0.1] } }
  /watched: { to: app, ip: { deny: [127.0.0.1], mode: shadow } }
  /here: { respond: here, ip: { deny: [127.0.0.1] } }
"#,
    );
    for (path, status) in
        [("/inner", 403), ("/local", 200), ("/closed", 403), ("/watched", 200), ("/here", 403)]
    {
        let answer = request(gateway.addr(), "GET", path, &[("X-Forwarded-For", "10.0.0.1")], b"");
        assert_eq!(answer.status, status, "{path}");
        if status == 403 {
            assert_eq!(answer.json()["type"], "urn:tidegate:problem:ip_denied", "{path}");
        }
    }
    let reached: Vec<String> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(reached, ["/local", "/watched"]);
}
