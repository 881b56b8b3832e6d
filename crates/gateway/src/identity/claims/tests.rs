//! J3, J6, J7 as tables: what claims say, and the verdict.

use serde_json::json;

use super::*;
use crate::identity::jose::Signer;

const NOW: u64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        issuer: Some("https://id.example".into()),
        audiences: Some(vec!["shop".into()]),
        kinds: vec![String::new(), "jwt".into(), "at+jwt".into()],
        leeway: Duration::from_secs(60),
        required: Vec::new(),
        scopes: Vec::new(),
        groups: "groups".into(),
        roles: "realm_access.roles".into(),
    }
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn judged(rules: &Rules, kind: Option<Value>, claims: &Value) -> Result<(Identity, SystemTime), String> {
    let mut header = json!({ "alg": "ES256" });
    if let Some(kind) = kind {
        header["typ"] = kind;
    }
    let token = Signer::generate().unwrap().sign_as(&header, claims).unwrap();
    let token = Token::parse(token.as_bytes()).map_err(|bad| bad.why().to_owned())?;
    rules.judge(token, at(NOW)).map_err(|refusal| format!("{} {}", refusal.status, refusal.why))
}

/// The claims of a good token, but for these.
fn but(changes: Value) -> Value {
    let mut claims = json!({ "iss": "https://id.example", "aud": "shop", "sub": "u1", "exp": NOW + 300 });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null if name != "exp" => _ = claims.as_object_mut().unwrap().remove(name),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[test]
fn each_token_with_its_verdict() {
    let (another, malformed) = ("401 the token is of another issuer", "no moment");
    for (changes, verdict) in [
        (json!({}), ""),
        // J3: a claim of the wrong type is not an absent one.
        (json!({ "exp": "9999999999" }), malformed),
        (json!({ "exp": null }), malformed),
        (json!({ "exp": 1e30 }), malformed),
        (json!({ "exp": -1 }), malformed),
        (json!({ "exp": [NOW + 300] }), malformed),
        (json!({ "exp": true }), malformed),
        (json!({ "nbf": "x" }), malformed),
        (json!({ "nbf": {} }), malformed),
        (json!({ "iat": "now" }), malformed),
        (json!({ "sub": 7 }), "401 `sub` is no text"),
        (json!({ "scope": 7 }), "401 `scope` is no text"),
        (json!({ "exp": NOW as f64 + 0.5 }), ""),
        // J6: with a leeway of 60 s.
        (json!({ "exp": NOW - 59 }), ""),
        (json!({ "exp": NOW - 60 }), "401 the token has expired"),
        (json!({ "exp": 0 }), "401 the token has expired"),
        (json!({ "nbf": NOW + 60 }), ""),
        (json!({ "nbf": NOW + 61 }), "401 the token does not hold yet (nbf)"),
        (json!({ "iat": NOW + 60 }), ""),
        (json!({ "iat": NOW + 3600 }), "401 the token was issued in the future (iat)"),
        // J7.
        (json!({ "aud": "other" }), "401 the token is for another audience"),
        (json!({ "aud": ["other", "shop"] }), ""),
        (json!({ "aud": ["other"] }), "401 the token is for another audience"),
        (json!({ "aud": [] }), "401 the token is for another audience"),
        (json!({ "aud": "shop2" }), "401 the token is for another audience"),
        (json!({ "aud": ["shop", 7] }), "401 `aud` is no text and no list of texts"),
        (json!({ "aud": { "shop": 1 } }), "401 `aud` is no text and no list of texts"),
        (json!({ "aud": null }), "401 the token is for another audience"),
        (json!({ "iss": "https://id.example.evil.com" }), another),
        (json!({ "iss": "https://id.example/" }), another),
        (json!({ "iss": "https://id.exampl" }), another),
        (json!({ "iss": "HTTPS://ID.EXAMPLE" }), another),
        (json!({ "iss": ["https://id.example"] }), another),
        (json!({ "iss": null }), another),
    ] {
        let told = judged(&rules(), None, &but(changes.clone())).err().unwrap_or_default();
        assert!(
            if verdict.is_empty() { told.is_empty() } else { told.contains(verdict) },
            "{changes}: {told}"
        );
    }
    let mut without = but(json!({}));
    without.as_object_mut().unwrap().remove("exp");
    assert_eq!(judged(&rules(), None, &without).unwrap_err(), "401 `exp` is missing");
}

#[test]
fn the_type_of_a_token_is_looked_at() {
    let strict = Rules { kinds: vec!["at+jwt".into()], ..rules() };
    for (kind, lenient, demanded) in [
        (None, true, false),
        (Some("JWT"), true, false),
        (Some("at+jwt"), true, true),
        (Some("application/AT+JWT"), true, true),
        (Some("dpop+jwt"), false, false),
        (Some("logout+jwt"), false, false),
        (Some(""), true, false),
    ] {
        let kind = kind.map(Value::from);
        assert_eq!(judged(&rules(), kind.clone(), &but(json!({}))).is_ok(), lenient, "{kind:?}");
        assert_eq!(judged(&strict, kind.clone(), &but(json!({}))).is_ok(), demanded, "{kind:?}");
    }
    assert!(judged(&rules(), Some(json!(7)), &but(json!({}))).is_err());
}

#[test]
fn demanded_claims_and_scopes_must_all_be_there() {
    let wanting = Rules {
        required: vec![
            ("tenant".into(), vec!["acme".into(), "umbrella".into()]),
            ("email".into(), Vec::new()),
        ],
        scopes: vec!["read".into(), "write".into()],
        ..rules()
    };
    let whole = json!({ "tenant": "acme", "email": "a@b", "scope": "write read more" });
    let but_for = |name: &str, value: Value| {
        let mut changed = whole.clone();
        changed[name] = value;
        changed
    };
    for (changes, verdict) in [
        (whole.clone(), ""),
        (but_for("tenant", json!(["x", "umbrella"])), ""),
        (but_for("tenant", json!("acme2")), "401 the claim `tenant` is not what it must be"),
        (but_for("tenant", json!({ "acme": 1 })), "401 the claim `tenant` is not what it must be"),
        (but_for("email", Value::Null), "401 the claim `email` is not what it must be"),
        (but_for("scope", json!("write reader")), "403 the scope `read` is missing"),
        (but_for("scope", json!("")), "403 the scope `read` is missing"),
        (but_for("scope", json!(["read", "write"])), ""),
    ] {
        let told = judged(&wanting, None, &but(changes.clone())).err().unwrap_or_default();
        assert_eq!(told, verdict, "{changes}");
    }
}

#[test]
fn what_a_token_says_is_known_afterwards() {
    let claims = but(json!({
        "scp": ["a", "b"], "groups": "x,y", "realm_access": { "roles": ["admin"] }, "exp": NOW + 10,
    }));
    let (identity, until) = judged(&rules(), None, &claims).unwrap();
    assert_eq!(until, at(NOW + 70));
    assert_eq!(identity.subject.as_deref(), Some("u1"));
    let texts = |texts: &[Box<str>]| texts.join("|");
    assert_eq!(
        [texts(&identity.scopes), texts(&identity.groups), texts(&identity.roles)],
        ["a|b", "x|y", "admin"]
    );
    assert_eq!(identity.claim_text("realm_access.roles").as_deref(), Some("admin"));
}
