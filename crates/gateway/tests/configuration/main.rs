//! What holds for every configuration: nothing panics, the schema agrees with the reader, the effective form means the
//! same, a folder is a configuration too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod policies;
mod schema;

use proptest::prelude::*;
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tidegate::config::{self, Config, Diagnostics, Environment, Known, Loaded, Origin};

pub(crate) const POLICIES: &[&str] =
    &["cors", "headers", "timeout", "ip", "body_limit", "rewrite", "rate_limit"];
pub(crate) const KNOWN: Known<'static> = Known { policies: POLICIES };

pub(crate) struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

fn load(text: &str) -> Result<Loaded, Diagnostics> {
    config::load_text("gateway.yaml", text, &Nothing, &KNOWN)
}

pub(crate) fn good(text: &str) -> Loaded {
    load(text).unwrap_or_else(|faults| panic!("{}", faults.render(false)))
}

pub(crate) fn good_files() -> Vec<PathBuf> {
    let files = fs::read_dir("tests/config/good").unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).collect()
}

#[test]
fn the_effective_form_means_the_same() {
    for path in good_files() {
        let loaded = config::load(&path, &Nothing, &KNOWN).unwrap();
        let text = config::effective(&loaded, &|_, _| None).to_yaml();
        let again = load(&text).unwrap_or_else(|faults| panic!("{}\n{text}", faults.render(false)));
        assert_eq!(again.config, loaded.config, "{text}");
    }
}

#[test]
fn every_value_has_its_origin() {
    let loaded = good(
        "listen: 127.0.0.1:0\ntimeouts: { head: 5s }\nservices:\n  users:\n    - http://a:1\n    - { url: http://b:2 }\n\
         routes:\n  /a:\n    to: users\n    cors: { token: abc }\n    use: open\npolicies:\n  open: { ip: { allow: [10.0.0.0/8] } }\n",
    );
    let hide =
        |name: &str, _: &config::Node| (name == "cors").then(|| json!({ "token": "***", "max_age": "5m" }));
    let effective = config::effective(&loaded, &hide);
    let settings = effective.settings();
    let find = |path: &str| {
        let setting = settings.iter().find(|setting| setting.path.join(" ") == path);
        let setting = setting.unwrap_or_else(|| panic!("{path} not in\n{}", effective.to_yaml()));
        format!("{} {}", setting.value, setting.origin)
    };
    for (path, wanted) in [
        ("listeners main address", "\"127.0.0.1:0\" gateway.yaml:1"),
        ("listeners main timeouts head", "\"5s\" gateway.yaml:2"),
        ("listeners main timeouts max_age", "\"1h\" default"),
        ("timeouts head", "\"5s\" gateway.yaml:2"),
        ("admin listen", "\"127.0.0.1:9900\" default"),
        ("services users targets 0 url", "\"http://a:1\" gateway.yaml:5"),
        ("services users targets 0 weight", "1 default"),
        ("services users targets 1 url", "\"http://b:2\" gateway.yaml:6"),
        ("services users timeout", "\"15s\" default"),
        ("routes /a to", "\"users\" gateway.yaml:9"),
        ("routes /a use 0", "\"open\" gateway.yaml:11"),
        ("routes /a cors token", "\"***\" gateway.yaml:10"),
        ("routes /a cors max_age", "\"5m\" default"),
        ("policies open ip allow 0", "\"10.0.0.0/8\" gateway.yaml:13"),
    ] {
        assert_eq!(find(path), wanted, "{path}");
    }
    assert!(!effective.to_yaml().contains("abc"));
    assert!(settings.iter().any(|setting| setting.origin == Origin::Default));
}

#[test]
fn what_a_variable_brought_is_not_shown() {
    struct One;
    impl Environment for One {
        fn variable(&self, _: &str) -> Option<String> {
            Some("swordfish".into())
        }
        fn file(&self, _: &Path) -> io::Result<String> {
            Ok("swordfish\n".into())
        }
    }
    let text =
        "listen: 127.0.0.1:0\nroutes: { /a: { respond: 204, cors: { token: '${T}', key: '${file:k}' } } }";
    let loaded = config::load_text("gateway.yaml", text, &One, &KNOWN).unwrap();
    let settings = &loaded.config.routes.get("/a").unwrap().policies;
    assert_eq!(settings.get("cors").unwrap().get("key").unwrap().text(), Some("swordfish"));
    assert!(!config::effective(&loaded, &|_, _| None).to_yaml().contains("swordfish"));
    assert!(!serde_json::to_string(&loaded.config).unwrap().contains("swordfish"));
    assert_eq!(loaded.paths, [PathBuf::from("k")]);
}

#[test]
fn countless_faults_are_cut_short() {
    let routes: String = (0..600).map(|number| format!("  /a{number}: {{ respond: 99 }}\n")).collect();
    let faults = load(&format!("listen: 127.0.0.1:0\nroutes:\n{routes}")).unwrap_err();
    assert_eq!(faults.summary("", false), "error: 500 errors and more.\n");
}

#[test]
fn a_folder_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("10-base.yaml", "listen: 127.0.0.1:0\ninclude: [services/*.yaml, 20-routes.yaml]\n");
    write("20-routes.yaml", "routes: { /a: { to: a }, /b: { to: b } }\n");
    write("notes.txt", "not: [yaml");
    write(".hidden.yaml", "not: [yaml");
    fs::create_dir(folder.path().join("services")).unwrap();
    write("services/a.yaml", "services: { a: http://a:1 }\n");
    write("services/b.yaml", "services: { b: http://b:1 }\n");
    let loaded = config::load(folder.path(), &Nothing, &KNOWN)
        .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    assert_eq!(loaded.config.services.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(loaded.config.routes.names().collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(loaded.paths.len(), 4);
}

#[test]
fn equal_whatever_the_layout() {
    let block =
        good("listen: 127.0.0.1:0\nroutes:\n  /a:\n    # why\n    respond: hello\n    cors:\n      max: 5\n");
    let flow = good(
        "{\"listen\": \"127.0.0.1:0\", \"routes\": {\"/a\": {\"respond\": \"hello\", \"cors\": {\"max\": 5}}}}",
    );
    assert_eq!(block.config, flow.config);
    let other = good(
        "{\"listen\": \"127.0.0.1:0\", \"routes\": {\"/a\": {\"respond\": \"hello\", \"cors\": {\"max\": 6}}}}",
    );
    assert_ne!(block.config, other.config);
}

/// Loads and does everything that can be done with the outcome.
fn exercise(text: &str) {
    match load(text) {
        Ok(Loaded { config, tree, paths, diagnostics }) => {
            let loaded = Loaded { config, tree, paths, diagnostics };
            let yaml = config::effective(&loaded, &|_, _| None).to_yaml();
            assert!(!yaml.is_empty());
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            let rendered = diagnostics.render(false) + &diagnostics.summary("", false);
            assert!(!rendered.chars().any(|c| c.is_control() && c != '\n'), "{rendered:?}");
            diagnostics.to_json();
            diagnostics.to_github();
        }
    }
}

/// What configurations are made of, and what YAML is sensitive to.
const WORDS: &[&str] = &[
    "listen",
    "routes",
    "services",
    "policies",
    "defaults",
    "use",
    "to",
    "match",
    "respond",
    "redirect",
    "targets",
    "0.0.0.0:80",
    "http://a:1",
    "/a",
    "/{x}/*",
    "GET /b",
    "10s",
    "64KiB",
    "${A}",
    "${A:-b}",
    "$$",
    "{ip}",
    "&a",
    "*a",
    "!x",
    "<<",
    "- ",
    ": ",
    ":",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\n",
    "\n  ",
    "\n    ",
    "'",
    "\"",
    "#",
    "|",
    ">",
    "---",
    "~",
    "null",
    "true",
    "1",
    "-",
    "?",
    "\t",
    "ü",
    "東",
    "\u{feff}",
    "\0",
    "limits",
    "header",
    "version",
    "include",
];

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        exercise(&text);
    }

    #[test]
    fn no_words_panic(text in words()) {
        exercise(&text);
    }

    #[test]
    fn no_route_key_panics(key in "[A-Z, ]{0,6}[a-z.*:]{0,6}(/[a-z{}*%.;?#\\\\0-9]{0,4}){0,4}") {
        let text = format!("listen: 127.0.0.1:0\nroutes: {{ {}: {{ respond: hello }} }}", json!(key));
        exercise(&text);
    }

    #[test]
    fn no_change_of_a_good_file_panics(at in 0..1400_usize, cut in 0..8_usize, put in words()) {
        let text = fs::read_to_string("tests/config/good/shop.yaml").unwrap();
        let characters: Vec<char> = text.chars().collect();
        let at = at.min(characters.len());
        let end = (at + cut).min(characters.len());
        let put = put.chars().take(6).collect::<Vec<_>>();
        let changed: String = characters[..at].iter().chain(&put).chain(&characters[end..]).collect();
        exercise(&changed);
    }
}

#[test]
fn no_bytes_of_a_file_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    let mut state = 7_u64;
    for length in 0..200_usize {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .collect();
        fs::write(&path, bytes).unwrap();
        let loaded: Result<Loaded, Diagnostics> = config::load(&path, &Nothing, &KNOWN);
        assert!(loaded.is_err());
    }
}

#[test]
fn the_default_configuration_is_the_documented_one() {
    let Config { limits, timeouts, drain, dns, log, client_identity_headers, .. } =
        good("listen: 0.0.0.0:1").config;
    assert_eq!(
        serde_json::to_value((limits, timeouts, drain, dns, log, client_identity_headers)).unwrap(),
        json!([
            { "request_line": "8KiB", "header": "16KiB", "headers": "32KiB", "header_count": 100, "connections": 10000,
              "connections_per_client": 5000 },
            { "handshake": "10s", "head": "10s", "keep_alive": "75s", "body_idle": "30s", "min_body_rate": "512B", "write_idle": "30s",
              "max_requests": 10000, "max_age": "1h" },
            { "timeout": "30s", "spread": "20s", "handover": "30s" },
            { "min_ttl": "1s", "max_ttl": "1m", "keep_last_good": "1h" },
            { "access": "stdout", "format": "json", "level": "info", "redact": [] },
            ["X-Consumer-*", "X-User-*", "X-Credential-*", "X-JWT-*", "X-Authenticated-*", "X-Forwarded-Client-Cert",
             "Client-Cert"]
        ])
    );
}
