//! What is kept and given again: the rules of RFC 9111 section by section, as pairs of requests.

use testkit::origin::Reply;

use super::{ROUTES, counting, get, status};
use crate::setup::with_routes;

/// Field lines of one side.
type Lines = &'static [(&'static str, &'static str)];

/// Rows of a section: a path, the answer of the origin, the first and the second request, and whether the second is
/// answered by what the first has brought.
type Row = (&'static str, &'static str, u16, Lines, Lines, Lines, bool);

const ROWS: &[Row] = &[
    ("3 no lifetime", "/", 200, &[], &[], &[], false),
    ("4.2.1 max-age", "/", 200, &[("Cache-Control", "max-age=60")], &[], &[], true),
    ("4.2.1 s-maxage", "/", 200, &[("Cache-Control", "max-age=0, s-maxage=60")], &[], &[], true),
    ("4.2.1 Expires", "/", 200, &[("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")], &[], &[], true),
    ("4.2.3 Age", "/", 200, &[("Cache-Control", "max-age=60"), ("Age", "61")], &[], &[], false),
    ("the route's lifetime", "/ttl/", 200, &[], &[], &[], true),
    ("the route's lifetime for 404", "/ttl/", 404, &[], &[], &[], true),
    ("no lifetime for 500", "/ttl/", 500, &[], &[], &[], false),
    ("3 a redirection", "/", 301, &[("Cache-Control", "max-age=60")], &[], &[], true),
    ("5.2.2.5 no-store", "/ttl/", 200, &[("Cache-Control", "no-store")], &[], &[], false),
    ("5.2.2.7 private", "/ttl/", 200, &[("Cache-Control", "private")], &[], &[], false),
    ("5.2.2.4 no-cache", "/ttl/", 200, &[("Cache-Control", "no-cache"), ("ETag", "\"1\"")], &[], &[], false),
    (
        "5.2.2.7 in another case, among others",
        "/ttl/",
        200,
        &[("cache-control", "a, PRIVATE")],
        &[],
        &[],
        false,
    ),
    ("7.3 Set-Cookie", "/ttl/", 200, &[("Set-Cookie", "a=b")], &[], &[], false),
    (
        "RFC 9213",
        "/",
        200,
        &[("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-store")],
        &[],
        &[],
        true,
    ),
    (
        "RFC 9213 no-store",
        "/",
        200,
        &[("CDN-Cache-Control", "no-store"), ("Cache-Control", "max-age=9")],
        &[],
        &[],
        false,
    ),
    ("5.2.1.5 no-store of the request", "/ttl/", 200, &[], &[("Cache-Control", "no-store")], &[], false),
    ("5.2.1.4 no-cache of the request", "/ttl/", 200, &[], &[], &[("Cache-Control", "no-cache")], false),
    ("5.4 Pragma", "/ttl/", 200, &[], &[], &[("Pragma", "no-cache")], false),
    (
        "5.2.1.1 max-age of the request",
        "/",
        200,
        &[("Cache-Control", "max-age=60"), ("Age", "9")],
        &[],
        &[("Cache-Control", "max-age=5")],
        false,
    ),
    ("5.2.1.3 min-fresh", "/ttl/", 200, &[], &[], &[("Cache-Control", "min-fresh=90")], false),
    (
        "5.2.1.2 max-stale",
        "/",
        200,
        &[("Cache-Control", "max-age=60"), ("Age", "70"), ("ETag", "\"1\"")],
        &[],
        &[("Cache-Control", "max-stale=60")],
        true,
    ),
    (
        "5.2.2.2 must-revalidate",
        "/",
        200,
        &[("Cache-Control", "max-age=60, must-revalidate"), ("Age", "70"), ("ETag", "\"1\"")],
        &[],
        &[("Cache-Control", "max-stale=60")],
        false,
    ),
    (
        "ttl_only: no-cache of the request",
        "/only/",
        200,
        &[("Cache-Control", "max-age=0")],
        &[],
        &[("Cache-Control", "no-cache")],
        true,
    ),
    ("ttl_only: no-store", "/only/", 200, &[("Cache-Control", "no-store")], &[], &[], false),
    ("4.1 Vary, the same", "/ttl/", 200, &[("Vary", "X-A")], &[("X-A", "1, 2")], &[("X-A", "1,2")], true),
    ("4.1 Vary, another", "/ttl/", 200, &[("Vary", "X-A")], &[("X-A", "1")], &[("X-A", "2")], false),
    ("4.1 Vary, absent", "/ttl/", 200, &[("Vary", "X-A")], &[("X-A", "1")], &[], false),
    (
        "4.1 Vary on several lines",
        "/ttl/",
        200,
        &[("Vary", "X-B"), ("vary", "X-A")],
        &[("X-A", "1")],
        &[("X-A", "2")],
        false,
    ),
    (
        "4.1 Accept-Encoding in another order",
        "/ttl/",
        200,
        &[("Vary", "Accept-Encoding")],
        &[("Accept-Encoding", "br, gzip")],
        &[("Accept-Encoding", "gzip;q=0.5, BR")],
        true,
    ),
    ("4.1 Vary: *", "/ttl/", 200, &[("Vary", "*")], &[], &[], false),
    ("the route's vary", "/vary/", 200, &[], &[("X-A", "1")], &[("X-A", "2")], false),
    (
        "3.5 Authorization",
        "/ttl/",
        200,
        &[],
        &[("Authorization", "Basic x")],
        &[("Authorization", "Basic x")],
        false,
    ),
    (
        "3.5 public",
        "/ttl/",
        200,
        &[("Cache-Control", "public")],
        &[("Authorization", "Basic x")],
        &[("Authorization", "Basic y")],
        true,
    ),
    (
        "3.5 s-maxage",
        "/",
        200,
        &[("Cache-Control", "s-maxage=60")],
        &[("Authorization", "Basic x")],
        &[],
        true,
    ),
    (
        "3.5 must-revalidate",
        "/",
        200,
        &[("Cache-Control", "must-revalidate, max-age=60")],
        &[("Authorization", "Basic x")],
        &[],
        true,
    ),
    ("shared", "/shared/", 200, &[], &[("Authorization", "Basic x")], &[("Authorization", "Basic y")], true),
    (
        "the caller in the key, the same",
        "/key/",
        200,
        &[],
        &[("Authorization", "Basic x")],
        &[("Authorization", "Basic x")],
        true,
    ),
    (
        "the caller in the key, another",
        "/key/",
        200,
        &[],
        &[("Authorization", "Basic x")],
        &[("Authorization", "Basic y")],
        false,
    ),
    ("4.2.2 a guess", "/guess/", 200, &[("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")], &[], &[], true),
    ("4.2.2 no guess", "/", 200, &[("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")], &[], &[], false),
];

#[test]
fn what_is_kept_and_given_again() {
    let origin = counting(|target| {
        let row = &ROWS[target.rsplit('/').next().unwrap().parse::<usize>().unwrap()];
        row.3.iter().fold(Reply::status(row.2), |reply, (name, value)| reply.header(name, value))
    });
    let gateway = with_routes(&origin, ROUTES);
    for (nth, (section, path, _, _, first, second, again)) in ROWS.iter().enumerate() {
        let path = format!("{path}{nth}");
        let one = get(&gateway, &path, first);
        assert_eq!((one.text().as_str(), one.header("Age")), ("1", one.header("Age")), "{section}");
        assert!(status(&one).starts_with("tidegate; fwd=uri-miss"), "{section}: {}", status(&one));
        let two = get(&gateway, &path, second);
        assert_eq!(two.text() == "1", *again, "{section}: {:?}", two.headers);
        assert_eq!(status(&two).starts_with("tidegate; hit; ttl="), *again, "{section}: {}", status(&two));
        assert_eq!(one.status, two.status, "{section}");
        assert!(!*again || two.header("Age").is_some(), "5.1 Age: {section}");
    }
}
