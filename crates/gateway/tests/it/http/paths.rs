//! One canonical path for routing, policies and the service behind (P1, P2).

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

/// `/public` is open, `/admin` is closed, nothing else exists.
fn guarded(origin: &Origin, listener: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners: {{ main: {{ address: 127.0.0.1:0, {listener} }} }}
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /public/*: {{ to: app }}
  /admin/*: {{ respond: {{ status: 403, body: closed }} }}
"#,
        app = origin.url()
    )
}

fn ask(gateway: &Gateway, target: &str) -> u16 {
    let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    Raw::connect(gateway.addr()).send(bytes).read_response().status
}

/// P1: no spelling of a path leads past a guard; what has no one meaning is refused.
#[test]
fn no_spelling_leads_past_a_guard() {
    let origin = Origin::start();
    let gateway = guarded(&origin, "reject_encoded_slash: false");
    for (target, status) in [
        ("/admin", 403),
        ("/admin/", 403),
        ("/public/../admin", 403),
        ("/public/%2e%2e/admin", 403),
        ("/public/.%2e/admin", 403),
        ("/public/%2E./admin", 403),
        ("//admin", 403),
        ("/./admin", 403),
        ("/%61dmin", 403),
        ("/public//..//admin", 403),
        ("/admin?/../public", 403),
        ("http://h/public/../admin", 403),
        ("/ADMIN", 404),
        ("/public%2f..%2fadmin", 404),
        ("/public%2F..%2Fadmin", 404),
        ("/%252e%252e/admin", 404),
        ("/admin%20", 404),
        ("/admin%3f", 404),
        ("/admin;x=1", 400),
        ("/public/..;/admin", 400),
        ("/public/..;x=1/admin", 400),
        ("/public\\..\\admin", 400),
        ("/public%5c..%5cadmin", 400),
        ("/public%5C..%5Cadmin", 400),
        ("/admin%00", 400),
        ("/admin%09", 400),
        ("/admin%7f", 400),
        ("/public/%c0%ae%c0%ae/admin", 400),
        ("/public/%zz", 400),
        ("/public/%", 400),
        ("/public/%4", 400),
        ("/public/#/../../admin", 400),
        ("/../admin", 400),
        ("/public/../../admin", 400),
        ("/public/\u{e9}", 400),
    ] {
        assert_eq!(ask(&gateway, target), status, "{target}");
    }
    assert_eq!(origin.requests(), []);
}

/// P1: the service gets the very path that was judged.
#[test]
fn the_service_gets_the_path_that_was_judged() {
    let origin = Origin::start();
    let gateway = guarded(&origin, "reject_encoded_slash: false");
    for (target, forwarded) in [
        ("/public", "/public"),
        ("/public/", "/public/"),
        ("/public/a/./b//c", "/public/a/b/c"),
        ("/public/a/..", "/public/"),
        ("/public/x/../y?z=/../w", "/public/y?z=/../w"),
        ("/public/%7euser", "/public/~user"),
        ("/p%75blic/x", "/public/x"),
        ("/public/%e2%82%ac", "/public/%E2%82%AC"),
        ("/public/a%2Fb", "/public/a%2Fb"),
        ("/public/a%2fb", "/public/a%2fb"),
        ("/public/a%252fb", "/public/a%252fb"),
        ("/public/a;v=1/b", "/public/a;v=1/b"),
        ("/public/x?q=%2e%2e%00", "/public/x?q=%2e%2e%00"),
        ("/public/x?", "/public/x?"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = Raw::connect(gateway.addr()).send(bytes).read_response();
        assert_eq!(answer.json()["target"], forwarded, "{target}");
    }
    origin.assert_clean();
}

#[test]
fn an_encoded_slash_is_refused_where_the_listener_says_so() {
    let origin = Origin::start();
    let gateway = guarded(&origin, "reject_encoded_slash: true");
    assert_eq!(ask(&gateway, "/public/a%2fb"), 400);
    assert_eq!(ask(&gateway, "/public/a%2Fb"), 400);
    assert_eq!(ask(&gateway, "/public/a/b?c=%2f"), 200);
}

/// P2: a rewritten path is as canonical as the one that came.
#[test]
fn a_rewrite_opens_no_way_around() {
    let origin = Origin::start();
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /api/*: {{ to: app, rewrite: {{ strip_prefix: /api }} }}
  /u/{{name}}: {{ to: app, rewrite: {{ path: "/users/{{path.name}}" }} }}
"#,
        app = origin.url()
    );
    for (target, forwarded) in [
        ("/api/x", "/x"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/api//x?q=1", "/x?q=1"),
        ("/api/%2fadmin", "/%2fadmin"),
        ("/u/ada", "/users/ada"),
        ("/u/..%2fadmin", "/users/..%2fadmin"),
    ] {
        let answer = gateway.get(target);
        assert_eq!((answer.status, answer.json()["target"].as_str()), (200, Some(forwarded)), "{target}");
    }
    for target in ["/api../admin", "/api%2e%2e/admin", "/api/../admin", "/u/../admin", "/u/x/%2e%2e/../admin"]
    {
        assert_eq!(ask(&gateway, target), 404, "{target}");
    }
    for target in ["/api/..;/admin", "/api/../../admin"] {
        assert_eq!(ask(&gateway, target), 400, "{target}");
    }
    origin.assert_clean();
}

#[test]
fn the_root_is_a_route_of_its_own() {
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nroutes:\n  /: {{ respond: root }}\n  \"h.example/\": {{ respond: there }}\n  /a: {{ respond: a }}\n"
    );
    for (target, host, told) in [
        ("/", "h", "root"),
        ("//", "h", "root"),
        ("/?a=1", "h", "root"),
        ("/", "h.example", "there"),
        ("/a", "h", "a"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Raw::connect(gateway.addr()).send(bytes).read_response().text(), told, "{target}");
    }
    assert_eq!(ask(&gateway, "/b"), 404);
}
