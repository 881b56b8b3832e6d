//! `hmac` on the wire: signed requests that pass once, bodies that are not what was signed, and keys of each kind.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use testkit::client::{Raw, Response, request};
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use crate::http::http2;

const SECRET: &str = "a secret that is long enough for hmac-sha256";

fn gateway(origin: &Origin, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
consumers:
  warehouse: {{ hmac: {{ key_id: w1, secret: "{SECRET}" }}, groups: gold }}
  other: {{ mtls: {{ san: "DNS:other.internal" }} }}
{more}
routes:
  /open/*: {{ to: app }}
  /signed/*: {{ to: app, hmac: {{}} }}
  /small/*: {{ to: app, hmac: {{ max_body: 1KiB }} }}
  /again/*: {{ to: app, hmac: {{ once: false }} }}
  /nonce/*: {{ to: app, hmac: {{ nonce: true }} }}
  /maybe/*: {{ to: app, hmac: {{ optional: true }} }}
  /watch/*: {{ to: app, hmac: {{ mode: shadow }} }}
  /kept/*: {{ to: app, hmac: {{ forward_credentials: true }} }}
  /shaped/*: {{ to: app, hmac: {{}}, request: {{ body: [{{ rename: {{ user_name: username }} }}] }} }}
  /any/*: {{ to: app, any_of: {{ of: [{{ hmac: {{}} }}, {{ mtls: {{}} }}] }} }}
"#,
        app = origin.url()
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn content_digest(body: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, body);
    format!("sha-256=:{}:", STANDARD.encode(hash.as_ref()))
}

/// A request as a client would sign it.
struct Draft<'d> {
    authority: &'d str,
    method: &'d str,
    path: &'d str,
    query: &'d str,
    body: &'d [u8],
    key_id: &'d str,
    more: &'d str,
    created: u64,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Draft {
            authority: "",
            method: "GET",
            path: "/signed/x",
            query: "",
            body: b"",
            key_id: "w1",
            more: "",
            created: now(),
        }
    }
}

type Lines = Vec<(&'static str, String)>;

impl Draft<'_> {
    fn sign(&self, gateway: &Gateway, sign: impl Fn(&[u8]) -> Vec<u8>) -> Lines {
        let mut lines: Lines = Vec::new();
        let mut names = "\"@method\" \"@authority\" \"@path\" \"@query\"".to_owned();
        let mut base = format!(
            "\"@method\": {}\n\"@authority\": {}\n\"@path\": {}\n\"@query\": ?{}\n",
            self.method,
            if self.authority.is_empty() { gateway.addr().to_string() } else { self.authority.to_owned() },
            self.path,
            self.query
        );
        if !self.body.is_empty() {
            let digest = content_digest(self.body);
            names += " \"content-digest\"";
            base += &format!("\"content-digest\": {digest}\n");
            lines.push(("Content-Digest", digest));
        }
        let params = format!("({names});created={};keyid=\"{}\"{}", self.created, self.key_id, self.more);
        base += &format!("\"@signature-params\": {params}");
        lines.push(("Signature-Input", format!("sig1={params}")));
        lines.push(("Signature", format!("sig1=:{}:", STANDARD.encode(sign(base.as_bytes())))));
        lines
    }

    fn signed(&self, gateway: &Gateway) -> Lines {
        self.sign(gateway, |base| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            hmac::sign(&key, base).as_ref().to_vec()
        })
    }

    fn send(&self, gateway: &Gateway, lines: &Lines) -> Response {
        let target = if self.query.is_empty() {
            self.path.to_owned()
        } else {
            format!("{}?{}", self.path, self.query)
        };
        let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, &**value)).collect();
        request(gateway.addr(), self.method, &target, &lines, self.body)
    }
}

#[test]
fn a_signed_request_passes_once_and_the_service_learns_whose_it_is() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let body = b"{\"sku\": 7}".repeat(5000);
    for draft in [
        Draft::default(),
        Draft { query: "a=1&b=%20", ..Draft::default() },
        Draft { method: "POST", body: &body, ..Draft::default() },
        Draft { path: "/nonce/x", more: ";nonce=\"n-1\"", ..Draft::default() },
        Draft { path: "/any/x", ..Draft::default() },
        Draft { path: "/maybe/x", ..Draft::default() },
        Draft { more: ";alg=\"hmac-sha256\";tag=\"x\"", ..Draft::default() },
    ] {
        let lines = draft.signed(&gateway);
        assert_eq!(draft.send(&gateway, &lines).status, 200, "{} {}", draft.method, draft.path);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.headers_named("x-consumer"), ["warehouse"]);
        assert_eq!(seen.headers_named("x-user-id"), ["w1"]);
        assert_eq!(seen.body, draft.body);
        assert!(seen.header("signature").is_none() && seen.header("signature-input").is_none());
        let again = draft.send(&gateway, &lines);
        let wish = if draft.path == "/maybe/x" { 200 } else { 401 };
        assert_eq!(again.status, wish, "{}", draft.path);
    }
    assert!(origin.requests().pop().unwrap().header("x-consumer").is_some());
    let maybe = origin.requests().into_iter().filter(|seen| seen.target == "/maybe/x");
    let told: Vec<_> = maybe.map(|seen| seen.header("x-consumer").map(str::to_owned)).collect();
    assert_eq!(told, [Some("warehouse".to_owned()), None], "a used signature is nobody's");
    let again = Draft { path: "/again/x", ..Draft::default() };
    let lines = again.signed(&gateway);
    assert_eq!((again.send(&gateway, &lines).status, again.send(&gateway, &lines).status), (200, 200));
    let kept = Draft { path: "/kept/x", ..Draft::default() };
    assert_eq!(kept.send(&gateway, &kept.signed(&gateway)).status, 200);
    assert!(origin.requests().pop().unwrap().header("signature").is_some());
    let failures = gateway.metric("tidegate_auth_failures_total{policy=\"hmac\",reason=\"bad_credentials\"}");
    assert_eq!(failures, 7.0, "used twice, in any_of and where it is optional as well");
}

#[test]
fn what_was_not_signed_does_not_pass() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let good = Draft { query: "a=1", ..Draft::default() };
    let lines = good.signed(&gateway);
    let of = |draft: Draft<'_>| {
        let lines = draft.signed(&gateway);
        draft.send(&gateway, &lines)
    };
    let without = |name: &str| -> Lines { lines.iter().filter(|(own, _)| *own != name).cloned().collect() };
    let doubled: Lines = lines.iter().chain(&lines).cloned().collect();
    let answers = [
        (
            Draft { query: "a=2", ..Draft::default() }.send(&gateway, &lines),
            "the signature is not that of the key",
        ),
        (
            Draft { method: "DELETE", query: "a=1", ..Draft::default() }.send(&gateway, &lines),
            "the signature is not that of the key",
        ),
        (
            Draft { path: "/signed/y", query: "a=1", ..Draft::default() }.send(&gateway, &lines),
            "the signature is not that of the key",
        ),
        (
            Draft { method: "POST", query: "a=1", body: b"x", ..Draft::default() }.send(&gateway, &lines),
            "the signature does not cover `content-digest`",
        ),
        (of(Draft { key_id: "w2", ..Draft::default() }), "no consumer has a key of this name"),
        (of(Draft { created: now() - 400, ..Draft::default() }), "the signature is too old, or has expired"),
        (
            of(Draft { created: now() + 100, ..Draft::default() }),
            "the signature was made in the future (created)",
        ),
        (of(Draft { path: "/nonce/x", ..Draft::default() }), "the signature has no nonce"),
        (
            of(Draft { more: ";alg=\"ed25519\"", ..Draft::default() }),
            "the key is not for the algorithm of the signature",
        ),
        (good.send(&gateway, &without("Signature")), "`Signature-Input` or `Signature` is malformed"),
        (good.send(&gateway, &doubled), "`Signature-Input` or `Signature` is malformed"),
    ];
    for (answer, why) in &answers {
        assert_eq!(answer.status, 401, "{why}");
        assert_eq!(answer.json()["type"], "urn:tidegate:problem:bad_credentials", "{why}");
        assert_eq!(answer.header("www-authenticate"), Some("Signature realm=\"tidegate\""));
        gateway.wait_for_log(|line| line["why"] == **why);
    }
    let none = gateway.get("/signed/x");
    assert_eq!(
        (none.status, none.json()["type"].clone()),
        (401, "urn:tidegate:problem:no_credentials".into())
    );
    assert_eq!(origin.requests(), []);
    assert_eq!(good.send(&gateway, &lines).status, 200, "what was refused did not use it up");
}

#[test]
fn a_body_that_is_not_what_was_signed_reaches_nobody() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let body = vec![b'a'; 40_000];
    for path in ["/signed/x", "/maybe/x", "/any/x"] {
        let draft = Draft { method: "POST", path, body: &body, ..Draft::default() };
        let lines = draft.signed(&gateway);
        let mut other = body.clone();
        other[39_999] = b'b';
        let answer = Draft { body: &other, ..draft }.send(&gateway, &lines);
        assert_eq!(
            (answer.status, answer.json()["type"].clone()),
            (400, "urn:tidegate:problem:other_body".into()),
            "{path}"
        );
    }
    assert_eq!(origin.requests(), []);
    let large = Draft { method: "POST", path: "/small/x", body: &body, ..Draft::default() };
    assert_eq!(large.send(&gateway, &large.signed(&gateway)).status, 413);
    assert_eq!(origin.requests(), []);
    let line = gateway.wait_for_log(|line| line["reason"] == "other_body");
    assert_eq!(line["refused_by"], "hmac");
    // Who only watches lets pass, and the body as it is.
    let watched = Draft { method: "POST", path: "/watch/x", body: &body, ..Draft::default() };
    let lines = watched.signed(&gateway);
    assert_eq!(Draft { body: b"other", ..watched }.send(&gateway, &lines).status, 200);
    assert_eq!(origin.requests().pop().unwrap().body, b"other");
}

#[test]
fn a_body_is_shaped_after_it_was_compared() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let draft =
        Draft { method: "POST", path: "/shaped/x", body: b"{ \"user_name\": 1 }", ..Draft::default() };
    assert_eq!(draft.send(&gateway, &draft.signed(&gateway)).status, 200);
    assert_eq!(origin.only_request().text(), "{\"username\":1}");
    // Signed for one body, sent with another.
    let signed = Draft { body: b"{ \"user_name\": 2 }", created: now() - 1, ..draft };
    let lines = signed.signed(&gateway);
    assert_eq!(Draft { body: b"{ \"user_name\": 3 }", ..signed }.send(&gateway, &lines).status, 400);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_and_chunks_are_one_body() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "");
    let draft = Draft { method: "PUT", body: b"hello world", ..Draft::default() };
    let lines: String =
        draft.signed(&gateway).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut raw = Raw::connect(gateway.addr());
    raw.send(format!(
        "PUT /signed/x HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n{lines}\r\n",
        gateway.addr()
    ));
    assert_eq!(raw.read_interim().status, 100);
    raw.send("6\r\nhello \r\n5\r\nworld\r\n0\r\nX-Trailer: unsigned\r\n\r\n");
    assert_eq!(raw.read_response().status, 200);
    let seen = origin.only_request();
    assert_eq!(seen.body, b"hello world");
    assert!(!seen.expects_continue() && !origin.received().contains("unsigned"));
    // The connection goes on.
    raw.request("GET", "/open/x", &[], b"");
    assert_eq!(raw.read_response().status, 200);
}

#[test]
fn public_keys_that_others_made_verify() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let made = Command::new("openssl").args(arguments).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    let kinds = [
        ("ed", vec!["-algorithm", "ED25519"], ""),
        ("rsa", vec!["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ""),
        (
            "old",
            vec!["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            ", algorithm: rsa-v1_5-sha256",
        ),
    ];
    let mut consumers = String::new();
    for (name, arguments, more) in &kinds {
        openssl(&[&["genpkey"], &arguments[..], &["-out", &file(name)]].concat());
        openssl(&["pkey", "-in", &file(name), "-pubout", "-out", &file(&format!("{name}.pub"))]);
        let public = file(&format!("{name}.pub"));
        consumers += &format!(
            "  {name}: {{ hmac: {{ key_id: {name}, public_key: \"${{file:{public}}}\"{more} }} }}\n"
        );
    }
    let gateway = gateway(&origin, &consumers);
    let sign = |name: &str, base: &[u8]| -> Vec<u8> {
        let (text, out, key) = (file("text"), file("signature"), file(name));
        std::fs::write(&text, base).unwrap();
        match name {
            "ed" => openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", &text, "-out", &out]),
            "rsa" => openssl(&[
                "dgst",
                "-sha512",
                "-sigopt",
                "rsa_padding_mode:pss",
                "-sigopt",
                "rsa_pss_saltlen:64",
                "-sign",
                &key,
                "-out",
                &out,
                &text,
            ]),
            _ => openssl(&["dgst", "-sha256", "-sign", &key, "-out", &out, &text]),
        }
        std::fs::read(&out).unwrap()
    };
    for (name, _, _) in &kinds {
        let draft = Draft { method: "POST", body: b"x", key_id: name, ..Draft::default() };
        let lines = draft.sign(&gateway, |base| sign(name, base));
        assert_eq!(draft.send(&gateway, &lines).status, 200, "{name}");
        assert_eq!(origin.requests().pop().unwrap().headers_named("x-consumer"), [*name]);
        let wrong = draft.sign(&gateway, |base| sign(name, &[base, b" "].concat()));
        assert_eq!(draft.send(&gateway, &wrong).status, 401, "{name}");
    }
}

#[test]
fn a_body_on_a_stream_is_compared_as_well() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        r#"
listeners: {{ web: {{ address: "127.0.0.1:0", http2: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
consumers: {{ warehouse: {{ hmac: {{ key_id: w1, secret: "{SECRET}" }} }} }}
routes: {{ /signed/*: {{ to: app, hmac: {{}} }} }}
"#,
        app = origin.url()
    );
    let (body, mut other) = (vec![b'a'; 200_000], vec![b'a'; 200_000]);
    other[199_999] = b'b';
    let send = |sent: &[u8], nonce: &str| {
        let draft =
            Draft { authority: "a.example", method: "POST", body: &body, more: nonce, ..Draft::default() };
        let lines = draft.signed(&gateway);
        let asked = lines
            .iter()
            .fold(http2::request("POST", "/signed/x"), |asked, (name, value)| asked.header(*name, value));
        http2::converse(async {
            let (client, _connection) = http2::open(gateway.addr()).await;
            http2::ask(&client, asked, sent).await.unwrap().status
        })
    };
    assert_eq!(send(&other, ";nonce=\"1\""), 400);
    assert_eq!(origin.requests(), []);
    assert_eq!(send(&body, ";nonce=\"2\""), 200);
    assert_eq!(origin.only_request().body, body);
}
