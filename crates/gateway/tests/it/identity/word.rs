//! The gateway's signed word on who calls: a second gateway verifies it by the published keys alone.

use std::process::Command;

use serde_json::json;
use testkit::client::request;
use testkit::origin::Origin;
use tidegate::identity::jose::Signer;

use crate::issuer::{Issuer, bearer, token};

#[test]
fn a_service_can_verify_who_calls_by_the_published_keys() {
    let (inner, key) = (Origin::start(), Signer::generate().unwrap());
    let issuer = Issuer::start(&[&key]);
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("key.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&pem)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let origin = Origin::start();
    for line in ["", ", key: \"${file:KEY}\""] {
        let line = line.replace("KEY", pem.to_str().unwrap());
        let outer = testkit::gateway!(
            r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
identity_token: {{ issuer: edge, audience: inside{line} }}
routes:
  /open/*: {{ to: app }}
  /*: {{ to: app, jwt: {{ issuer: "{issuer}", audience: shop }} }}
"#,
            app = origin.url(),
            issuer = issuer.url()
        );
        let good = bearer(&token(&key, &issuer.url(), json!({ "scope": "read", "roles": ["clerk"] })));
        let spoof = [("Authorization", &*good), ("X-Identity-Token", "spoof"), ("X_Identity.Token", "spoof")];
        assert_eq!(request(outer.addr(), "GET", "/x", &spoof, b"").status, 200);
        let seen = origin.requests().pop().unwrap();
        let words = seen.headers_named("x-identity-token");
        assert_eq!(words.len(), 1, "{words:?}");
        assert_eq!(request(outer.addr(), "GET", "/open/x", &spoof, b"").status, 200);
        assert!(!origin.received().contains("spoof"), "{}", origin.received());
        // Whoever verifies tokens can verify this one: here another gateway, by nothing but the published keys.
        let verifier = testkit::gateway!(
            r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /*:
    to: app
    jwt: {{ jwks_url: "http://{admin}/.well-known/jwks.json", issuer: edge, audience: inside, header: X-Word, scopes: read }}
    allow: {{ if: {{ roles: clerk, subjects: u1, claims: {{ auth: jwt }} }} }}
"#,
            app = inner.url(),
            admin = outer.admin_addr()
        );
        assert_eq!(request(verifier.addr(), "GET", "/x", &[("X-Word", words[0])], b"").status, 200);
        let changed = words[0].replacen('.', ".e", 1);
        assert_eq!(request(verifier.addr(), "GET", "/x", &[("X-Word", &changed)], b"").status, 401);
        assert_eq!(inner.requests().pop().unwrap().headers_named("x-user-id"), ["u1"]);
    }
}
