//! Who may ask the admin API what (C11, C12): nobody without a token, each role its own, browsers by session.

use serde_json::{Value, json};
use testkit::client::{self, Response};
use testkit::gateway::{ADMIN_TOKEN, AUTHORIZATION, Gateway};
use testkit::origin::Origin;

use crate::setup::{in_front_of, tidegate};

/// Method and path of everything that the description names, with its role.
fn endpoints(gateway: &Gateway) -> Vec<(String, String, String)> {
    let description = gateway.admin("/api/v1/openapi.json").json();
    assert_eq!(description["openapi"], "3.1.1");
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["x-tidegate-role"].as_str().unwrap().to_owned();
            all.push((method.to_ascii_uppercase(), path.replace("{number}", "1"), role));
        }
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

fn ask(gateway: &Gateway, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Response {
    client::request(gateway.admin_addr(), method, path, fields, body.as_bytes())
}

#[test]
fn nothing_is_told_or_done_without_a_token() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for (method, path, role) in endpoints(&gateway) {
        for fields in [&[][..], &[("Authorization", "Bearer tga_wrong")], &[("Cookie", "tidegate_session=x")]]
        {
            let answer = ask(&gateway, &method, &path, fields, "{}");
            if role == "everybody" {
                // Beginning and ending a session: what is wanted is in the body, and it is not there.
                assert!(matches!(answer.status, 200 | 400), "{method} {path}: {}", answer.status);
                continue;
            }
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
            assert!(answer.header("www-authenticate").is_some(), "{path}");
        }
    }
    assert_eq!(gateway.metric("tidegate_config_reloads_total"), 0.0);
    assert!(gateway.metric("tidegate_admin_refused_total") > 50.0);
    assert_eq!(ask(&gateway, "GET", "/api/v1/nothing", &[], "").status, 401);
}

#[test]
fn each_role_may_do_what_it_may() {
    let origin = Origin::start();
    let mut tokens = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    for role in ["viewer", "operator", "admin"] {
        let made = tidegate(folder.path(), &["key", "new", "--prefix", "tga", "--json"]).json();
        tokens.push((
            role,
            made["key"].as_str().unwrap().to_owned(),
            made["hash"].as_str().unwrap().to_owned(),
        ));
    }
    let named: Vec<String> = tokens
        .iter()
        .map(|(role, _, hash)| format!("{role}: {{ hash: \"{hash}\", role: {role} }}"))
        .collect();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0, tokens: {{ {} }} }}\nroutes: {{ /*: {{ to: \"{}\" }} }}\n",
        named.join(", "),
        origin.url()
    );
    let rank = |role: &str| ["viewer", "operator", "admin"].iter().position(|own| *own == role);
    for (method, path, wanted) in endpoints(&gateway).iter().filter(|(_, _, role)| role != "everybody") {
        // A stream does not end by itself.
        if path.ends_with("/live") || path.ends_with("/events") {
            continue;
        }
        for (role, token, _) in &tokens {
            let bearer = format!("Bearer {token}");
            let answer = ask(&gateway, method, path, &[("Authorization", &bearer)], "");
            let may = rank(role) >= rank(wanted);
            assert_eq!(answer.status != 403, may, "{role}: {method} {path} gives {}", answer.status);
        }
    }
}

#[test]
fn read_only_is_read_only_for_everybody() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0, readonly: true }}\nroutes: {{ /*: {{ to: \"{}\" }} }}\n",
        origin.url()
    );
    let description = gateway.admin("/api/v1/openapi.json").json();
    let mut changes = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["x-tidegate-changes"] == true {
                let answer = gateway.admin_request(&method.to_ascii_uppercase(), path, &[], "{}");
                assert_eq!(
                    (answer.status, &answer.json()["type"]),
                    (403, &"urn:tidegate:problem:readonly".into()),
                    "{path}"
                );
                changes += 1;
            }
        }
    }
    assert!(changes >= 6, "{changes}");
    assert_eq!(gateway.admin("/api/v1/status").status, 200);
}

#[test]
fn a_browser_gets_a_session_that_other_sites_cannot_use() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let own = format!("http://{}", gateway.admin_addr());
    let login = |token: &str, from: &str| {
        ask(&gateway, "POST", "/api/v1/session", &[("Origin", from)], &json!({ "token": token }).to_string())
    };
    assert_eq!(login("tga_wrong", &own).status, 401);
    assert_eq!(login(ADMIN_TOKEN, "https://evil.example").status, 403);
    let begun = login(ADMIN_TOKEN, &own);
    assert_eq!((begun.status, &begun.json()["role"]), (200, &"admin".into()));
    let set = begun.header("set-cookie").unwrap().to_owned();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(ADMIN_TOKEN),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap().to_owned();
    let key = begun.json()["key"].as_str().unwrap().to_owned();
    // Cookies go to every port of a host: without the key of this origin's pages they are worth nothing.
    assert_eq!(ask(&gateway, "GET", "/api/v1/status", &[("Cookie", &cookie)], "").status, 401);
    let with = |method: &str, path: &str, origin: Option<&str>| {
        let own = [("Cookie", &*cookie), ("X-Tidegate-Key", &*key)];
        let fields: Vec<(&str, &str)> =
            own.into_iter().chain(origin.map(|origin| ("Origin", origin))).collect();
        ask(&gateway, method, path, &fields, "").status
    };
    assert_eq!(with("GET", "/api/v1/status", None), 200);
    assert_eq!(with("POST", "/api/v1/reload", Some(&own)), 200);
    for foreign in [None, Some("null"), Some("https://evil.example"), Some("http://127.0.0.1:1")] {
        assert_eq!(with("POST", "/api/v1/reload", foreign), 403, "{foreign:?}");
    }
    assert_eq!(with("DELETE", "/api/v1/session", Some(&own)), 200);
    assert_eq!(with("GET", "/api/v1/status", None), 401);
}

/// The first start makes a token, shows it once, and keeps its hash alone.
#[test]
fn the_first_token_is_shown_once() {
    let origin = Origin::start();
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nroutes: {{ /*: {{ to: \"{}\" }} }}\n",
        origin.url()
    );
    let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).env("TIDEGATE_ADMIN_TOKEN", "");
    let mut gateway = launch.start(&yaml);
    let line = gateway.wait_for_line(|line| line.contains("shown this once"));
    let token = line.split_whitespace().last().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let asked =
        |gateway: &Gateway| ask(gateway, "GET", "/api/v1/session", &[("Authorization", &bearer)], "").status;
    assert_eq!(asked(&gateway), 200);
    let kept = std::fs::read_to_string(gateway.folder().join(".tidegate/admin-token")).unwrap();
    assert!(!kept.contains(&token) && kept.contains(':'), "{kept}");
    assert_eq!(ask(&gateway, "GET", "/api/v1/session", &[AUTHORIZATION], "").status, 401);
    // Another process takes over: the same token, and it is not shown again.
    gateway.hand_over();
    assert_eq!(asked(&gateway), 200);
    let shown = gateway.stderr().iter().filter(|line| line.contains("shown this once")).count();
    assert_eq!(shown, 1);
}

/// C13: what is too large is refused, and paths lead nowhere.
#[test]
fn sizes_and_paths_are_bounded() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let large = "x".repeat(9 << 20);
    let answer =
        gateway.admin_request("POST", "/api/v1/config/check", &[], &json!({ "text": large }).to_string());
    assert_eq!(answer.status, 413);
    for path in [
        "/api/v1/config/history/..%2f..%2fetc",
        "/assets/..%2f..%2findex.html",
        "/api/v1/config/history/99999",
    ] {
        let status = gateway.admin(path).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    let told: Value = gateway.admin("/api/v1/session").json();
    assert_eq!((&told["name"], &told["role"]), (&"first".into(), &"admin".into()));
}
