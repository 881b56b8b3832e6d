//! Signatures against the published vectors of RFC 9421 appendix B.2 (keys of B.1), and against what is none.

use std::time::{Duration, UNIX_EPOCH};

use http1::{Framing, Name};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::*;
use crate::identity::jose::Key;

/// RFC 9421 appendix B.1.2.
const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
/// Appendix B.1.4.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
/// Appendix B.1.3.
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
/// Appendix B.1.5.
const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const DIGEST: &str =
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
const CREATED: u64 = 1_618_884_473;

/// The request `test-request` of appendix B.2.
fn test_request(more: &[(&str, &str)]) -> Exchange {
    let mut exchange = Exchange {
        path: b"/foo".into(),
        query: b"param=Value&Pet=dog".into(),
        has_query: true,
        ..Exchange::default()
    };
    exchange.client.https = true;
    exchange.request.set_method(b"POST").unwrap();
    exchange.request.framing = Framing::Length(18);
    let own = [
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", DIGEST),
    ];
    for (name, value) in own.iter().chain(more) {
        exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
    }
    exchange
}

fn key(id: &str) -> (Key, Algorithm) {
    let public = |pem: &str, algorithm| {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap();
        (Key::from_spki(&der, &[algorithm]).unwrap(), algorithm)
    };
    match id {
        "test-key-rsa-pss" => public(RSA_PSS, Algorithm::PS512),
        "test-key-ed25519" => public(ED25519, Algorithm::EdDSA),
        "test-key-ecc-p256" => public(P256, Algorithm::ES256),
        _ => {
            let secret = structured::base64(SHARED.as_bytes()).unwrap();
            (Key::shared(&secret, Algorithm::HS256, None).unwrap(), Algorithm::HS256)
        }
    }
}

/// Input and signature of appendix B.2.1, B.2.2, B.2.3, B.2.5 and B.2.6.
const VECTORS: [(&str, &str); 5] = [
    (
        "sig-b21=();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
        "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
    ),
    (
        "sig-b22=(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473;keyid=\"test-key-rsa-pss\";tag=\"header-example\"",
        "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
    ),
    (
        "sig-b23=(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"",
        "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
    ),
    (
        "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"",
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    ),
    (
        "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    ),
];

/// Whether the signature of this request is that of its key.
fn holds(exchange: &Exchange) -> bool {
    let signed = signatures(exchange).unwrap().remove(0);
    let (key, algorithm) = key(signed.key_id().unwrap());
    base::base(exchange, &signed).is_ok_and(|text| key.verifies(algorithm, &text, &signed.signature))
}

#[test]
fn the_published_signatures_hold_and_no_other_request_has_them() {
    for (input, signature) in VECTORS {
        let fields = [("Signature-Input", input), ("Signature", signature)];
        assert!(holds(&test_request(&fields)), "{input}");
        let covers = |name: &str| input.contains(&format!("\"{name}\""));
        type Change = fn(&mut Exchange);
        let changes: [(&str, Change); 4] = [
            ("@path", |exchange| exchange.path = b"/fo".into()),
            ("@method", |exchange| exchange.request.set_method(b"PUT").unwrap()),
            ("content-length", |exchange| exchange.request.framing = Framing::Length(19)),
            ("content-type", |exchange| {
                exchange.request.fields.push(Name::new(b"content-type").unwrap(), b"text/plain");
            }),
        ];
        for (name, change) in changes {
            let mut other = test_request(&fields);
            change(&mut other);
            assert_eq!(holds(&other), !covers(name), "{name} in {input}");
        }
        let other = input.replace("1618884473", "1618884474");
        assert!(!holds(&test_request(&[("Signature-Input", &other), ("Signature", signature)])), "{other}");
    }
}

/// Appendix B.2.4 signs an answer, so its base is made by hand: the text of the vector under the same key.
#[test]
fn the_published_signature_by_p256_holds() {
    let base = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature =
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==";
    let (key, algorithm) = key("test-key-ecc-p256");
    let signature = structured::base64(signature.as_bytes()).unwrap();
    assert!(key.verifies(algorithm, base.as_bytes(), &signature));
    assert!(!key.verifies(algorithm, &base.as_bytes()[1..], &signature));
}

#[test]
fn components_are_written_as_the_rfc_writes_them() {
    // RFC 9421 sections 2.1, 2.2 and their examples.
    for (component, more, wish) in [
        ("\"@method\"", &[][..], Some("POST")),
        ("\"@scheme\"", &[], Some("https")),
        ("\"@authority\"", &[], Some("example.com")),
        ("\"@path\"", &[], Some("/foo")),
        ("\"@query\"", &[], Some("?param=Value&Pet=dog")),
        ("\"@target-uri\"", &[], Some("https://example.com/foo?param=Value&Pet=dog")),
        ("\"@query-param\";name=\"Pet\"", &[], Some("dog")),
        ("\"@query-param\";name=\"pet\"", &[], None),
        ("\"@query-param\"", &[], None),
        ("\"x-a\"", &[("X-A", "1"), ("x-a", "2, 3")], Some("1, 2, 3")),
        ("\"X-A\"", &[("X-A", "1")], None),
        ("\"x-a\";bs", &[("X-A", "1")], None),
        ("\"x-b\"", &[("X-A", "1")], None),
        ("\"@status\"", &[], None),
        ("\"@method\" \"@method\"", &[], None),
    ] {
        let input = format!("s=({component});created=1");
        let fields = [more, &[("Signature-Input", &input), ("Signature", "s=:AA==:")]].concat();
        let exchange = test_request(&fields);
        let signed = signatures(&exchange).unwrap().remove(0);
        let text = base::base(&exchange, &signed).ok().map(|text| String::from_utf8(text).unwrap());
        let wish =
            wish.map(|wish| format!("{component}: {wish}\n\"@signature-params\": ({component});created=1"));
        assert_eq!(text, wish, "{component}");
    }
}

#[test]
fn parameters_of_the_query_are_encoded_anew() {
    // RFC 9421 section 2.2.8.
    let mut exchange = test_request(&[]);
    exchange.query = b"var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something".into();
    for (name, wish) in [
        ("var", Some("this%20is%20a%20big%0Amultiline%20value")),
        ("bar", Some("with%20plus%20whitespace")),
        ("fa%C3%A7ade%22%3A%20", Some("something")),
        ("twice", None),
    ] {
        let input = format!("s=(\"@query-param\";name=\"{name}\")");
        let mut asked = test_request(&[("Signature-Input", &input), ("Signature", "s=:AA==:")]);
        asked.query = [&exchange.query[..], b"&twice=1&twice=2"].concat();
        let signed = signatures(&asked).unwrap().remove(0);
        let text = base::base(&asked, &signed).ok().map(|text| String::from_utf8(text).unwrap());
        let line = text.as_ref().map(|text| text.lines().next().unwrap().rsplit_once(": ").unwrap().1);
        assert_eq!(line, wish, "{name}");
    }
}

#[test]
fn signatures_hold_for_their_time() {
    let times = Times { max_age: Duration::from_secs(300), leeway: Duration::from_secs(30) };
    for (params, age, good) in [
        ("created=1618884473", 0, true),
        ("created=1618884473", 329, true),
        ("created=1618884473", 330, false),
        ("created=1618884473", -30, true),
        ("created=1618884473", -31, false),
        ("created=1618884473;expires=1618884483", 39, true),
        ("created=1618884473;expires=1618884483", 40, false),
        ("created=1618884473;expires=9999999999", 330, false),
        ("created=\"1618884473\"", 0, false),
        ("created=-5", 0, false),
        ("created=999999999999999", 0, false),
        ("expires=1618884483", 0, false),
        ("created=1618884473;expires=now", 0, false),
    ] {
        let input = format!("s=();{params}");
        let exchange = test_request(&[("Signature-Input", &input), ("Signature", "s=:AA==:")]);
        let signed = signatures(&exchange).unwrap().remove(0);
        let now = UNIX_EPOCH + Duration::from_secs(CREATED.checked_add_signed(age).unwrap());
        assert_eq!(signed.judge_times(&times, now).is_ok(), good, "{params} at {age}");
    }
}

#[test]
fn what_cannot_be_read_is_no_signature() {
    let value = "s=:AA==:";
    for (fields, wish) in [
        (&[][..], BadSignature::Malformed),
        (&[("Signature-Input", "s=()")], BadSignature::Malformed),
        (&[("Signature-Input", "s=()"), ("Signature", "t=:AA==:")], BadSignature::Unpaired),
        (&[("Signature-Input", "s=()"), ("Signature", "s=:AA==:, t=:AA==:")], BadSignature::Unpaired),
        (&[("Signature-Input", "s=()"), ("Signature", "s=AA")], BadSignature::Malformed),
        (&[("Signature-Input", "s=1"), ("Signature", value)], BadSignature::Malformed),
        (
            &[("Signature-Input", "s=()"), ("Signature-Input", "s=()"), ("Signature", value)],
            BadSignature::Malformed,
        ),
    ] {
        assert_eq!(signatures(&test_request(fields)).err(), Some(wish), "{fields:?}");
    }
    let long = format!("s=({})", "\"a\" ".repeat(3000));
    let fields = [("Signature-Input", &*long), ("Signature", value)];
    assert_eq!(signatures(&test_request(&fields)).err(), Some(BadSignature::Malformed));
}

#[test]
fn a_digest_is_that_of_the_body_or_of_another() {
    let digest = digest::wanted(&test_request(&[])).unwrap();
    assert!(digest.is_of(b"{\"hello\": \"world\"}"));
    assert!(!digest.is_of(b"{\"hello\": \"world\"} "));
    // RFC 9530 appendix D: of the same body by sha-256.
    for (field, wish) in [
        ("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", Some(true)),
        ("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPA=:", Some(false)),
        ("md5=:AAAA:, sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", Some(true)),
        ("sha-256=:AAAA:", None),
        ("md5=:AAAA:", None),
        ("sha-256", None),
        ("", None),
    ] {
        let mut exchange = test_request(&[]);
        exchange.request.fields.set(Name::new(b"Content-Digest").unwrap(), field.as_bytes());
        let told = digest::wanted(&exchange).map(|digest| digest.is_of(b"{\"hello\": \"world\"}"));
        assert_eq!(told, wish, "{field}");
    }
    let mut both = test_request(&[]);
    both.request.fields.push(
        Name::new(b"Content-Digest").unwrap(),
        b"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPA=:",
    );
    assert!(!digest::wanted(&both).unwrap().is_of(b"{\"hello\": \"world\"}"), "one of two is not enough");
}
