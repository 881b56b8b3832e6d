//! What callers get who may not pass: for each kind of credential the status, the problem and the challenges.

use serde_json::json;
use testkit::client::{Response, request};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};
use tidegate::identity::jose::Signer;

use crate::issuer::{Issuer, bearer, now, token};

const PASSWORD: &str = "$2y$04$1HHvUtDUEnL/98OaJT1hPeL2F/Od1YYJrBIy38Jd50vnZ.HO27DGi";
const HASH: &str = "tgk_W4nR8pQe:9d0c4a5e1c3f2b7a8e6d5c4b3a29181716151413121110f0e0d0c0b0a0908070";

fn gateway(origin: &Origin, issuer: &str, server: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
consumers:
  mobile: {{ api_keys: "{HASH}", basic: {{ user: alice, password_hash: {PASSWORD} }}, mtls: {{ san: "DNS:a" }} }}
policies:
  token: {{ jwt: {{ issuer: "{issuer}", audience: shop, scopes: [read, write] }} }}
routes:
  /key: {{ to: app, api_key: {{}} }}
  /basic: {{ to: app, basic: {{}} }}
  /token: {{ to: app, use: token }}
  /opaque: {{ to: app, introspection: {{ url: "{server}", client_id: gw, client_secret: s, timeout: 5s }} }}
  /certificate: {{ to: app, mtls: {{}} }}
  /any: {{ to: app, any_of: {{ of: [{{ api_key: {{}} }}, {{ jwt: {{ issuer: "{issuer}", audience: shop }} }}, {{ basic: {{}} }}] }} }}
  /allowed: {{ to: app, jwt: {{ issuer: "{issuer}", audience: shop, optional: true }}, allow: {{ if: {{ roles: clerk }} }} }}
"#,
        app = origin.url()
    )
}

const KEY: &str = "ApiKey realm=\"tidegate\"";
const BASIC: &str = "Basic realm=\"tidegate\", charset=\"UTF-8\"";
const BEARER: &str = "Bearer realm=\"tidegate\"";

fn bad(error: &str, description: &str) -> String {
    format!("{BEARER}, error=\"{error}\", error_description=\"{description}\"")
}

/// Where, with which fields, the status, the problem, the challenges.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str, Vec<String>);

#[test]
fn each_kind_has_its_answer() {
    let (origin, key) = (Origin::start(), Signer::generate().unwrap());
    let (issuer, server) = (Issuer::start(&[&key]), Origin::answering(|_| Reply::ok("{\"active\":false}")));
    let (dead, url) = (Origin::answering(|_| Reply::hang()), issuer.url());
    let first = gateway(&origin, &url, &server.url());
    let second = gateway(&origin, &url, &dead.url());
    let narrow = bearer(&token(&key, &url, json!({ "scope": "read" })));
    let expired = bearer(&token(&key, &url, json!({ "scope": "read write", "exp": now() - 120 })));
    let (none, wrong) = ("no_credentials", "bad_credentials");
    let text = |challenge: &str| challenge.to_owned();
    let not_good = bad("invalid_token", "the credentials are not good");
    let two = "the request has more than one credential, or one that cannot be read";
    let invalid = bad("invalid_request", two);
    let garbage = ("Authorization", "Bearer x.y.z");
    let all = |bearer: &str| vec![text(KEY), text(bearer), text(BASIC)];
    let cases: Vec<Case<'_>> = vec![
        ("/key", vec![], 401, none, vec![text(KEY)]),
        ("/key", vec![("X-API-Key", "wrong")], 401, wrong, vec![text(KEY)]),
        ("/key", vec![("X-API-Key", "a"), ("X-API-Key", "b")], 400, "unclear_credentials", vec![text(KEY)]),
        ("/basic", vec![], 401, none, vec![text(BASIC)]),
        ("/basic", vec![garbage], 401, none, vec![text(BASIC)]),
        ("/basic", vec![("Authorization", "Basic YWxpY2U6c2VzYW0=")], 401, wrong, vec![text(BASIC)]),
        ("/token", vec![], 401, none, vec![text(BEARER)]),
        ("/token", vec![("Authorization", "Basic YTpi")], 401, none, vec![text(BEARER)]),
        ("/token", vec![garbage], 401, wrong, vec![not_good.clone()]),
        ("/token", vec![garbage, garbage], 400, "unclear_credentials", vec![invalid]),
        ("/opaque", vec![], 401, none, vec![text(BEARER)]),
        ("/opaque", vec![garbage], 401, wrong, vec![not_good.clone()]),
        ("/certificate", vec![], 401, none, vec![text("Certificate realm=\"tidegate\"")]),
        ("/any", vec![], 401, none, all(BEARER)),
        ("/any", vec![garbage], 401, wrong, all(&not_good)),
        ("/any", vec![("X-API-Key", "wrong")], 401, wrong, all(BEARER)),
        ("/allowed", vec![], 403, "not_allowed", vec![]),
        ("/allowed", vec![("Authorization", &narrow)], 403, "not_allowed", vec![]),
    ];
    for (path, fields, status, problem, challenges) in &cases {
        let answer = request(first.addr(), "GET", path, fields, b"");
        expect(&answer, *status, problem, challenges, &format!("{path} {fields:?}"));
    }
    let ask = |gateway: &Gateway, path: &str, credential: &str| {
        request(gateway.addr(), "GET", path, &[("Authorization", credential)], b"")
    };
    let answer = ask(&first, "/token", &narrow);
    let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
    assert_eq!(answer.status, 403);
    assert!(challenge.starts_with(&format!("{BEARER}, error=\"insufficient_scope\", ")), "{challenge}");
    assert!(challenge.ends_with(", scope=\"read write\""), "{challenge}");
    let answer = ask(&first, "/token", &expired);
    assert_eq!((answer.status, &answer.json()["type"]), (401, &json!("urn:tidegate:problem:token_expired")));
    assert!(
        answer.header("www-authenticate").unwrap().starts_with(&format!("{BEARER}, error=\"invalid_token\""))
    );
    // Nobody can tell: that is no reason to ask for another credential.
    expect(&ask(&second, "/opaque", "Bearer x"), 503, "identity_unavailable", &[], "/opaque, dead");
    assert_eq!(origin.requests(), []);
}

#[track_caller]
fn expect(answer: &Response, status: u16, problem: &str, challenges: &[String], what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.headers_named("www-authenticate"), challenges, "{what}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let told = answer.json();
    assert_eq!(told["type"], format!("urn:tidegate:problem:{problem}"), "{what}");
    assert_eq!(told["status"], status, "{what}");
    assert!(told["title"].is_string() && told["detail"].is_string(), "{what}: {told}");
}
