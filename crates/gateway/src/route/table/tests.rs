//! Tables of routes and requests: who wins, what is captured, what is refused.

use http1::{Fields, Method, Name, NameBuf};

use super::*;
use crate::route::condition::{Condition, Source, Test};
use crate::route::full_regex::FullRegex;

/// Reads a route key: `GET,PUT *.example.com/users/{id}`; a path that starts with `~` is a regular expression.
fn pattern(key: &str) -> Pattern {
    let (methods, rest) = key.split_once(' ').unwrap_or(("", key));
    let at = rest.find(['/', '~']).unwrap();
    let (host, path) = rest.split_at(at);
    let path = match path.strip_prefix('~') {
        Some(regex) => PathPattern::regex(regex),
        None => PathPattern::parse(path),
    };
    let host = HostPattern::parse(if host.is_empty() { "*" } else { host }).unwrap();
    let any = Pattern { host, ..Pattern::any(path.unwrap()) };
    methods.split(',').filter(|method| !method.is_empty()).fold(any, Pattern::with_method)
}

fn table<'k>(keys: &[&'k str]) -> Table<&'k str> {
    let mut builder = Builder::new();
    keys.iter().for_each(|key| builder.add(pattern(key), *key).unwrap());
    builder.build()
}

/// Reads `GET host/path?query`; the fields are empty.
fn with_lookup<R>(request: &str, then: impl FnOnce(&Lookup<'_>) -> R) -> R {
    let (method, rest) = request.split_once(' ').unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(0));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    then(&Lookup {
        method: Method::from_bytes(method.as_bytes()),
        method_text: method.as_bytes(),
        host: host.as_bytes(),
        path: path.as_bytes(),
        query: query.as_bytes(),
        fields: &Fields::new(),
    })
}

fn winner(table: &Table<&str>, request: &str) -> Option<String> {
    with_lookup(request, |lookup| Some(table.find(lookup, &mut Params::default()).ok()?.value.to_owned()))
}

#[test]
fn the_most_specific_route_wins() {
    for (routes, request, expected) in [
        // Literal before name before tail, segment by segment, with a way back.
        (&["/a/{x}", "/a/b", "/a/*", "/*"][..], "GET h/a/b", "/a/b"),
        (&["/a/{x}", "/a/b", "/a/*", "/*"], "GET h/a/c", "/a/{x}"),
        (&["/a/{x}", "/a/b", "/a/*", "/*"], "GET h/a/c/d", "/a/*"),
        (&["/a/{x}", "/a/b", "/a/*", "/*"], "GET h/b", "/*"),
        (&["/a/b/c", "/a/{x}/d", "/{y}/b/e", "/*"], "GET h/a/b/d", "/a/{x}/d"),
        (&["/a/b/c", "/a/{x}/d", "/{y}/b/e", "/*"], "GET h/a/b/e", "/{y}/b/e"),
        (&["/a/b/c", "/a/{x}/d", "/{y}/b/e", "/*"], "GET h/a/b/f", "/*"),
        (&["/admin/*", "/{page}"], "GET h/admin", "/admin/*"),
        (&["/admin/*", "/{a}/{b}"], "GET h/admin/users", "/admin/*"),
        (&["/a/*", "/a/b/*", "/a/b/c/*"], "GET h/a/b/c", "/a/b/c/*"),
        (&["/a/*", "/a"], "GET h/a", "/a"),
        // Regular expressions stand after names and before `*`, below the literals they start with.
        (&["/a/{x}", "~/a/[0-9]+", "/a/*"], "GET h/a/1", "/a/{x}"),
        (&["~/a/[0-9]+", "/a/*", "/{x}/{y}"], "GET h/a/1", "~/a/[0-9]+"),
        (&["~/a/[0-9]+", "/a/*", "/{x}/{y}"], "GET h/a/b", "/a/*"),
        (&["~/[a-z]+", "/*"], "GET h/a", "~/[a-z]+"),
        (&["~/[a-z]+", "~/[a-z0-9]+"], "GET h/a", "~/[a-z0-9]+"),
        (&["~/[a-b]+", "~/[a-c]+"], "GET h/a", "~/[a-b]+"),
        // Then the method, before the host.
        (&["/a", "GET /a"], "GET h/a", "GET /a"),
        (&["/a", "GET /a"], "PUT h/a", "/a"),
        (&["h/a", "GET /a"], "GET h/a", "GET /a"),
        (&["PURGE /a", "/a"], "PURGE h/a", "PURGE /a"),
        (&["PURGE /a", "/a"], "BAN h/a", "/a"),
        // A specific path with the wrong method gives way to a general one.
        (&["POST /a/b", "/a/*"], "GET h/a/b", "/a/*"),
        // HEAD goes to GET when no route for the path names HEAD, and before every-method routes.
        (&["GET /a", "/a"], "HEAD h/a", "GET /a"),
        (&["GET /a", "HEAD /a"], "HEAD h/a", "HEAD /a"),
        (&["GET /a", "HEAD /*"], "HEAD h/a", "GET /a"),
        // Then the host.
        (&["/a", "x.example.com/a", "*.example.com/a", "*.com/a"], "GET x.example.com/a", "x.example.com/a"),
        (&["/a", "x.example.com/a", "*.example.com/a", "*.com/a"], "GET y.example.com/a", "*.example.com/a"),
        (
            &["/a", "x.example.com/a", "*.example.com/a", "*.com/a"],
            "GET z.y.example.com/a",
            "*.example.com/a",
        ),
        (&["/a", "x.example.com/a", "*.example.com/a", "*.com/a"], "GET example.com/a", "*.com/a"),
        (&["/a", "x.example.com/a", "*.example.com/a", "*.com/a"], "GET com/a", "/a"),
    ] {
        assert_eq!(winner(&table(routes), request).as_deref(), Some(expected), "{request} in {routes:?}");
        let reversed: Vec<&str> = routes.iter().rev().copied().collect();
        assert_eq!(
            winner(&table(&reversed), request).as_deref(),
            Some(expected),
            "{request} in {reversed:?}"
        );
    }
}

#[test]
fn a_pattern_takes_these_paths_and_no_others() {
    for (key, taken, refused) in [
        ("/", &["/"][..], &["/a", "*", ""][..]),
        ("/*", &["/", "/a", "/a/", "/a/b"], &["*"]),
        ("/x", &["/x"], &["/", "/x/", "/x/y", "/X", "/xy"]),
        ("/x/", &["/x/"], &["/x", "/x/y"]),
        ("/x/*", &["/x", "/x/", "/x/y", "/x/y/z/"], &["/", "/xy", "/y/x"]),
        ("/x/{id}", &["/x/1", "/x/a%2Fb"], &["/x", "/x/", "/x/1/", "/x/1/2"]),
        ("/x/{id}/*", &["/x/1", "/x/1/", "/x/1/2"], &["/x", "/x/"]),
        ("/a%2fb", &["/a%2fb", "/a%2Fb"], &["/a/b", "/a%252Fb"]),
        ("/users/@me", &["/users/@me", "/users/%40me"], &["/users/me"]),
        ("/caf\u{e9}", &["/caf%C3%A9"], &["/caf%E9"]),
        ("~/a[0-9]+", &["/a1"], &["/a", "/a1b", "/b/a1"]),
    ] {
        let table = table(&[key]);
        for path in taken {
            assert!(winner(&table, &format!("GET h{path}")).is_some(), "{key} takes {path}");
        }
        for path in refused {
            let request = if path.starts_with('/') { format!("GET h{path}") } else { format!("GET {path}") };
            assert_eq!(winner(&table, &request), None, "{key} refuses {path}");
        }
    }
}

#[test]
fn parts_of_the_path_are_found_by_name() {
    for (key, path, expected) in [
        ("/a/{x}/{y}", "/a/1/2", &[("x", "1"), ("y", "2")][..]),
        ("/a/{x}/*", "/a/1/2/3/", &[("x", "1"), ("*", "2/3/")]),
        ("/a/*", "/a", &[("*", "")]),
        ("/a/*", "/a/", &[("*", "")]),
        ("/*", "/a%2Fb/c", &[("*", "a%2Fb/c")]),
        ("/a", "/a", &[]),
        ("~/a/(?<year>[0-9]{4})(?:-(?<month>[0-9]+))?", "/a/2024-7", &[("year", "2024"), ("month", "7")]),
        ("~/a/(?<year>[0-9]{4})(?:-(?<month>[0-9]+))?", "/a/2024", &[("year", "2024"), ("month", "")]),
    ] {
        // The second route sends the search a wrong way first.
        let table = table(&[key, "POST /{wrong}/{way}/{home}/x"]);
        let mut params = Params::default();
        with_lookup(&format!("GET h{path}"), |lookup| table.find(lookup, &mut params).map(drop).unwrap());
        let found: Vec<(&str, &[u8])> = table.params(&params, path.as_bytes()).collect();
        let expected: Vec<(&str, &[u8])> =
            expected.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        assert_eq!(found, expected, "{key} on {path}");
        for (name, value) in expected {
            assert_eq!(table.param(&params, path.as_bytes(), name), Some(value));
        }
        assert_eq!(table.param(&params, path.as_bytes(), "absent"), None);
    }
}

#[test]
fn a_wrong_method_is_told_from_a_wrong_path() {
    let table = table(&["GET /a", "PURGE,POST /a", "PUT h/a", "DELETE other/a", "PATCH /b"]);
    for (request, expected) in [
        ("DELETE h/a", "GET, HEAD, POST, PUT, PURGE"),
        ("PUT g/a", "GET, HEAD, POST, PURGE"),
        ("GET h/c", ""),
    ] {
        let mut params = Params::default();
        let (allowed, text) = with_lookup(request, |lookup| {
            (table.find(lookup, &mut params).unwrap_err().allowed, table.allow(lookup, &mut params))
        });
        assert_eq!(text, expected, "{request}");
        assert_eq!(allowed.is_empty(), expected.is_empty());
        assert!(params.is_empty());
    }
}

#[test]
fn equal_routes_are_refused_and_both_named() {
    for (first, second, equal) in [
        ("/a/{x}", "/a/{y}", true),
        ("GET /a", "GET,PUT /a", true),
        ("PURGE /a", "GET,PURGE /a", true),
        ("/a%2fb", "/a%2Fb", true),
        ("/%61", "/a", true),
        ("~/a+", "~/a+", true),
        ("h/a/*", "h/a/*", true),
        ("GET /a", "/a", false),
        ("GET /a", "PUT /a", false),
        ("PURGE /a", "BAN /a", false),
        ("GET /a", "HEAD /a", false),
        ("/a", "/a/", false),
        ("/a", "/a/*", false),
        ("/a/{x}", "/a/x", false),
        ("h/a", "/a", false),
        ("h/a", "*.h/a", false),
        ("/a%2Fb", "/a/b", false),
    ] {
        let mut builder = Builder::new();
        builder.add(pattern("/other"), ()).unwrap();
        builder.add(pattern(first), ()).unwrap();
        let conflict = Conflict { pattern: second.to_owned(), existing: first.to_owned(), existing_index: 1 };
        let expected = if equal { Err(conflict) } else { Ok(()) };
        assert_eq!(builder.add(pattern(second), ()), expected, "{first} and {second}");
    }
}

#[test]
fn conditions_decide_last_and_more_of_them_win() {
    let header = |test| Condition { source: Source::Header(NameBuf::new("X-Tier").unwrap()), test };
    let query = |test| Condition { source: Source::Query("v w".to_owned()), test };
    let cookie = |test| Condition { source: Source::Cookie("beta".to_owned()), test };
    let regex = |text| Test::Matches(FullRegex::new(text).unwrap());
    let mut builder = Builder::new();
    for (name, conditions) in [
        ("none", vec![]),
        ("gold", vec![header(Test::Equals("gold".to_owned()))]),
        ("tier", vec![header(Test::Present), query(regex("[0-9]+"))]),
        ("beta", vec![cookie(regex("on|yes"))]),
        ("all", vec![cookie(Test::Present), header(Test::Present), query(Test::Equals("a b".to_owned()))]),
    ] {
        builder.add(Pattern { conditions, ..pattern("/a") }, name).unwrap();
    }
    let table = builder.build();
    for (lines, query, expected) in [
        (&[][..], "", "none"),
        (&[("x-tier", "gold")], "", "gold"),
        (&[("X-Tier", "silver")], "", "none"),
        (&[("X-Tier", "silver"), ("X-TIER", "gold")], "", "gold"),
        (&[("X-Tier", "gold")], "v%20w=7", "tier"),
        (&[("X-Tier", "gold")], "x&v+w=x&v+w=7", "tier"),
        (&[("X-Tier", "gold")], "v+w=7x", "gold"),
        (&[("Cookie", "a=1; beta=yes; c=2")], "", "beta"),
        (&[("Cookie", "a=1"), ("Cookie", "beta=on")], "", "beta"),
        (&[("Cookie", "alphabeta=yes; beta=yesterday")], "", "none"),
        (&[("X-Tier", ""), ("Cookie", "beta=")], "v+w=a%20b", "all"),
    ] {
        let mut fields = Fields::new();
        lines
            .iter()
            .for_each(|(name, value)| fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes()));
        let (method, method_text, host, path) = (Method::Get, &b"GET"[..], &b"h"[..], &b"/a"[..]);
        let lookup = Lookup { method, method_text, host, path, query: query.as_bytes(), fields: &fields };
        let found = table.find(&lookup, &mut Params::default()).unwrap();
        assert_eq!(found.value, expected, "{lines:?} {query}");
    }
}

#[test]
fn many_hosts_and_routes_are_told_apart() {
    let mut builder = Builder::new();
    for number in 0..2000 {
        builder.add(pattern(&format!("h{number}.example.com/a")), number).unwrap();
        builder.add(pattern(&format!("/svc{number}/v1/{{id}}/thing")), number).unwrap();
    }
    let table = builder.build();
    for number in 0..2000 {
        for request in [format!("GET h{number}.example.com/a"), format!("GET h/svc{number}/v1/7/thing")] {
            let found =
                with_lookup(&request, |lookup| table.find(lookup, &mut Params::default()).map(|it| it.value));
            assert_eq!(found, Ok(number), "{request}");
        }
    }
}
