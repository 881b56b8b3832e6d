//! Secrets of every kind, searched for in everything that the gateway says.

use std::fmt::Write as _;

use serde_json::json;
use testkit::client::request;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::setup::tidegate;

/// The word that no sink may say.
const CANARY: &str = "CANARY";

fn text(app: &str, server: &str) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
key_secret: CANARY-key-secret
log: {{ level: debug }}
services:
  app: "{app}"
  bearer: {{ targets: "{app}", credentials: {{ bearer: CANARY-bearer }} }}
  file: {{ targets: "{app}", credentials: {{ bearer: "${{file:token}}" }} }}
  basic: {{ targets: "{app}", credentials: {{ basic: {{ user: me, password: CANARY-password }} }} }}
  header: {{ targets: "{app}", credentials: {{ header: {{ name: X-API-Key, value: CANARY-header }} }} }}
  query: {{ targets: "{app}", credentials: {{ query: {{ name: api_key, value: CANARY-query }} }} }}
  oauth2: {{ targets: "{app}", credentials: {{ oauth2: {{ token_url: "{server}", client_id: me, client_secret: CANARY-client }} }} }}
  aws:
    targets: "{app}"
    credentials: {{ aws: {{ access_key: AKID, secret_key: CANARY-aws, session_token: CANARY-session, region: r, service: s3 }} }}
  dead: "http://127.0.0.1:1"
consumers:
  mobile: {{ basic: {{ user: alice, password_hash: "$2y$04$1HHvUtDUEnL/98OaJT1hPeL2F/Od1YYJrBIy38Jd50vnZ.HO27DGi" }} }}
defaults: {{ any_of: {{ of: [{{ jwt: {{ secret: "${{file:secret}}", audience: a }} }}, {{ basic: {{}} }}], optional: true }} }}
routes:
  /bearer: {{ to: bearer }}
  /file: {{ to: file }}
  /basic: {{ to: basic }}
  /header: {{ to: header }}
  /query: {{ to: query }}
  /oauth2: {{ to: oauth2 }}
  /aws: {{ to: aws }}
  /dead: {{ to: dead }}
  /opaque: {{ to: app, introspection: {{ url: "{server}", client_id: gw, client_secret: CANARY-introspection }} }}
  /asked: {{ to: app, ext_auth: {{ service: app }} }}
"#
    )
}

#[test]
fn no_sink_tells_a_secret() {
    let app = Origin::answering(|_| Reply::ok("good"));
    let server = Origin::answering(|_| {
        let told = json!({ "access_token": "CANARY-token", "token_type": "bearer", "expires_in": 3600, "active": false });
        Reply::ok(told.to_string())
    });
    let yaml = text(&app.url(), &server.url());
    let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .file("token", "CANARY-file\n")
        .file("secret", "CANARY-secret-of-at-least-32-bytes\n")
        .start(&yaml);
    let mut said = answers(&gateway);
    // Each service did get its secret: what is not said has been used.
    let seen = app.received() + &server.received();
    for secret in ["bearer", "file", "header", "query", "token", "session"] {
        assert!(seen.contains(&format!("CANARY-{secret}")), "{secret}");
    }
    gateway.wait_for_log(|line| line["path"] == "/nowhere");
    said += &told(&gateway);
    // A faulty line is told as it is written, without what it takes from elsewhere.
    let broken = yaml.replace("audience: a ", "audience: ");
    gateway.rewrite_config(&broken);
    gateway.reload();
    gateway.wait_for_line(|line| line.contains("keeps running"));
    write!(said, "{:?} {:?}", gateway.logs(), gateway.stderr()).unwrap();
    let loaded = tidegate::config::load_text(
        "gateway.yaml",
        yaml.replace("${file:token}", "CANARY-file")
            .replace("${file:secret}", "CANARY-secret-of-at-least-32-bytes"),
        &tidegate::config::System,
        &tidegate::config::Known {
            policies: &tidegate::policies::LIST.iter().map(|kind| kind.name).collect::<Vec<_>>(),
        },
    );
    let config = loaded.map_err(|_| "faults").unwrap().config;
    write!(said, "{:?}", config.services).unwrap();
    write!(said, "{:?}", config.key_secret).unwrap();
    assert_clean(&said);
}

/// What clients and `explain` are told of requests with credentials of every kind.
fn answers(gateway: &Gateway) -> String {
    let paths =
        ["bearer", "file", "basic", "header", "query", "oauth2", "aws", "dead", "opaque", "asked", "nowhere"];
    let mut said = String::new();
    for path in paths {
        let fields = [
            ("Authorization", "Bearer CANARY.client.token"),
            ("X-API-Key", "CANARY-client-key"),
            ("Cookie", "session=CANARY-client-cookie"),
        ];
        let target = format!("/{path}?access_token=CANARY-client-query");
        let answer = request(gateway.addr(), "GET", &target, &fields, b"");
        let basic = [("Authorization", "Basic Q0FOQVJZOkNBTkFSWQ==")]; // CANARY:CANARY
        let other = request(gateway.addr(), "GET", &target, &basic, b"");
        write!(said, "{:?} {} {:?} {}", answer.headers, answer.text(), other.headers, other.text()).unwrap();
        let path = format!("http://a/{path}?access_token=CANARY-client-query");
        let header = "Authorization: Bearer CANARY.client.token";
        let words = ["explain", "GET", &path, "-H", header, "--config", "gateway.yaml"];
        let told = tidegate(gateway.folder(), &words);
        assert_eq!(told.stderr, "", "{words:?}");
        write!(said, "{} {}", told.stdout, told.stderr).unwrap();
    }
    said
}

/// What commands and the admin address tell.
fn told(gateway: &Gateway) -> String {
    let mut said = String::new();
    for words in [
        &["config", "show", "--effective", "gateway.yaml"][..],
        &["config", "show", "gateway.yaml"],
        &["check", "gateway.yaml"],
        &["status", "--config", "gateway.yaml"],
    ] {
        let told = tidegate(gateway.folder(), words);
        // What is shown as written is shown as written.
        if words != ["config", "show", "gateway.yaml"] {
            write!(said, "{} {}", told.stdout, told.stderr).unwrap();
        }
    }
    for path in ["/metrics", "/readyz?verbose", "/api/v1/status", "/api/v1/samples", "/.well-known/jwks.json"]
    {
        let answer = gateway.admin(path);
        write!(said, "{:?} {}", answer.headers, answer.text()).unwrap();
    }
    said
}

fn assert_clean(said: &str) {
    if let Some(place) = said.find(CANARY) {
        let before = said[..place].chars().count().saturating_sub(200);
        let around: String = said.chars().skip(before).take(260).collect();
        panic!("a secret is told: ...{around}...");
    }
    for hidden in ["Q0FOQVJZ", "Q0FOQVJZLXBhc3N3b3Jk"] {
        assert!(!said.contains(hidden), "{hidden}");
    }
}
