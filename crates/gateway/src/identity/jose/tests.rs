//! Signatures of others, and tokens that are none.
//!
//! The vectors stand in RFC 7515 appendix A, RFC 7520 section 4 and RFC 8037 appendix A, which are published for use as
//! test vectors (IETF Trust legal provisions, section 4.e: code components under the simplified BSD licence).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA512, RsaKeyPair};
use aws_lc_rs::{encoding::AsDer, hmac, rsa::KeySize};
use serde_json::{Value, json};

use super::*;

/// RFC 7515: what A.1 to A.3 sign.
const JOE: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// RFC 7520 section 4, figure 8.
const BAGGINS: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUg\
    cm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9m\
    ZiB0by4";
/// RFC 7520 section 3.4, the public half.
const BAGGINS_N: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

/// Name, algorithm, key, header, payload, signature.
type Vector = (&'static str, Algorithm, Value, &'static str, &'static str, &'static str);

fn of_rfc_7515_and_8037() -> Vec<Vector> {
    vec![
        (
            "RFC 7515 A.1",
            Algorithm::HS256,
            json!({ "kty": "oct", "alg": "HS256",
                "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" }),
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            JOE,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            "RFC 7515 A.2",
            Algorithm::RS256,
            json!({ "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" }),
            "eyJhbGciOiJSUzI1NiJ9",
            JOE,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "RFC 7515 A.3",
            Algorithm::ES256,
            json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }),
            "eyJhbGciOiJFUzI1NiJ9",
            JOE,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "RFC 7515 A.4",
            Algorithm::ES512,
            json!({ "kty": "EC", "crv": "P-521",
                "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
                "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2" }),
            "eyJhbGciOiJFUzUxMiJ9",
            "UGF5bG9hZA",
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
        (
            "RFC 8037 A.4",
            Algorithm::EdDSA,
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ]
}

fn of_rfc_7520() -> Vec<Vector> {
    let baggins = || json!({ "kty": "RSA", "use": "sig", "n": BAGGINS_N, "e": "AQAB", "kid": "bilbo.baggins@hobbiton.example" });
    vec![
        (
            "RFC 7520 4.1",
            Algorithm::RS256,
            baggins(),
            "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            BAGGINS,
            "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
        ),
        (
            "RFC 7520 4.2",
            Algorithm::PS384,
            baggins(),
            "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            BAGGINS,
            "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
        ),
        (
            "RFC 7520 4.3",
            Algorithm::ES512,
            json!({ "kty": "EC", "use": "sig", "crv": "P-521",
                "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
                "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1" }),
            "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            BAGGINS,
            "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
        ),
        (
            "RFC 7520 4.4",
            Algorithm::HS256,
            json!({ "kty": "oct", "use": "sig", "alg": "HS256", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg" }),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
            BAGGINS,
            "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
        ),
    ]
}

fn key_of(jwk: &Value) -> Key {
    Key::from_jwk(jwk.as_object().unwrap(), &Algorithm::ALL, true).unwrap()
}

#[test]
fn signatures_of_the_standards_hold_and_changed_ones_do_not() {
    for (name, algorithm, jwk, header, payload, signature) in [of_rfc_7515_and_8037(), of_rfc_7520()].concat()
    {
        let (key, text) = (key_of(&jwk), format!("{header}.{payload}"));
        let signature = base64url::decode(signature.as_bytes()).unwrap();
        assert!(key.verifies(algorithm, text.as_bytes(), &signature), "{name}");
        for place in [0, signature.len() / 2, signature.len() - 1] {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            assert!(!key.verifies(algorithm, text.as_bytes(), &changed), "{name}, byte {place}");
        }
        assert!(!key.verifies(algorithm, format!("{text}A").as_bytes(), &signature), "{name}, other text");
        assert!(!key.verifies(algorithm, text.as_bytes(), b""), "{name}, nothing");
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(!key.verifies(other, text.as_bytes(), &signature), "{name} as {}", other.name());
        }
    }
}

#[test]
fn a_key_does_what_it_is_for_and_nothing_else() {
    let names = |key: &Key| key.algorithms().map(Algorithm::name).collect::<Vec<_>>().join(" ");
    let rsa = json!({ "kty": "RSA", "n": BAGGINS_N, "e": "AQAB" });
    let with = |jwk: &Value, more: Value| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    };
    for (jwk, wanted, wish) in [
        (rsa.clone(), &[][..], "RS256"),
        (rsa.clone(), &[Algorithm::PS256, Algorithm::RS512, Algorithm::HS256], "PS256 RS512"),
        (with(&rsa, json!({ "alg": "PS512" })), &[Algorithm::RS256], "PS512"),
    ] {
        assert_eq!(names(&Key::from_jwk(jwk.as_object().unwrap(), wanted, false).unwrap()), wish, "{jwk}");
    }
    let short = base64url::encode(&[255; 128]);
    let bad =
        |jwk: &Value, trusted: bool| Key::from_jwk(jwk.as_object().unwrap(), &[], trusted).err().unwrap();
    for (jwk, trusted, wish) in [
        (with(&rsa, json!({ "use": "enc" })), true, BadKey::NotForThis),
        (with(&rsa, json!({ "key_ops": ["encrypt"] })), true, BadKey::NotForThis),
        (with(&rsa, json!({ "alg": "ES256" })), true, BadKey::Broken),
        (with(&rsa, json!({ "alg": "HS256" })), true, BadKey::Broken),
        (with(&rsa, json!({ "alg": "none" })), true, BadKey::NotForThis),
        (with(&rsa, json!({ "n": short })), true, BadKey::Weak),
        (with(&rsa, json!({ "n": "!" })), true, BadKey::Broken),
        (json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" }), true, BadKey::Broken),
        (json!({ "kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ" }), true, BadKey::NotForThis),
        (json!({ "kty": "OKP", "crv": "X25519", "x": "AQ" }), true, BadKey::NotForThis),
        (json!({ "kty": "oct", "alg": "HS256", "k": "AQ" }), true, BadKey::Weak),
        (json!({ "kty": "oct", "k": base64url::encode(&[1; 64]) }), true, BadKey::NotForThis),
        // What stands on a public page is no secret.
        (
            json!({ "kty": "oct", "alg": "HS256", "k": base64url::encode(&[1; 64]) }),
            false,
            BadKey::NotForThis,
        ),
        (json!({}), true, BadKey::NotForThis),
    ] {
        assert_eq!(bad(&jwk, trusted), wish, "{jwk}");
    }
}

/// J1, J5, J7: what is no token, whatever its signature.
#[test]
fn what_is_malformed_or_of_another_form_is_no_token() {
    let encoded = |text: &str| base64url::encode(text.as_bytes());
    let token = |header: &str, payload: &str| format!("{}.{}.AAAA", encoded(header), encoded(payload));
    let good = r#"{"alg":"ES256"}"#;
    for (text, wish) in [
        (String::new(), BadToken::Malformed),
        ("a.b".into(), BadToken::Malformed),
        ("a.b.c".into(), BadToken::Malformed),
        ("a.b.c.d.e".into(), BadToken::OtherForm),
        (token(r#"{"alg":"none"}"#, "{}"), BadToken::Algorithm),
        (token(r#"{"alg":"nOnE"}"#, "{}"), BadToken::Algorithm),
        (token(r#"{"alg":""}"#, "{}"), BadToken::Algorithm),
        (token(r#"{"alg":"es256"}"#, "{}"), BadToken::Algorithm),
        (token(r#"{"alg":["ES256"]}"#, "{}"), BadToken::Malformed),
        (token(r#"{}"#, "{}"), BadToken::Malformed),
        (token(r#"{"alg":"ES256","alg":"none"}"#, "{}"), BadToken::Malformed),
        (token(good, r#"{"sub":"a","sub":"b"}"#), BadToken::Malformed),
        (token(good, "[]"), BadToken::Malformed),
        (token(good, "{} x"), BadToken::Malformed),
        (token(good, &"[".repeat(3000)), BadToken::Malformed),
        (token(r#"{"alg":"ES256","crit":["x"]}"#, "{}"), BadToken::Critical),
        (token(r#"{"alg":"ES256","crit":[]}"#, "{}"), BadToken::Critical),
        (token(r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#, "{}"), BadToken::Critical),
        (token(r#"{"alg":"ES256","b64":false}"#, "{}"), BadToken::OtherForm),
        (token(r#"{"alg":"ES256","cty":"JWT"}"#, "{}"), BadToken::OtherForm),
        (token(r#"{"alg":"RS256","enc":"A128GCM"}"#, "{}"), BadToken::OtherForm),
        (token(r#"{"alg":"ES256","kid":7}"#, "{}"), BadToken::Malformed),
        (token(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(300)), "{}"), BadToken::Malformed),
        (format!("{}=.{}.AAAA", encoded(good), encoded("{}")), BadToken::Malformed),
        (format!("{} .{}.AAAA", encoded(good), encoded("{}")), BadToken::Malformed),
        (token(good, &format!("{{\"a\":\"{}\"}}", "a".repeat(8000))), BadToken::TooLong),
    ] {
        assert_eq!(Token::parse(text.as_bytes()).err(), Some(wish), "{text}");
    }
    let pointing = r#"{"alg":"ES256","jku":"http://169.254.169.254/","x5u":"http://x/","jwk":{"kty":"oct"},"x5c":["x"]}"#;
    let pointed = token(pointing, "{}");
    assert!(
        Token::parse(pointed.as_bytes()).is_ok_and(|token| token.key_id.is_none()),
        "and none of it is looked at"
    );
}

/// J1 and J2: the key decides about the algorithm.
#[test]
fn a_public_key_is_no_secret_and_an_algorithm_no_choice() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let set = KeySet::new(vec![Key::from_spki(public.as_ref(), &[]).unwrap()]);
    let payload = base64url::encode(b"{}");
    let prove = |text: String, signature: &[u8]| {
        let token = format!("{text}.{}", base64url::encode(signature));
        set.prove(&Token::parse(token.as_bytes()).unwrap())
    };
    let text = |algorithm: &str| {
        format!("{}.{payload}", base64url::encode(format!("{{\"alg\":\"{algorithm}\"}}").as_bytes()))
    };
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text("RS256").as_bytes(), &mut signature).unwrap();
    assert_eq!(prove(text("RS256"), &signature), Ok(()));
    pair.sign(&RSA_PSS_SHA512, &SystemRandom::new(), text("PS512").as_bytes(), &mut signature).unwrap();
    assert_eq!(prove(text("PS512"), &signature), Err(Unproven::OtherAlgorithm));
    for secret in [public.as_ref(), pair.public_key().as_ref(), b""] {
        for (name, hash) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
            let tag = hmac::sign(&hmac::Key::new(hash, secret), text(name).as_bytes());
            assert_eq!(prove(text(name), tag.as_ref()), Err(Unproven::OtherAlgorithm), "{name}");
        }
    }
    for zero in [&[][..], &[0; 64], &[0; 256]] {
        assert_eq!(prove(text("RS256"), zero), Err(Unproven::BadSignature));
        assert_eq!(prove(text("ES256"), zero), Err(Unproven::OtherAlgorithm));
    }
}

/// J4: a key is found by its name among those there are, and nowhere else.
#[test]
fn a_token_finds_its_key_by_name() {
    let (one, two) = (Signer::generate().unwrap(), Signer::generate().unwrap());
    let set = json!({ "keys": [one.jwk(), { "kty": "unknown" }, two.jwk()] }).to_string();
    let set = KeySet::from_json(set.as_bytes(), &[], false).unwrap();
    let claims = json!({});
    let prove = |token: Option<String>| set.prove(&Token::parse(token.unwrap().as_bytes()).unwrap());
    assert_eq!(prove(two.sign("JWT", &claims)), Ok(()));
    assert_eq!(
        prove(two.sign_as(&json!({ "alg": "ES256" }), &claims)),
        Ok(()),
        "without a name all are tried"
    );
    let named = |id: &str| json!({ "alg": "ES256", "kid": id });
    assert_eq!(prove(two.sign_as(&named(one.id()), &claims)), Err(Unproven::BadSignature));
    for strange in ["../../dev/null", "' OR 1", "", "\u{0}", "Two"] {
        assert_eq!(prove(two.sign_as(&named(strange), &claims)), Err(Unproven::UnknownKey), "{strange}");
    }
}

#[test]
fn what_is_no_key_set_is_told() {
    for (text, trusted, wish) in [
        ("", false, "it is no JSON object"),
        ("[]", false, "it is no JSON object"),
        ("{}", false, "it has no `keys`"),
        ("{\"keys\":{}}", false, "its `keys` are no list"),
        ("{\"keys\":[]}", false, "it has no key that signatures can be verified by"),
        (
            "{\"keys\":[1,{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}",
            false,
            "it has no key that signatures can be verified by",
        ),
        ("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}", true, "a key in it is broken"),
        ("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"\"}", true, "a key in it is too short"),
    ] {
        assert_eq!(KeySet::from_json(text.as_bytes(), &[], trusted).err().as_deref(), Some(wish), "{text}");
    }
}
