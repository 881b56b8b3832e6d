//! Route keys, hosts and paths, good and bad, as tables.

use super::*;

#[test]
fn keys() {
    for (text, methods, host, path) in [
        ("/", "", "", "/"),
        ("/*", "", "", "/*"),
        ("GET /users", "GET", "", "/users"),
        ("GET,POST /users/{id}", "GET,POST", "", "/users/{id}"),
        ("GET   /users/", "GET", "", "/users/"),
        ("api.Example.com/v1/*", "", "api.example.com", "/v1/*"),
        ("DELETE *.example.com./x", "DELETE", "*.example.com", "/x"),
        ("10.0.0.7/x", "", "10.0.0.7", "/x"),
        ("/a/{b}/c/{d}/*", "", "", "/a/{b}/c/{d}/*"),
        ("/a%2Fb/%2f", "", "", "/a%2Fb/%2f"),
        ("/a%20b;v=1", "", "", "/a%20b;v=1"),
        ("shop", "", "", ""),
    ] {
        let key: RouteKey = text.parse().unwrap();
        let read: Vec<_> = key.methods.iter().map(Method::as_str).collect();
        assert_eq!(read.join(","), methods, "{text}");
        assert_eq!(key.host.map(|host| host.to_string()).unwrap_or_default(), host, "{text}");
        assert_eq!(key.path.map(|path| path.to_string()).unwrap_or_default(), path, "{text}");
    }
}

#[test]
fn what_is_no_key() {
    for (text, message) in [
        ("GTE /a", "`GTE` is not a method: did you mean `GET`?"),
        ("get /a", "`get` is not a method: did you mean `GET`?"),
        ("GET,GET /a", "the method `GET` stands twice: keep one"),
        ("TRACE /a", "`TRACE` is not a method: the gateway refuses CONNECT and TRACE on every route"),
        (
            "GET, POST /a",
            "`GET, POST /a` is not a route key: write methods with commas and without spaces: `GET,POST /users`",
        ),
        (
            "GET POST /a",
            "`GET POST /a` is not a route key: write methods with commas and without spaces: `GET,POST /users`",
        ),
        ("GET users", "`GET users` is not a route key: a path begins with `/`: write `GET /users`"),
        ("", "`` is not a route key: write `GET /users`, `/users/*`, `api.example.com/users`, or a name"),
        ("a:80/x", "`a:80` is not a pattern of hosts: leave the port out: routes are for hosts"),
        (
            "a.*.b/x",
            "`a.*.b` is not a pattern of hosts: a `*` stands only at the beginning, before a dot: *.example.com",
        ),
        ("-a/x", "`-a` is not a pattern of hosts: write a host such as api.example.com or *.example.com"),
        (
            "*.10.0.0.7/x",
            "`*.10.0.0.7` is not a pattern of hosts: write a host such as api.example.com or *.example.com",
        ),
        (
            "/a/*/b",
            "path `/a/*/b`: a `*` stands only as the whole last segment: use `{name}` for one segment, `*` at the end for the rest",
        ),
        (
            "/*/*",
            "path `/*/*`: a `*` stands only as the whole last segment: use `{name}` for one segment, `*` at the end for the rest",
        ),
        (
            "/a*",
            "path `/a*`: a `*` stands only as the whole last segment: use `{name}` for one segment, `*` at the end for the rest",
        ),
        ("/{a}/{a}", "path `/{a}/{a}`: `{a}` stands twice: give each its own name"),
        ("/{}", "path `/{}`: `{}` has no usable name: write a name of letters and digits: {id}"),
        (
            "/x{a}",
            "path `/x{a}`: a `{name}` takes a whole segment: for a part of one use `match:` with `path: { regex: .. }`",
        ),
        ("/a//b", "path `/a//b`: two slashes in a row: paths are compared with slashes merged: write one"),
        ("//", "path `//`: two slashes in a row: paths are compared with slashes merged: write one"),
        ("//*", "path `//*`: two slashes in a row: paths are compared with slashes merged: write one"),
        ("/a//*", "path `/a//*`: two slashes in a row: paths are compared with slashes merged: write one"),
        (
            "/a/../b",
            "path `/a/../b`: `.` and `..` are resolved before routes are compared: write the path that is meant",
        ),
        (
            "/a/..;x",
            "path `/a/..;x`: `.` and `..` are resolved before routes are compared: write the path that is meant",
        ),
        ("/a%zz", "path `/a%zz`: a `%` without two hexadecimal digits: write `%25` for the character itself"),
        ("/a%", "path `/a%`: a `%` without two hexadecimal digits: write `%25` for the character itself"),
        ("/%61", "path `/%61`: `%61` is not how a request path is compared: write `a`"),
        ("/%c3%bc", "path `/%c3%bc`: `%c3%bc` is not how a request path is compared: write `%C3%BC`"),
        ("/ü", "path `/ü`: `ü` is not how a request path is compared: write `%C3%BC`"),
        ("/%00", "path `/%00`: `%00` is refused in every request: leave it out"),
        (
            "/a\\b",
            "path `/a\\\\b`: a backslash or control character is refused in every request: leave it out",
        ),
        ("/a?b=c", "path `/a?b=c`: a query or fragment is not part of a path: use `match:` with `query:`"),
        ("/a#b", "path `/a#b`: a query or fragment is not part of a path: use `match:` with `query:`"),
    ] {
        assert_eq!(text.parse::<RouteKey>().unwrap_err().to_string(), message);
    }
}

#[test]
fn segments_and_tail() {
    let read = |text: &str| text.parse::<PathPattern>().unwrap();
    let literal = |text: &str| Segment::Literal(text.into());
    assert_eq!(read("/"), PathPattern { segments: vec![], tail: false });
    assert_eq!(read("/*"), PathPattern { segments: vec![], tail: true });
    assert_eq!(read("/a/"), PathPattern { segments: vec![literal("a"), literal("")], tail: false });
    assert_eq!(read("/a/*"), PathPattern { segments: vec![literal("a")], tail: true });
    assert_eq!(read("/{x}"), PathPattern { segments: vec![Segment::Param("x".into())], tail: false });
}
