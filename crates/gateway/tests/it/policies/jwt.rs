//! `jwt` on the wire: tokens of a real issuer, what services get, and an issuer that fails in every way.

use serde_json::json;
use testkit::client::{Response, request};
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use tidegate::identity::jose::Signer;

use crate::issuer::{Issuer, Mood, bearer, claims, now, token};

fn signer() -> Signer {
    Signer::generate().unwrap()
}

fn gateway(origin: &Origin, issuer: &Issuer, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
identity_headers: {{ X-Consumer: "{{consumer}}", X-User-Id: "{{subject}}", X-Tenant: "{{jwt.tenant.id}}", X-User-Scopes: "{{scopes}}" }}
consumers:
  mobile: {{ jwt: {{ azp: mobile-app }}, groups: gold }}
policies:
  login: {{ jwt: {{ issuer: "{issuer}", audience: shop, refetch_after: 50ms }} }}
routes:
  /login/*: {{ to: app, use: login }}
  /maybe/*: {{ to: app, jwt: {{ issuer: "{issuer}", audience: shop, optional: true }} }}
  /scopes/*: {{ to: app, jwt: {{ issuer: "{issuer}", audience: shop, scopes: [read, write] }} }}
  /cookie/*: {{ to: app, jwt: {{ issuer: "{issuer}", audience: shop, cookie: session }} }}
  /kept/*: {{ to: app, jwt: {{ issuer: "{issuer}", audience: shop, forward_credentials: true }} }}
  /keys/*: {{ to: app, jwt: {{ jwks_url: "{issuer}/keys", audience: off }} }}
{more}
"#,
        app = origin.url(),
        issuer = issuer.url()
    )
}

fn ask(gateway: &Gateway, path: &str, token: &str) -> Response {
    request(gateway.addr(), "GET", path, &[("Authorization", &bearer(token))], b"")
}

#[test]
fn a_token_of_the_issuer_passes_and_the_service_learns_who_it_is() {
    let (origin, key) = (Origin::start(), signer());
    let issuer = Issuer::start(&[&key]);
    let gateway = gateway(&origin, &issuer, "");
    let more = json!({ "azp": "mobile-app", "scope": "read write", "tenant": { "id": 7 } });
    let good = token(&key, &issuer.url(), more);
    for path in ["/login/x", "/maybe/x", "/scopes/x", "/keys/x"] {
        assert_eq!(ask(&gateway, path, &good).status, 200, "{path}");
        assert_eq!(ask(&gateway, path, &good).status, 200, "{path}, remembered");
    }
    let cookie = format!("a=1; session={good}");
    assert_eq!(request(gateway.addr(), "GET", "/cookie/x", &[("Cookie", &cookie)], b"").status, 200);
    for request in origin.requests() {
        assert_eq!(request.headers_named("x-user-id"), ["u1"]);
        assert_eq!(request.headers_named("x-consumer"), ["mobile"]);
        assert_eq!(request.headers_named("x-tenant"), ["7"]);
        assert_eq!(request.headers_named("x-user-scopes"), ["read write"]);
        assert!(request.header("authorization").is_none());
    }
    assert!(!origin.received().contains(&good), "the service got the token");
    assert_eq!(ask(&gateway, "/kept/x", &good).status, 200);
    assert!(origin.received().contains(&good));
    let line = gateway.wait_for_log(|line| line["path"] == "/kept/x");
    assert_eq!(
        (&line["consumer"], &line["subject"], &line["auth"]),
        (&json!("mobile"), &json!("u1"), &json!("jwt"))
    );
    let secret = good.rsplit('.').next().unwrap();
    let told = format!("{:?} {:?} {}", gateway.logs(), gateway.stderr(), gateway.admin("/metrics").text());
    assert!(!told.contains(secret), "{told}");
}

/// J1 to J8: each token with its verdict, on a route that needs one and on one that takes what there is.
#[test]
fn what_is_no_good_token_is_refused_and_is_never_an_identity() {
    let (origin, key, stranger) = (Origin::start(), signer(), signer());
    let issuer = Issuer::start(&[&key]);
    let gateway = gateway(&origin, &issuer, "");
    let (url, header) = (issuer.url(), json!({ "alg": "ES256", "typ": "JWT", "kid": key.id() }));
    let good = token(&key, &url, json!({}));
    let (text, _) = good.rsplit_once('.').unwrap();
    let with = |name: &str, value: serde_json::Value| {
        let mut header = header.clone();
        header[name] = value;
        key.sign_as(&header, &claims(&url, &json!({}))).unwrap()
    };
    let cases = [
        ("", "the token is malformed"),
        ("x", "the token is malformed"),
        (&format!("{text}."), "the signature is not that of the key"),
        (&format!("{good}A"), "the signature is not that of the key"),
        (&format!("{good}="), "the token is malformed"),
        (&format!("{good}, {good}"), "the token is encrypted, nested or not encoded"),
        (&with("alg", json!("none")), "the token names no algorithm that is known"),
        (&with("alg", json!("RS256")), "the key is not for the algorithm of the token"),
        (&with("alg", json!("HS256")), "the key is not for the algorithm of the token"),
        (&with("crit", json!(["x"])), "the token demands an extension (crit)"),
        (&with("kid", json!("../../dev/null")), "the issuer has no key of this name"),
        (&with("typ", json!("logout+jwt")), "the token is of another type (typ)"),
        (&token(&stranger, &url, json!({})), "the issuer has no key of this name"),
        (
            &stranger.sign_as(&header, &claims(&url, &json!({}))).unwrap(),
            "the signature is not that of the key",
        ),
        (&token(&key, "https://evil.example", json!({})), "the token is of another issuer"),
        (&token(&key, &url, json!({ "exp": now() - 61 })), "the token has expired"),
        (&token(&key, &url, json!({ "exp": "9999999999" })), "`exp` is no moment"),
        (&token(&key, &url, json!({ "nbf": now() + 120 })), "the token does not hold yet (nbf)"),
        (&token(&key, &url, json!({ "aud": "other" })), "the token is for another audience"),
    ];
    for (number, (wrong, why)) in cases.iter().enumerate() {
        let answer = ask(&gateway, &format!("/login/{number}"), wrong);
        assert_eq!(answer.status, 401, "{number}: {why}");
        let challenge = answer.header("www-authenticate").unwrap().to_owned();
        assert!(challenge.starts_with("Bearer realm=\"tidegate\", error=\"invalid_token\""), "{challenge}");
        let expired = *why == "the token has expired";
        let reason = if expired { "token_expired" } else { "bad_credentials" };
        assert_eq!(answer.json()["type"], format!("urn:tidegate:problem:{reason}"), "{number}");
        let line = gateway.wait_for_log(|line| line["path"] == format!("/login/{number}"));
        assert_eq!(line["why"], **why, "{number}");
    }
    assert_eq!(origin.requests(), []);
    for (wrong, why) in &cases {
        assert_eq!(ask(&gateway, "/maybe/x", wrong).status, 200, "{why}");
    }
    assert!(origin.requests().iter().all(|request| request.header("x-user-id").is_none()));
}

#[test]
fn no_token_two_tokens_and_too_few_scopes_have_their_own_answers() {
    let (origin, key) = (Origin::start(), signer());
    let issuer = Issuer::start(&[&key]);
    let gateway = gateway(&origin, &issuer, "");
    let good = token(&key, &issuer.url(), json!({ "scope": "read" }));
    let none = gateway.get("/login/x");
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer realm=\"tidegate\"")));
    // J8.
    let twice = [("Authorization", &*bearer(&good)), ("Authorization", &*bearer(&good))];
    assert_eq!(request(gateway.addr(), "GET", "/login/x", &twice, b"").status, 400);
    let missing = ask(&gateway, "/scopes/x", &good);
    let challenge = missing.header("www-authenticate").unwrap();
    assert!(missing.status == 403 && challenge.ends_with("scope=\"read write\""), "{challenge}");
}

/// J5: nothing that a token points to is ever fetched. J4: unknown keys cause one fetch, not one for each.
#[test]
fn tokens_cause_no_calls_and_no_storm() {
    let (origin, key, stranger, bait) = (Origin::start(), signer(), signer(), Origin::start());
    let issuer = Issuer::start(&[&key]);
    let gateway = gateway(&origin, &issuer, "");
    assert_eq!(ask(&gateway, "/maybe/x", &token(&key, &issuer.url(), json!({}))).status, 200);
    let before = issuer.fetches();
    for number in 0..50 {
        let header = json!({ "alg": "ES256", "kid": format!("unknown-{number}"), "jku": bait.url(), "x5u": bait.url(),
            "jwk": stranger.jwk() });
        let wrong = stranger.sign_as(&header, &claims(&issuer.url(), &json!({}))).unwrap();
        assert_eq!(ask(&gateway, "/scopes/x", &wrong).status, 401);
    }
    assert_eq!(bait.requests(), []);
    assert!(issuer.fetches() <= before + 1, "{} fetches", issuer.fetches() - before);
}

#[test]
fn keys_are_exchanged_while_the_gateway_runs() {
    let (origin, old, new) = (Origin::start(), signer(), signer());
    let issuer = Issuer::start(&[&old]);
    let gateway = gateway(&origin, &issuer, "");
    let (by_old, by_new) = (token(&old, &issuer.url(), json!({})), token(&new, &issuer.url(), json!({})));
    assert_eq!(ask(&gateway, "/login/x", &by_old).status, 200);
    issuer.change_keys(&[&new]);
    // The name of the new key is not known: it is asked for, and waited for.
    testkit::event::eventually("the new key", || {
        (ask(&gateway, "/login/x", &by_new).status == 200).then_some(())
    });
    assert_eq!(ask(&gateway, "/login/x", &by_old).status, 401, "what the old key proved is forgotten");
}

/// J9: with keys, an issuer that fails is not noticed.
#[test]
fn an_issuer_that_fails_keeps_nobody_out_whose_keys_are_known() {
    let (origin, key, stranger) = (Origin::start(), signer(), signer());
    let issuer = Issuer::start(&[&key]);
    let gateway = gateway(&origin, &issuer, "");
    assert_eq!(ask(&gateway, "/login/x", &token(&key, &issuer.url(), json!({}))).status, 200);
    for mood in moods() {
        issuer.be(mood);
        // A token of a stranger makes it ask; that one is refused, others pass.
        assert_eq!(ask(&gateway, "/login/x", &token(&stranger, &issuer.url(), json!({}))).status, 401);
        assert_eq!(
            ask(&gateway, "/login/x", &token(&key, &issuer.url(), json!({ "jti": now() }))).status,
            200
        );
    }
}

fn moods() -> Vec<Mood> {
    vec![
        Mood::Close,
        Mood::Status(500),
        Mood::Status(302),
        Mood::Says("garbage".into()),
        Mood::Says("{\"keys\":[]}".into()),
        Mood::Says("x".repeat(10 << 20)),
        Mood::Metadata(json!({ "issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1:1/" })),
        Mood::Hang,
    ]
}

/// J9 and J14: without keys nobody passes, and nobody waits for long.
#[test]
fn an_issuer_that_never_gave_keys_lets_nobody_pass() {
    for mood in moods() {
        let (origin, key) = (Origin::start(), signer());
        let issuer = Issuer::start(&[&key]);
        issuer.be(mood);
        let gateway = gateway(&origin, &issuer, "");
        let good = token(&key, &issuer.url(), json!({}));
        let answer = ask(&gateway, "/login/x", &good);
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (503, &json!("urn:tidegate:problem:identity_unavailable"))
        );
        assert_eq!(ask(&gateway, "/maybe/x", &good).status, 200, "without an identity");
        assert!(origin.requests().iter().all(|request| request.header("x-user-id").is_none()));
        assert_eq!(gateway.get("/login/x").status, 401);
    }
}

#[test]
fn keys_of_ones_own_need_no_issuer() {
    let (origin, key, other) = (Origin::start(), signer(), signer());
    let (set, secret) = (json!({ "keys": [key.jwk()] }), "a secret of at least thirty-two bytes");
    let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .file("keys.json", &set.to_string())
        .start(&format!(
            r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /file/*: {{ to: app, jwt: {{ keys: "${{file:keys.json}}", issuer: me, audience: shop }} }}
  /secret/*: {{ to: app, jwt: {{ secret: "{secret}", audience: shop }} }}
"#,
            app = origin.url()
        ));
    assert_eq!(ask(&gateway, "/file/x", &token(&key, "me", json!({}))).status, 200);
    assert_eq!(ask(&gateway, "/file/x", &token(&other, "me", json!({}))).status, 401);
    assert_eq!(ask(&gateway, "/file/x", &token(&key, "you", json!({}))).status, 401);
    assert_eq!(ask(&gateway, "/secret/x", &token(&key, "me", json!({}))).status, 401);
    // A file of keys is a part of the configuration: its change is noticed.
    let changed = json!({ "keys": [other.jwk()] }).to_string();
    std::fs::write(gateway.folder().join("keys.json"), changed).unwrap();
    gateway.reload();
    gateway.wait_metric("tidegate_config_revision_info{revision=\"2\"}", |shown| shown == 1.0);
    assert_eq!(ask(&gateway, "/file/x", &token(&key, "me", json!({}))).status, 401);
    assert_eq!(ask(&gateway, "/file/x", &token(&other, "me", json!({}))).status, 200);
}
