//! A version's life, by the clock of the exchange.

use std::time::{Duration, SystemTime};

use super::super::tests::{asked, bound, fault, lines, run};
use super::super::{Stop, request, response};
use crate::exchange::Exchange;
use crate::values::Moment;
use futures_util::FutureExt;

const LIFE: &str = "version:\n  deprecated: 2026-01-01\n  sunset: 2026-12-31\n  successor: '/v2/{path.*}'\n  docs: https://shop.example/end\n  \
                    brown_outs: { when: 'daily 09:00/10:00 UTC', from: 2026-12-01, share: 50% }";

fn at(exchange: &mut Exchange, moment: &str) {
    exchange.record.started_at = moment.parse::<Moment>().unwrap().get();
}

/// The status and reason of the answer at a moment, for the request of this number.
fn answered(moment: &str, number: u64) -> Option<(u16, &'static str, Option<String>)> {
    let mut exchange = asked("GET", "/users/1", &[]);
    at(&mut exchange, moment);
    exchange.trace.span_id = number;
    let answer = run(LIFE, &mut exchange)?;
    let retry = answer.fields.first().map(|(_, value)| String::from_utf8(value.clone()).unwrap());
    Some((answer.status, answer.reason, retry))
}

#[test]
fn it_is_felt_before_the_end_and_over_after_it() {
    for (moment, number, wish) in [
        ("2025-06-01T09:30:00Z", 0, None),
        ("2026-11-30T09:30:00Z", 0, None),
        ("2026-12-01T08:59:59Z", 0, None),
        ("2026-12-01T09:00:00Z", 499_999, Some((410, "brown_out", Some("3600".to_owned())))),
        ("2026-12-01T09:59:59Z", 1_499_999, Some((410, "brown_out", Some("1".to_owned())))),
        ("2026-12-01T09:30:00Z", 500_000, None),
        ("2026-12-01T10:00:00Z", 0, None),
        ("2026-12-30T23:59:59Z", 0, None),
        ("2026-12-31T00:00:00Z", 999_999, Some((410, "version_ended", None))),
        ("2030-01-01T09:30:00Z", 0, Some((410, "version_ended", None))),
    ] {
        assert_eq!(answered(moment, number), wish, "{moment} {number}");
    }
}

#[test]
fn answers_tell_the_end_and_what_comes_after_it() {
    let bound = bound(LIFE).unwrap();
    let mut exchange = asked("GET", "/users/1", &[]);
    at(&mut exchange, "2026-06-01");
    assert!(request(&bound, &mut exchange).now_or_never().unwrap().is_ok());
    response(&bound, &mut exchange);
    assert_eq!(
        lines(&exchange.response.fields),
        [
            "Deprecation: @1767225600",
            "Sunset: Thu, 31 Dec 2026 00:00:00 GMT",
            "Link: </v2/users/1>; rel=\"successor-version\"",
            "Link: <https://shop.example/end>; rel=\"deprecation\"; type=\"text/html\"",
            "Link: <https://shop.example/end>; rel=\"sunset\"; type=\"text/html\"",
        ]
    );
    // Who only watches lets pass, and tells all the same.
    let watching = super::super::tests::bound(&format!("{LIFE}\n  mode: shadow")).unwrap();
    let mut late = asked("GET", "/users/1", &[]);
    late.record.started_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32);
    let judged = request(&watching, &mut late).now_or_never().unwrap();
    assert!(!matches!(judged, Err(Stop::With(_))));
    assert_eq!(late.record.shadowed, [("version", "version_ended")]);
}

#[test]
fn what_cannot_be() {
    for (written, told) in [
        (
            "version: { deprecated: 2026-02-01, sunset: 2026-01-01 }",
            "the version ends before it is deprecated: change one of the two",
        ),
        (
            "version: { sunset: 2026-01-01, successor: v2 }",
            "`successor` is neither a path nor a URL: `v2`: write `/v2/users/{path.*}`",
        ),
        (
            "version: { sunset: 2026-01-01, brown_outs: { when: 'daily 09:00/10:00 UTC', share: 0% } }",
            "a brown-out of 0% refuses nobody: leave it out",
        ),
        (
            "version: { docs: https://shop.example/end }",
            "`docs` is about the end of a version, which is not written: add `deprecated: 2026-01-01` or `sunset: 2026-12-31`",
        ),
        (
            "version: { sunset: 2026-01-01, aliases: [one] }",
            "`aliases` are other names of a version that has one: write it under `versions`, and its name here",
        ),
    ] {
        assert_eq!(fault(written), told, "{written}");
    }
}

#[test]
fn a_media_type_says_its_version() {
    for (range, wish) in [
        ("application/vnd.shop.v2+json", Some("v2")),
        ("Application/VND.shop.v2+json; q=0.5", Some("v2")),
        ("application/vnd.shop.v2", Some("v2")),
        ("application/vnd.shop.+json", None),
        ("application/vnd.shopping.v2+json", None),
        ("application/json", None),
        ("*/*", None),
    ] {
        assert_eq!(super::media_version(range.as_bytes(), "vnd.shop").as_deref(), wish, "{range}");
    }
}
