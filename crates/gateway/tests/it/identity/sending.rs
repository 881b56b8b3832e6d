//! What the gateway proves itself to services with: in the place of what clients sent, and never without.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::client::request;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

fn gateway(origin: &Origin, credentials: &str) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("token", "FROM-A-FILE\n").start(&format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 2
services: {{ app: {{ targets: "{app}", credentials: {{ {credentials} }} }} }}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    ))
}

const SENT: [(&str, &str); 3] =
    [("Authorization", "Bearer CLIENT"), ("X-API-Key", "CLIENT"), ("x_api_key", "CLIENT")];

#[test]
fn a_service_gets_the_credential_of_the_gateway_and_no_other() {
    for (credentials, name, value) in [
        ("bearer: \"${file:token}\"", "authorization", "Bearer FROM-A-FILE"),
        (
            "basic: { user: Aladdin, password: open sesame }",
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ("header: { name: X-API-Key, value: GATEWAY }", "x-api-key", "GATEWAY"),
    ] {
        let origin = Origin::start();
        let gateway = gateway(&origin, credentials);
        assert_eq!(request(gateway.addr(), "GET", "/x", &SENT, b"").status, 200);
        let seen = origin.only_request();
        assert_eq!(seen.headers_named(name), [value], "{credentials}");
        assert!(name == "authorization" || seen.headers_named("x_api_key").is_empty(), "{:?}", seen.headers);
        let folder = gateway.folder().to_owned();
        let words = ["explain", "GET", "http://a/x", "--config", "gateway.yaml"];
        let told = crate::setup::tidegate(&folder, &words);
        let shown = crate::setup::tidegate(&folder, &["config", "show", "--effective", "gateway.yaml"]);
        let all = format!(
            "{} {} {} {:?} {:?}",
            told.stdout,
            shown.stdout,
            shown.stderr,
            gateway.logs(),
            gateway.stderr()
        );
        for secret in ["FROM-A-FILE", "QWxhZGRpb", "GATEWAY", "open sesame"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
    }
    let origin = Origin::start();
    let gateway = gateway(&origin, "query: { name: api_key, value: a/b }");
    assert_eq!(request(gateway.addr(), "GET", "/x?a=1&api_key=CLIENT", &[], b"").status, 200);
    assert_eq!(origin.only_request().target, "/x?a=1&api_key=a%2Fb");
}

#[test]
fn a_token_is_got_once_for_all_and_in_the_place_of_the_clients() {
    let (origin, asked) = (Origin::start(), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    let server = Origin::answering(move |request| {
        assert_eq!(request.header("authorization"), Some("Basic bWUlM0E6cyUyRmU=")); // me%3A:s%2Fe
        assert_eq!(request.text(), "grant_type=client_credentials&scope=a%20b");
        let number = counted.fetch_add(1, Ordering::Relaxed);
        Reply::ok(
            json!({ "access_token": format!("T{number}"), "token_type": "bearer", "expires_in": 3600 })
                .to_string(),
        )
    });
    let oauth = format!(
        "oauth2: {{ token_url: \"{}/token\", client_id: \"me:\", client_secret: s/e, scope: a b }}",
        server.url()
    );
    let gateway = gateway(&origin, &oauth);
    for _ in 0..20 {
        assert_eq!(request(gateway.addr(), "GET", "/x", &SENT, b"").status, 200);
    }
    assert!(origin.requests().iter().all(|seen| seen.headers_named("authorization") == ["Bearer T0"]));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // A reload that leaves the service as it is leaves its token, too.
    let text = std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    gateway.rewrite_config(&format!("{text}  /more: {{ to: app }}\n"));
    gateway.reload();
    gateway.wait_metric("tidegate_config_revision_info{revision=\"2\"}", |shown| shown == 1.0);
    assert_eq!(request(gateway.addr(), "GET", "/more", &[], b"").status, 200);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn without_a_token_nothing_is_sent() {
    let origin = Origin::start();
    let moods: Vec<fn() -> Reply> = vec![
        Reply::hang,
        Reply::close_without_answer,
        || Reply::status(500),
        || Reply::ok("garbage"),
        || Reply::ok("x".repeat(10 << 20)),
        || Reply::ok("{\"access_token\":\"a\\r\\nX: b\",\"token_type\":\"bearer\"}"),
        || Reply::ok("{\"access_token\":\"T\",\"token_type\":\"mac\"}"),
        || Reply::ok("{\"token_type\":\"bearer\"}"),
    ];
    for mood in moods {
        let server = Origin::answering(move |_| mood());
        let oauth = format!("oauth2: {{ token_url: \"{}\", client_id: me, client_secret: s }}", server.url());
        let gateway = gateway(&origin, &oauth);
        assert_eq!(request(gateway.addr(), "GET", "/x", &SENT, b"").status, 503);
        let line = gateway.wait_for_log(|line| line["status"] == 503);
        assert_eq!(line["why"], "there is no token for the service");
    }
    assert_eq!(origin.requests(), []);
}

#[test]
fn a_request_is_signed_as_it_is_sent() {
    let origin = Origin::start();
    let credentials = "aws: { access_key: AKIDEXAMPLE, secret_key: \"${file:token}\", session_token: CANARY-SESSION, \
                       region: eu-central-1, service: s3 }";
    let gateway = gateway(&origin, credentials);
    let sent = [&SENT[..1], &[("X-Amz-Date", "evil"), ("x_amz_security_token", "evil")]].concat();
    for (method, target, body) in
        [("GET", "/a/../b?z=1&a=x+y", &b""[..]), ("PUT", "/b%20c", b"BODY"), ("GET", "/x", b"")]
    {
        assert_eq!(request(gateway.addr(), method, target, &sent, body).status, 200);
        let seen = origin.requests().pop().unwrap();
        let date = seen.header("x-amz-date").unwrap().to_owned();
        let value = seen.header("authorization").unwrap();
        let scope =
            format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}/eu-central-1/s3/aws4_request, ", &date[..8]);
        assert!(value.starts_with(&scope), "{value}");
        assert!(value.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "));
        let payload = match body {
            b"" => "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            _ => "UNSIGNED-PAYLOAD",
        };
        assert_eq!(seen.headers_named("x-amz-content-sha256"), [payload]);
        assert_eq!(seen.headers_named("x-amz-security-token"), ["CANARY-SESSION"]);
        assert!(seen.headers_named("x_amz_security_token").is_empty() && !date.contains("evil"));
        // What was sent, signed by other code than the gateway's.
        assert_eq!(value.rsplit('=').next().unwrap(), signature(&seen, payload, &date), "{target}");
    }
    assert_eq!(origin.requests()[0].target, "/b?z=1&a=x%20y");
    let told = crate::setup::tidegate(
        gateway.folder(),
        &["explain", "GET", "http://a/x", "--config", "gateway.yaml"],
    );
    let all = format!("{} {:?} {:?}", told.stdout, gateway.logs(), gateway.stderr());
    assert!(!all.contains("CANARY") && !all.contains("FROM-A-FILE") && !all.contains("Signature="), "{all}");
}

/// The signature of a request to S3, step by step as AWS describes it, by openssl.
fn signature(seen: &testkit::origin::Recorded, payload: &str, date: &str) -> String {
    let openssl = |key: &str, text: &str| {
        let macopt = format!("hexkey:{key}");
        let words = ["dgst", "-sha256", "-mac", "HMAC", "-macopt", &macopt];
        let words = if key.is_empty() { &["dgst", "-sha256"][..] } else { &words[..] };
        let mut command = std::process::Command::new("openssl");
        let piped =
            command.args(words).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = piped.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        output.trim_end().rsplit(' ').next().unwrap().to_owned()
    };
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let mut query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let names = ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];
    let lines: String = names.iter().map(|name| format!("{name}:{}\n", seen.header(name).unwrap())).collect();
    let canonical =
        format!("{}\n{path}\n{}\n{lines}\n{}\n{payload}", seen.method, query.join("&"), names.join(";"));
    let day = &date[..8];
    let text =
        format!("AWS4-HMAC-SHA256\n{date}\n{day}/eu-central-1/s3/aws4_request\n{}", openssl("", &canonical));
    let secret: String = "AWS4FROM-A-FILE".bytes().map(|byte| format!("{byte:02x}")).collect();
    let steps = [day, "eu-central-1", "s3", "aws4_request"];
    let key = steps.iter().fold(secret, |key, step| openssl(&key, step));
    openssl(&key, &text)
}
