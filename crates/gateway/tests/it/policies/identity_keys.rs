//! `identity_keys` on the wire: a service verifies the gateway's word by keys that a route tells.

use testkit::client::request;
use testkit::origin::Origin;

#[test]
fn a_route_tells_the_keys_that_the_admin_address_tells() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
identity_token: {{}}
routes:
  /.well-known/jwks.json: {{ respond: 405, identity_keys: {{ max_age: 1m }} }}
  /inside/jwks.json: {{ respond: 405, identity_keys: {{}}, ip: {{ allow: [10.0.0.0/8] }} }}
  /*: {{ to: app }}
"#,
        app = origin.url()
    );
    let told = gateway.get("/.well-known/jwks.json");
    assert_eq!((told.status, told.json()), (200, gateway.admin("/.well-known/jwks.json").json()));
    assert_eq!(told.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(told.header("cache-control"), Some("public, max-age=60"));
    assert!(told.json()["keys"][0].get("d").is_none(), "{}", told.text());
    assert_eq!(request(gateway.addr(), "POST", "/.well-known/jwks.json", &[], b"x").status, 405);
    assert_eq!(gateway.get("/inside/jwks.json").status, 403);
}
