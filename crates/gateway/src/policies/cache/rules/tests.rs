//! The rules as tables, each row with its section of RFC 9111.

use super::*;
use crate::policies::tests::asked;
use http1::Name;

const NOW: u64 = 1_800_000_000;

fn at(offset: i64) -> String {
    let seconds = NOW.saturating_add_signed(offset);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn rules() -> Rules {
    Rules {
        ttl: Some(Duration::from_secs(7)),
        negative_ttl: Some(Duration::from_secs(3)),
        ..Rules::default()
    }
}

/// What becomes of an answer to a request with these fields: seconds of freshness, its age, or why it is not kept.
fn judged(
    rules: &Rules,
    status: u16,
    request: &[(&str, &str)],
    answer: &[(&str, &str)],
) -> Result<(u64, u64), &'static str> {
    judge_all(rules, status, request, answer, false).map(|life| (life.fresh.as_secs(), life.age.as_secs()))
}

fn judge_all(
    rules: &Rules,
    status: u16,
    request: &[(&str, &str)],
    answer: &[(&str, &str)],
    personal: bool,
) -> Result<Life, &'static str> {
    let mut exchange = asked("GET", "/", request);
    exchange.response.set_status(status);
    exchange.response.framing = Framing::Length(3);
    for (name, value) in answer {
        exchange.response.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
    }
    let came = Came { at: UNIX_EPOCH + Duration::from_secs(NOW), delay: Duration::from_secs(2), personal };
    judge(rules, &exchange, &came)
}

#[test]
fn section_3_what_may_be_kept() {
    let rules = rules();
    for (section, status, request, answer, kept) in [
        ("3: a status that is understood", 200, "", "max-age=60", Ok(60)),
        ("3: with a lifetime of its own", 302, "", "max-age=60", Ok(60)),
        ("3: none without", 302, "", "", Err("no-lifetime")),
        ("3.3: no partial answer", 206, "", "max-age=60", Err("status")),
        ("3: no failure", 500, "", "max-age=60", Err("status")),
        ("3: nothing that a client can provoke", 400, "", "max-age=60", Err("status")),
        ("3: nothing that is not known", 299, "", "max-age=60", Err("status")),
        ("the route's lifetime", 200, "", "", Ok(7)),
        ("the route's lifetime for what is not there", 404, "", "", Ok(3)),
        ("5.2.2.5 no-store", 200, "", "no-store, max-age=60", Err("no-store")),
        ("5.2.2.7 private", 200, "", "private, max-age=60", Err("private")),
        ("5.2.2.7 private, qualified", 200, "", "private=\"x-a\", max-age=60", Err("private")),
        ("5.2.2.3 must-understand", 200, "", "must-understand, no-store, max-age=60", Ok(60)),
        (
            "5.2.2.3 must-understand, and it is not",
            299,
            "",
            "must-understand, no-store, max-age=60",
            Err("status"),
        ),
        ("5.2.1.5 no-store of a request", 200, "no-store", "max-age=60", Err("request")),
        ("5.2.2.4 no-cache without a validator", 200, "", "no-cache", Err("no-cache")),
    ] {
        let request = [("cache-control", request)];
        let request = if request[0].1.is_empty() { &[][..] } else { &request[..] };
        let answer = [("cache-control", answer)];
        let got = judged(&rules, status, request, &answer).map(|(fresh, _)| fresh);
        assert_eq!(got, kept, "{section}");
    }
    for (why, field) in
        [("set-cookie", ("Set-Cookie", "a=b")), ("vary", ("Vary", "*")), ("vary", ("Vary", "a, *"))]
    {
        assert_eq!(judged(&rules, 200, &[], &[("Cache-Control", "max-age=60"), field]), Err(why));
    }
    let no_cache = [("Cache-Control", "no-cache, max-age=60"), ("ETag", "\"1\"")];
    let life = judge_all(&rules, 200, &[], &no_cache, false).unwrap();
    assert!(life.no_cache && life.must_revalidate && life.fresh.is_zero(), "section 5.2.2.4: {life:?}");
}

#[test]
fn section_3_5_answers_to_requests_with_credentials() {
    for (said, kept) in [
        ("max-age=60", false),
        ("public, max-age=60", true),
        ("s-maxage=60", true),
        ("must-revalidate, max-age=60", true),
        ("public, private", false),
    ] {
        let told = judge_all(&rules(), 200, &[], &[("Cache-Control", said)], true);
        assert_eq!(told.is_ok(), kept, "{said}");
    }
    let shared = Rules { shared: true, ..rules() };
    assert!(judge_all(&shared, 200, &[], &[("Cache-Control", "max-age=60")], true).is_ok());
    assert!(judge_all(&shared, 200, &[], &[("Set-Cookie", "a=b")], true).is_err());
}

#[test]
fn section_4_2_1_which_lifetime_holds() {
    let (past, soon, date) = (at(-100), at(50), at(0));
    for (section, answer, kept) in [
        ("s-maxage before all", &[("Cache-Control", "max-age=1, s-maxage=9"), ("Expires", &soon)][..], Ok(9)),
        ("max-age before Expires", &[("Cache-Control", "max-age=30"), ("Expires", &soon)], Ok(30)),
        ("Expires less Date", &[("Expires", &soon), ("Date", &date)], Ok(50)),
        ("Expires without Date", &[("Expires", &soon)], Ok(50)),
        ("5.3: what is no date is over", &[("Expires", "0")], Err("expired")),
        ("5.3: what is over", &[("Expires", &past)], Err("expired")),
        ("5.3: two that differ", &[("Expires", &soon), ("Expires", &past)], Err("expired")),
        ("what is no number is over", &[("Cache-Control", "max-age=soon")], Err("expired")),
        ("the route's, where the answer says none", &[("Cache-Control", "public")], Ok(7)),
        (
            "RFC 9213: the targeted field alone",
            &[("CDN-Cache-Control", "max-age=5"), ("Cache-Control", "no-store")],
            Ok(5),
        ),
        ("RFC 9213: and not Expires", &[("CDN-Cache-Control", "public"), ("Expires", &soon)], Ok(7)),
    ] {
        assert_eq!(judged(&rules(), 200, &[], answer).map(|(fresh, _)| fresh), kept, "{section}");
    }
    let stale = judged(&rules(), 200, &[], &[("Cache-Control", "max-age=0"), ("ETag", "\"1\"")]);
    assert_eq!(stale, Ok((0, 2)), "kept to be asked about");
}

#[test]
fn section_4_2_2_a_guess_only_where_it_is_asked_for() {
    let (changed, date) = (at(-1000), at(0));
    let answer = [("Last-Modified", changed.as_str()), ("Date", date.as_str())];
    let none = Rules::default();
    assert_eq!(judged(&none, 200, &[], &answer), Err("no-lifetime"));
    let guessing = Rules { heuristic: true, ..Rules::default() };
    assert_eq!(judged(&guessing, 200, &[], &answer).map(|(fresh, _)| fresh), Ok(100));
    assert_eq!(judged(&guessing, 302, &[], &answer), Err("no-lifetime"));
    let long = at(-100_000_000);
    assert_eq!(judged(&guessing, 200, &[], &[("Last-Modified", &long)]).map(|(fresh, _)| fresh), Ok(86400));
}

#[test]
fn section_4_2_3_the_age_at_the_beginning() {
    let (old, ahead) = (at(-30), at(500));
    for (section, answer, age) in [
        ("the delay", &[][..], 2),
        ("Age and the delay", &[("Age", "10")], 12),
        ("Date, if it says more", &[("Age", "10"), ("Date", &old)], 30),
        ("a clock that is ahead", &[("Date", &ahead)], 2),
    ] {
        let answer: Vec<_> = [("Cache-Control", "max-age=60")].iter().chain(answer).copied().collect();
        assert_eq!(judged(&rules(), 200, &[], &answer), Ok((60, age)), "{section}");
    }
    assert_eq!(judged(&rules(), 200, &[], &[("Date", &old)]), Ok((7, 0)), "the route's lifetime begins here");
    for age in [
        &[("Age", "ten")][..],
        &[("Age", "-1")],
        &[("Age", "1, 2")],
        &[("Age", "1"), ("Age", "1")],
        &[("Age", "")],
    ] {
        let answer: Vec<_> = [("Cache-Control", "max-age=60")].iter().chain(age).copied().collect();
        assert_eq!(judged(&rules(), 200, &[], &answer), Err("expired"), "5.1: {age:?} is as old as can be");
    }
}

#[test]
fn rfc_5861_windows() {
    let own = Rules { while_revalidate: Duration::from_secs(5), if_error: Duration::from_secs(6), ..rules() };
    for (said, windows) in [
        ("max-age=60", (5, 6)),
        ("max-age=60, stale-while-revalidate=1, stale-if-error=2", (1, 2)),
        ("max-age=60, stale-if-error=0", (5, 0)),
        ("max-age=60, must-revalidate", (0, 0)),
        ("max-age=60, proxy-revalidate, stale-while-revalidate=9", (0, 0)),
        ("s-maxage=60, stale-while-revalidate=9", (9, 6)),
    ] {
        let life = judge_all(&own, 200, &[], &[("Cache-Control", said)], false).unwrap();
        assert_eq!((life.while_revalidate.as_secs(), life.if_error.as_secs()), windows, "{said}");
    }
}

#[test]
fn with_ttl_only_nobody_else_says_how_long() {
    let only = Rules { ttl_only: true, ..rules() };
    for (request, answer, kept) in [
        ("no-store", "max-age=60", Ok(7)),
        ("", "no-cache", Ok(7)),
        ("", "max-age=0", Ok(7)),
        ("", "no-store", Err("no-store")),
        ("", "private", Err("private")),
    ] {
        let got = judged(&only, 200, &[("cache-control", request)], &[("cache-control", answer)]);
        assert_eq!(got.map(|(fresh, _)| fresh), kept, "{request} {answer}");
    }
    assert_eq!(judged(&only, 302, &[], &[("cache-control", "max-age=60")]), Err("no-lifetime"));
}
