//! What may be kept of an answer that is made of several: no more than each of them allows, and never what is not whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use testkit::origin::{Origin, Recorded};

use super::{json, moody, with};

const CACHED: &str = "
  /d:
    cache: 1h
    headers: { response: { set: { Cache-Control: 'max-age=600' } } }
    aggregate: { user: users /, payments: { from: payments /, optional: true } }
";

#[test]
fn what_is_not_whole_is_never_kept_whatever_a_policy_says() {
    let ((users, _), (payments, mood)) = (moody("{\"id\":1}"), moody("{\"cents\":5}"));
    let gateway = with(&users, &users, &payments, CACHED);
    mood.store(500, Ordering::SeqCst);
    for count in 1..=2 {
        let answer = gateway.get("/d");
        assert_eq!(
            (answer.header("tidegate-partial"), answer.header("cache-control")),
            (Some("payments"), Some("no-store"))
        );
        assert!(answer.header("cache-status").unwrap().contains("detail=partial"), "{:?}", answer.headers);
        assert_eq!(users.requests().len(), count);
    }
    mood.store(200, Ordering::SeqCst);
    assert_eq!(gateway.get("/d").header("tidegate-partial"), None);
    let kept = gateway.get("/d");
    assert!(kept.header("cache-status").unwrap().contains("hit"), "{:?}", kept.headers);
    assert_eq!(
        (kept.text().as_str(), users.requests().len()),
        ("{\"user\":{\"id\":1},\"payments\":{\"cents\":5}}", 3)
    );
}

#[test]
fn the_strictest_part_says_how_long_the_whole_may_be_kept() {
    let users = Origin::answering(|_: &Recorded| json("1").header("Cache-Control", "public, max-age=600"));
    let orders = Origin::answering(|_: &Recorded| {
        json("2").header("Cache-Control", "public, max-age=60").header("Vary", "X-Tenant")
    });
    let payments = Origin::answering(|_: &Recorded| json("3").header("Set-Cookie", "a=1"));
    let gateway = with(
        &users,
        &orders,
        &payments,
        "
  /two: { aggregate: { user: users /, orders: orders / } }
  /three: { cache: 1h, aggregate: { user: users /, payments: payments / } }
",
    );
    let answer = gateway.get("/two");
    assert_eq!(
        (answer.header("cache-control"), answer.header("vary")),
        (Some("public, max-age=60"), Some("X-Tenant"))
    );
    for count in 1..=2 {
        let answer = gateway.get("/three");
        assert_eq!((answer.header("set-cookie"), users.requests().len()), (None, count + 1));
    }
}

#[test]
fn a_part_may_have_a_cache_of_its_own() {
    let count = Arc::new(AtomicU16::new(0));
    let own = count.clone();
    let users = Origin::answering(move |request: &Recorded| {
        json(format!("{{\"n\":{},\"q\":\"{}\"}}", own.fetch_add(1, Ordering::SeqCst), request.target))
    });
    let (orders, _) = moody("[]");
    let gateway = with(
        &users,
        &orders,
        &orders,
        "  /d: { aggregate: { user: { from: 'users /u/{query.id}', cache: 1h }, orders: orders / } }",
    );
    for (id, n) in [("1", 0), ("2", 1), ("1", 0), ("2", 1)] {
        let answer = gateway.get(&format!("/d?id={id}&other={n}")).json();
        assert_eq!(
            (answer["user"]["n"].as_u64(), answer["user"]["q"].as_str()),
            (Some(n), Some(&*format!("/u/{id}")))
        );
    }
    assert_eq!((users.requests().len(), orders.requests().len()), (2, 4));
}
