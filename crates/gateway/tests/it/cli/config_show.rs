//! `config show`: every value with its origin, none that a variable brought, and good to be loaded again.

use std::fs;

use serde_json::{Value, json};

use crate::setup::{folder_with, tidegate};

const TEXT: &str = r#"
listen: 127.0.0.1:${PORT:-1}
policies:
  open: { cors: { origins: ["https://a.example"] } }
routes:
  /a:
    use: [open]
    respond: { body: "${WORD:-swordfish}" }
    ip: { deny: [10.0.0.0/8] }
    headers: { request: { set: { X-Key: "${WORD:-swordfish}" } } }
  /b: { redirect: /c, rewrite: { add_prefix: /x }, timeout: 5s, body_limit: off }
"#;

fn setting(settings: &Value, path: &[&str]) -> Value {
    let found = settings.as_array().unwrap().iter().find(|setting| setting["path"] == json!(path));
    let found = found.unwrap_or_else(|| panic!("{path:?} is not in {settings:#}"));
    json!([found["value"], found["origin"]])
}

#[test]
fn every_value_has_its_origin_and_policies_their_defaults() {
    let folder = folder_with(TEXT);
    let told = tidegate(folder.path(), &["config", "show", "--effective", "--json"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let settings = told.json();
    for (path, wanted) in [
        (&["routes", "/a", "ip", "deny", "0"][..], json!(["10.0.0.0/8", "gateway.yaml:9"])),
        (&["routes", "/a", "ip", "mode"], json!(["enforce", "default"])),
        (&["policies", "open", "cors", "max_age"], json!(["10m", "default"])),
        (&["routes", "/b", "rewrite", "add_prefix"], json!(["/x", "gateway.yaml:11"])),
        (&["routes", "/b", "timeout"], json!(["5s", "gateway.yaml:11"])),
        (&["drain", "timeout"], json!(["30s", "default"])),
        (&["routes", "/a", "respond", "body"], json!(["${WORD:-swordfish}", "gateway.yaml:8"])),
    ] {
        assert_eq!(setting(&settings, path), wanted, "{path:?}");
    }
}

#[test]
fn what_it_prints_means_the_same() {
    let folder = folder_with(TEXT);
    let first = tidegate(folder.path(), &["config", "show", "--effective"]);
    fs::write(folder.path().join("again.yaml"), &first.stdout).unwrap();
    let again = tidegate(folder.path(), &["config", "show", "--effective", "again.yaml"]);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().trim_end().to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&first.stdout));
    assert!(first.stdout.contains("max_requests: 10000"), "{}", first.stdout);
}

#[test]
fn without_effective_it_is_only_what_somebody_wrote() {
    let told = tidegate(folder_with(TEXT).path(), &["config", "show"]);
    assert!(told.stdout.contains("redirect:\n      to: /c"), "{}", told.stdout);
    assert!(!told.stdout.contains("default"), "{}", told.stdout);
}

#[test]
fn what_variables_bring_is_not_shown_and_a_wrong_file_is_refused() {
    let folder = folder_with(&TEXT.replace("${WORD:-swordfish}", "${file:word}"));
    fs::write(folder.path().join("word"), "swordfish").unwrap();
    for words in [&["config", "show"][..], &["config", "show", "--effective", "--json"]] {
        let told = tidegate(folder.path(), words);
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        assert!(!told.stdout.contains("swordfish"), "{}", told.stdout);
    }
    let told = tidegate(folder_with("listen: 1").path(), &["config", "show"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""));
    assert!(told.stderr.contains("error[TG"), "{}", told.stderr);
}
