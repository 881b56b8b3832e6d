//! `any_of` on the wire: several kinds, several issuers, and a credential that fails beside one that holds.

use serde_json::json;
use testkit::client::request;
use testkit::origin::Origin;
use tidegate::identity::jose::Signer;

use crate::issuer::{Issuer, bearer, token};
use crate::setup::tidegate;

#[test]
fn one_good_credential_is_enough_and_a_bad_one_is_nobody() {
    let (origin, key, other, stranger) = (
        Origin::start(),
        Signer::generate().unwrap(),
        Signer::generate().unwrap(),
        Signer::generate().unwrap(),
    );
    let (issuer, partners) = (Issuer::start(&[&key]), Issuer::start(&[&other]));
    let folder = tempfile::tempdir().unwrap();
    let made = tidegate(folder.path(), &["key", "new", "--json"]).json();
    let (api_key, hash) = (made["key"].as_str().unwrap(), made["hash"].as_str().unwrap());
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
consumers: {{ mobile: {{ api_keys: "{hash}" }} }}
defaults:
  any_of:
    of:
      - api_key: {{}}
      - jwt: {{ issuer: "{issuer}", audience: shop }}
      - jwt: {{ issuer: "{partners}", audience: shop }}
routes:
  /all/*: {{ to: app }}
"#,
        app = origin.url(),
        issuer = issuer.url(),
        partners = partners.url()
    );
    let good = bearer(&token(&key, &issuer.url(), json!({ "sub": "own" })));
    let partner = bearer(&token(&other, &partners.url(), json!({ "sub": "partner" })));
    // Signed by the one, said to be of the other.
    let crossed = bearer(&token(&other, &issuer.url(), json!({})));
    let unknown = bearer(&token(&stranger, "https://nobody.example", json!({})));
    let cases = [
        (&[][..], 401, ""),
        (&[("X-API-Key", api_key)], 200, "mobile"),
        (&[("Authorization", &good)], 200, "own"),
        (&[("Authorization", &partner)], 200, "partner"),
        (&[("Authorization", &crossed)], 401, ""),
        (&[("Authorization", &unknown)], 401, ""),
        (&[("X-API-Key", "wrong"), ("Authorization", &partner)], 200, "partner"),
        (&[("X-API-Key", "wrong"), ("Authorization", &crossed)], 401, ""),
    ];
    for (number, (fields, status, who)) in cases.iter().enumerate() {
        for _ in 0..2 {
            let answer = request(gateway.addr(), "GET", &format!("/all/{number}"), fields, b"");
            assert_eq!(answer.status, *status, "{number}: {}", answer.text());
            if *status == 401 {
                assert_eq!(answer.headers_named("www-authenticate").len(), 2, "{number}");
                continue;
            }
            let seen = origin.requests().pop().unwrap();
            let told = [seen.headers_named("x-consumer"), seen.headers_named("x-user-id")].concat();
            assert_eq!(told, [*who], "{number}");
            assert!(seen.header("authorization").is_none() && seen.header("x-api-key").is_none());
        }
    }
}
