//! `import openapi`: documents of others become configurations that are good, and are served.

use std::path::{Path, PathBuf};
use std::process::Command;

use contract::{Api, Found, Judged, Limits};
use serde_json::Value;
use testkit::client;
use testkit::gateway::Gateway;

use crate::setup::tidegate;

/// The documents of `tests/documents`, and how many routes each becomes.
const DOCUMENTS: [(&str, usize); 10] = [
    ("galaxy.yaml", 6),
    ("hoot.json", 5),
    ("http-status-codes.yaml", 89),
    ("petstore-31.yaml", 14),
    ("petstore-expanded.yaml", 2),
    ("petstore.json", 14),
    ("readme-legacy.json", 20),
    ("readme.json", 28),
    ("stapi.json", 80),
    ("uspto.yaml", 3),
];

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(name)
}

/// Imports a document into a folder of its own; gives the text that was written.
fn imported(folder: &Path, name: &str, more: &[&str]) -> String {
    std::fs::copy(document(name), folder.join(name)).unwrap();
    let told = tidegate(folder, &[&["import", "openapi", name, "--out", "gateway.yaml"], more].concat());
    assert_eq!(told.code, Some(0), "{name}: {}", told.stderr);
    std::fs::read_to_string(folder.join("gateway.yaml")).unwrap()
}

#[test]
fn ten_documents_of_others_become_good_configurations() {
    for (name, routes) in DOCUMENTS {
        let folder = tempfile::tempdir().unwrap();
        let text = imported(folder.path(), name, &[]);
        let told = tidegate(folder.path(), &["check"]);
        let wanted = format!("gateway.yaml is good: 1 listener, 1 service, {routes} routes\n");
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), wanted.as_str()), "{name}\n{text}");
        assert!(text.contains("answers: true") && text.contains("use: contract"), "{text}");
    }
}

/// The document as JSON.
fn read(name: &str) -> Value {
    let path = document(name);
    let text = std::fs::read_to_string(&path).unwrap();
    if name.ends_with(".json") {
        return serde_json::from_str(&text).unwrap();
    }
    let mut faults = tidegate::config::Diagnostics::default();
    tidegate::config::Document::read(&path, text, &mut faults).unwrap().value
}

/// A path of the template with something in the place of its names.
fn filled(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template.split('#').next().unwrap();
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push('1');
        rest = after.split_once('}').unwrap().1;
    }
    path + rest
}

#[test]
fn ten_documents_of_others_are_served_with_made_up_answers() {
    let limits = Limits { violations: 1, depth: 64, strict_query: false };
    let (mut served, mut judged, mut wrong) = (0, 0, Vec::new());
    for (name, _) in DOCUMENTS {
        let folder = tempfile::tempdir().unwrap();
        // Requests are not judged here: they are made for nothing but to be answered.
        let text = imported(folder.path(), name, &["--mock"]).replace(", use: contract", "");
        let text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("    use: contract\n", "");
        let bundle = text.find("\npolicies:").unwrap()..text.find("\nroutes:").unwrap();
        let text = text.replace(&text[bundle], "") + "admin: { listen: 127.0.0.1:0 }\nworkers: 1\n";
        let source = std::fs::read_to_string(document(name)).unwrap();
        let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file(name, &source).start(&text);
        let api = Api::new(read(name), Judged { formats: false, ..Judged::ALL })
            .unwrap_or_else(|flaws| panic!("{name}: {flaws:?}"));
        // An answer of 1xx is none: an operation that has no other cannot be answered.
        let is_final = |(status, _): &(String, contract::Response)| !status.starts_with('1');
        let can_be = |operation: &&contract::Operation| operation.responses.iter().any(is_final);
        let routed = api.operations.iter().filter(|operation| operation.method != "TRACE");
        for operation in routed.filter(can_be) {
            let first = api.servers.first().map_or("", String::as_str);
            let base = api.bases.iter().find(|base| first.ends_with(base.as_str())).unwrap();
            let path = format!("{base}{}", filled(&operation.path.text));
            let Found::Operation(_, found, _) = api.find(&operation.method, path.as_bytes(), None) else {
                panic!("{name}: {path}")
            };
            let answer = client::request(gateway.addr(), &operation.method, &path, &[], b"");
            let response = found.response(answer.status);
            let told = format!("{name}: {} {path}: {} {}", operation.method, answer.status, answer.text());
            let response = response.unwrap_or_else(|| panic!("not documented: {told}"));
            served += 1;
            let kind = answer.header("content-type").map(str::as_bytes);
            if let (Ok(Some(media)), false) = (response.media(kind), answer.body.is_empty())
                && media.reads(kind)
            {
                judged += 1;
                let violations = media.check(kind, &answer.body, limits);
                wrong.extend(violations.first().map(|first| format!("{told}: {first:?}")));
            }
        }
    }
    assert!(served > 300 && judged > 100, "{served} served, {judged} judged");
    // Examples of a document need not be what its schemas say.
    assert!(wrong.len() * 20 <= judged, "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_written_and_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "openapi: 3.0.0\ninfo: { title: My Shop! }\nservers: [{ url: https://shop.example:8443/api/ }]\npaths:\n  \
                /a/{x y}: { get: { responses: {} }, trace: { responses: {} } }\n  /a/{z}: { put: { responses: {} }, get: { responses: {} } }\n  \
                /f/{name}.{ext}: { get: { responses: {} } }\n";
    std::fs::write(folder.path().join("shop.yaml"), text).unwrap();
    let told = tidegate(folder.path(), &["import", "openapi", "shop.yaml"]);
    let wanted = "# My Shop!: made by `tidegate import openapi`.\nlisten: 127.0.0.1:8080\n\nservices:\n  my-shop: \"https://shop.example:8443\"\n\n\
                  policies:\n  contract:\n    openapi: { file: shop.yaml, answers: true }\n\nroutes:\n  \
                  GET,PUT /api/a/{x_y}: { to: my-shop, use: contract }\n  f-name-ext-1:\n    \
                  match: { methods: [GET], path: { regex: \"/api/f/[^/]+\\\\.[^/]+\" } }\n    to: my-shop\n    use: contract\n";
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), wanted));
    let left = "left out: TRACE /a/{x y}: the gateway refuses this method\nleft out: GET /a/{z}: another path takes the same requests\n";
    assert_eq!(told.stderr, left);
    let out = ["import", "openapi", "shop.yaml", "--out", "gateway.yaml"];
    assert_eq!(tidegate(folder.path(), &out).code, Some(0));
    assert_eq!(tidegate(folder.path(), &["check"]).code, Some(0));
    let again = tidegate(folder.path(), &out);
    assert!(again.code == Some(1) && again.stderr.contains("say --force"), "{}", again.stderr);
    std::fs::write(
        folder.path().join("bad.json"),
        r##"{"openapi":"3.0.0","paths":{"/a":{"$ref":"other.json"}}}"##,
    )
    .unwrap();
    let bad = tidegate(folder.path(), &["import", "openapi", "bad.json"]);
    assert!(bad.code == Some(1) && bad.stderr.contains("leads out of the document"), "{}", bad.stderr);
    let gone = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["import", "openapi", "gone.yaml"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(1));
}
