//! The admin address (C11, C12): whom it answers, and that asking changes nothing.

use testkit::client::{self, Response};
use testkit::gateway::{AUTHORIZATION, Gateway};
use testkit::origin::Origin;

use crate::setup::in_front_of;

fn ask(gateway: &Gateway, method: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    let all: Vec<(&str, &str)> = fields.iter().copied().chain([AUTHORIZATION]).collect();
    client::request(gateway.admin_addr(), method, path, &all, b"")
}

const PATHS: [&str; 12] = [
    "/",
    "/healthz",
    "/livez",
    "/readyz?verbose",
    "/metrics",
    "/tidegate.schema.json",
    "/api/v1/status",
    "/api/v1/topology?window=5m",
    "/api/v1/series?kind=gateway",
    "/api/v1/heatmap?kind=gateway&window=1h",
    "/api/v1/samples?filter=status%3E%3D500",
    "/api/v1/reload",
];

/// DNS rebinding: a page whose name points here is not answered.
#[test]
fn a_foreign_name_is_answered_nothing() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for host in
        ["evil.example", "evil.example:9900", "127.0.0.1.evil.example", "localhost.evil.example", "[evil"]
    {
        for path in PATHS {
            for method in ["GET", "POST"] {
                let answer = ask(&gateway, method, path, &[("Host", host)]);
                assert_eq!(answer.status, 403, "{method} {path} for {host}");
            }
        }
    }
    let port = gateway.admin_addr().port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(ask(&gateway, "GET", "/healthz", &[("Host", &host)]).status, 200, "{host}");
    }
}

#[test]
fn a_web_page_changes_nothing() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for foreign in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let answer = ask(&gateway, "POST", "/api/v1/reload", &[("Origin", foreign)]);
        assert_eq!(answer.status, 403, "{foreign}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(gateway.metric("tidegate_config_reloads_total"), 0.0);
}

#[test]
fn asking_changes_nothing() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    for path in PATHS {
        let status = ask(&gateway, "GET", path, &[]).status;
        assert_eq!(status, if path == "/api/v1/reload" { 405 } else { 200 }, "{path}");
    }
    assert_eq!(ask(&gateway, "GET", "/api/v1/nothing", &[]).status, 404);
    let status = ask(&gateway, "GET", "/api/v1/status", &[]).json();
    assert_eq!((status["revision"].as_u64(), status["state"].as_str()), (Some(1), Some("ready")));
}

#[test]
fn the_schema_is_served_for_editors() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let schema = ask(&gateway, "GET", "/tidegate.schema.json", &[]);
    assert!(schema.json()["properties"]["routes"].is_object(), "{}", schema.text());
}
