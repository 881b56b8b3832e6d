//! Signatures of others.
//!
//! The vectors are those of the AWS Signature Version 4 test suite (2015-08-30, Apache-2.0) as the AWS SDK for JavaScript runs
//! them (`@aws-sdk/signature-v4` 3.110.0, `suite.fixture`, Apache-2.0): keys, times, requests and signatures.

use std::time::Duration;

use super::*;

struct Vector {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static str,
    lines: &'static [(&'static str, &'static str)],
    body: &'static str,
    with_token: bool,
    signature: &'static str,
}

const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

#[rustfmt::skip]
const SUITE: &[Vector] = &[
    Vector { name: "get-header-key-duplicate", method: "GET", path: "/", query: "", lines: &[("my-header1", "value2,value2,value1")], body: "", with_token: false, signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
    Vector { name: "get-header-value-multiline", method: "GET", path: "/", query: "", lines: &[("my-header1", "value1,value2,value3")], body: "", with_token: false, signature: "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790" },
    Vector { name: "get-header-value-order", method: "GET", path: "/", query: "", lines: &[("my-header1", "value4,value1,value3,value2")], body: "", with_token: false, signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01" },
    Vector { name: "get-header-value-trim", method: "GET", path: "/", query: "", lines: &[("my-header1", "value1"), ("my-header2", "\"a   b   c\"")], body: "", with_token: false, signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
    Vector { name: "get-unreserved", method: "GET", path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", query: "", lines: &[], body: "", with_token: false, signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
    Vector { name: "get-utf8", method: "GET", path: "/ሴ", query: "", lines: &[], body: "", with_token: false, signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
    Vector { name: "get-vanilla", method: "GET", path: "/", query: "", lines: &[], body: "", with_token: false, signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    Vector { name: "get-vanilla-empty-query-key", method: "GET", path: "/", query: "Param1=value1", lines: &[], body: "", with_token: false, signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
    Vector { name: "get-vanilla-query", method: "GET", path: "/", query: "", lines: &[], body: "", with_token: false, signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    Vector { name: "get-vanilla-query-order-key-case", method: "GET", path: "/", query: "Param2=value2&Param1=value1", lines: &[], body: "", with_token: false, signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
    Vector { name: "get-vanilla-query-unreserved", method: "GET", path: "/", query: "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", lines: &[], body: "", with_token: false, signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
    Vector { name: "get-vanilla-utf8-query", method: "GET", path: "/", query: "%E1%88%B4=bar", lines: &[], body: "", with_token: false, signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
    Vector { name: "post-header-key-case", method: "POST", path: "/", query: "", lines: &[], body: "", with_token: false, signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    Vector { name: "post-header-key-sort", method: "POST", path: "/", query: "", lines: &[("my-header1", "value1")], body: "", with_token: false, signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
    Vector { name: "post-header-value-case", method: "POST", path: "/", query: "", lines: &[("my-header1", "VALUE1")], body: "", with_token: false, signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
    Vector { name: "post-sts-header-after", method: "POST", path: "/", query: "", lines: &[], body: "", with_token: false, signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    Vector { name: "post-sts-header-before", method: "POST", path: "/", query: "", lines: &[], body: "", with_token: true, signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
    Vector { name: "post-vanilla", method: "POST", path: "/", query: "", lines: &[], body: "", with_token: false, signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    Vector { name: "post-vanilla-empty-query-value", method: "POST", path: "/", query: "Param1=value1", lines: &[], body: "", with_token: false, signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
    Vector { name: "post-vanilla-query", method: "POST", path: "/", query: "Param1=value1", lines: &[], body: "", with_token: false, signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
    Vector { name: "post-vanilla-query-nonunreserved", method: "POST", path: "/", query: "%40%23%24%25%5E=&%2B=%2F%2C%3F%3E%3C%60%22%3B%3A%5C%7C%5D%5B%7B%7D", lines: &[], body: "", with_token: false, signature: "66c82657c86e26fb25238d0e69f011edc4c6df5ae71119d7cb98ed9b87393c1e" },
    Vector { name: "post-vanilla-query-space", method: "POST", path: "/", query: "p=", lines: &[], body: "", with_token: false, signature: "e71688addb58a26418614085fb730ba3faa623b461c17f48f2fbdb9361b94a9b" },
    Vector { name: "post-x-www-form-urlencoded", method: "POST", path: "/", query: "", lines: &[("content-type", "application/x-www-form-urlencoded")], body: "Param1=value1", with_token: false, signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
    Vector { name: "post-x-www-form-urlencoded-parameters", method: "POST", path: "/", query: "", lines: &[("content-type", "application/x-www-form-urlencoded; charset=utf8")], body: "Param1=value1", with_token: false, signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe" },
];

fn signer(service: &str, token: Option<&str>) -> AwsSigner {
    AwsSigner {
        access_key: "AKIDEXAMPLE".into(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        token: token.map(Into::into),
        region: "us-east-1".into(),
        service: service.into(),
        of_day: ArcSwapOption::empty(),
    }
}

#[test]
fn requests_have_the_signatures_of_the_suite() {
    let signer = signer("service", None);
    for vector in SUITE {
        let payload = hex(digest::digest(&digest::SHA256, vector.body.as_bytes()).as_ref());
        let mut lines =
            vec![("host", "example.amazonaws.com".to_owned()), ("x-amz-date", "20150830T123600Z".to_owned())];
        lines.extend(vector.lines.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if vector.with_token {
            lines.push(("x-amz-security-token", TOKEN.to_owned()));
        }
        let asked = Asked {
            method: vector.method.as_bytes(),
            path: vector.path.as_bytes(),
            query: vector.query.as_bytes(),
            lines,
            payload: &payload,
        };
        let value = signer.authorization(asked, "20150830T123600Z");
        assert!(value.ends_with(&format!(", Signature={}", vector.signature)), "{}: {value}", vector.name);
        let scope =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        assert!(value.starts_with(scope), "{}: {value}", vector.name);
    }
    assert_eq!(SUITE.len(), 24);
}

fn exchange(fields: &[(&str, &str)], framing: Framing, query: &str) -> Exchange {
    let mut exchange = Exchange { path: b"/a%20b/c".to_vec(), ..Exchange::default() };
    (exchange.query, exchange.has_query) = (query.into(), !query.is_empty());
    exchange.request.framing = framing;
    for (name, value) in [("Host", "example.amazonaws.com")].iter().chain(fields) {
        exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
    }
    exchange
}

#[test]
fn what_the_client_sent_of_a_signature_is_replaced() {
    let at = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let hash = "A".repeat(64);
    let cases = [
        (&[][..], Framing::None, hex(digest::digest(&digest::SHA256, b"").as_ref())),
        (&[("X-Amz-Content-Sha256", hash.as_str())], Framing::Length(7), "a".repeat(64)),
        (&[("X-Amz-Content-Sha256", "no hash")], Framing::Length(7), UNSIGNED.to_owned()),
        (&[("Content-Type", "text/plain")], Framing::Chunked, UNSIGNED.to_owned()),
    ];
    for (fields, framing, payload) in cases {
        let sent = [("Authorization", "evil"), ("x_amz_date", "evil"), ("X-Amz-Security-Token", "evil")];
        let mut exchange = exchange(&[fields, &sent].concat(), framing, "b=1+2&a&b=%7e");
        let signer = signer("s3", Some(TOKEN));
        signer.prepare(&mut exchange);
        assert_eq!(exchange.upstream_query(), Some(&b"b=1%202&a&b=~"[..]));
        // Once for each target that is tried.
        for _ in 0..2 {
            signer.sign(&mut exchange, at);
        }
        let lines = |name: &str| -> Vec<String> {
            let named =
                exchange.request.fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name.as_bytes()));
            named.map(|field| String::from_utf8_lossy(field.value).into_owned()).collect()
        };
        assert_eq!(lines("x-amz-date"), ["20150830T123600Z"]);
        assert_eq!(lines("x-amz-security-token"), [TOKEN]);
        assert_eq!(lines("x-amz-content-sha256"), [payload]);
        assert_eq!(lines("authorization").len(), 1);
        let typed = if fields.iter().any(|(name, _)| *name == "Content-Type") { "content-type;" } else { "" };
        let signed =
            format!("SignedHeaders={typed}host;x-amz-content-sha256;x-amz-date;x-amz-security-token,");
        assert!(lines("authorization")[0].contains(&signed), "{:?}", lines("authorization"));
        assert!(lines("x_amz_date").is_empty());
    }
}

#[test]
fn paths_are_encoded_once_more_but_for_s3() {
    let asked = |path| Asked {
        method: b"GET",
        path,
        query: b"",
        lines: vec![("host", "h".to_owned())],
        payload: "p",
    };
    assert_eq!(asked(b"/a%20b/c").canonical(true).0, b"GET\n/a%20b/c\n\nhost:h\n\nhost\np");
    assert_eq!(asked(b"/a%20b/c").canonical(false).0, b"GET\n/a%2520b/c\n\nhost:h\n\nhost\np");
}

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, wish) in [
        (0, "19700101T000000Z"),
        (951_782_399, "20000228T235959Z"),
        (951_782_400, "20000229T000000Z"),
        (1_440_938_160, "20150830T123600Z"),
        (1_798_761_599, "20261231T235959Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), wish);
    }
}

#[test]
fn the_key_is_that_of_the_day() {
    let signer = signer("service", None);
    let first = signer.key("20150830");
    assert!(Arc::ptr_eq(&first, &signer.key("20150830")));
    assert!(!Arc::ptr_eq(&first, &signer.key("20150831")));
}
