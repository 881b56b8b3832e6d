//! `quota` that gateways use together by Redis: exact while it answers, bounded while it does not, and added up after.
//! The server is a real one.

use serde_json::Value;
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::Origin;
use testkit::redis::Redis;

use crate::sharing::{hopping, patient, sharing};

/// A gateway that uses this quota with all that count in this Redis; `more` stands at the top of the file.
fn using_with(origin: &Origin, redis: &str, more: &str, quota: &str) -> Gateway {
    let quota = format!("name: calls, every: year, per: ip, usage: /usage, store: redis, {quota}");
    sharing(origin, redis, more, &format!("quota: {{ {quota} }}"))
}

fn using(origin: &Origin, redis: &str, quota: &str) -> Gateway {
    using_with(origin, redis, "", quota)
}

fn passed(gateway: &Gateway, count: usize) -> usize {
    hopping(std::slice::from_ref(gateway), count)
}

/// What all have used, once Redis says it and is owed nothing.
fn used_by_all(gateway: &Gateway) -> u64 {
    eventually("redis to say what is used", || {
        let told = gateway.get("/usage").json();
        let settled = told["shared"] == true && gateway.metric("tidegate_quota_owed") == 0.0;
        settled.then(|| told["used"].as_u64().unwrap())
    })
}

/// What the admin address tells of the only caller.
fn told(gateway: &Gateway) -> (u64, Value) {
    let told = gateway.admin("/api/v1/quotas").json();
    let account = &told["quotas"][0];
    assert_eq!((&account["quota"], &account["key"]), (&"calls".into(), &"127.0.0.1".into()), "{told}");
    (account["used"].as_u64().unwrap(), account["shared"].clone())
}

/// How often scripts were called so far.
fn scripts(redis: &Redis) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]);
    let calls = stats.split("cmdstat_evalsha:calls=").nth(1).unwrap();
    calls.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn gateways_use_one_quota_together_with_one_question_for_each_request() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let quota = "amount: 10, on_fault: closed";
    let gateways: Vec<Gateway> = (0..2).map(|_| using(&origin, &patient(&redis), quota)).collect();
    let first = gateways[0].get("/");
    assert!(first.header("RateLimit").unwrap().starts_with(r#""calls";r=9;t="#));
    assert_eq!(hopping(&gateways, 15), 9);
    for gateway in &gateways {
        let told_to_caller = gateway.get("/usage").json();
        assert_eq!(
            [&told_to_caller["used"], &told_to_caller["remaining"], &told_to_caller["shared"]],
            [&Value::from(10), &Value::from(0), &Value::from(true)]
        );
        assert_eq!(told(gateway), (10, true.into()));
    }
    assert_eq!(origin.requests().len(), 10);
    let before = scripts(&redis);
    assert_eq!(passed(&gateways[0], 6), 0);
    assert_eq!(scripts(&redis) - before, 6);

    // It is gone an hour after the year, and nobody reads in it who was counted.
    let keys = redis.command(&["KEYS", "*"]);
    let key = keys.lines().find(|line| line.contains(":quota:")).unwrap();
    assert!(key.starts_with("tidegate:{") && !keys.contains("127.0.0.1"), "{keys}");
    let lasts: u64 = redis.command(&["TTL", key]).trim().trim_start_matches(':').parse().unwrap();
    let refused = gateways[1].get("/");
    let left: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert_eq!(refused.status, 429);
    assert!(lasts > left && lasts <= left + 3600 + 600, "{lasts} {left}");

    // Another gateway knows it at once, and without a folder of its own.
    let third = using(&origin, &patient(&redis), quota);
    assert_eq!(third.get("/").status, 429);
    // A larger amount holds for what all have used.
    let fourth = using(&origin, &patient(&redis), "amount: 12");
    assert_eq!(passed(&fourth, 5), 2);
}

#[test]
fn a_redis_that_forgot_everything_learns_it_again() {
    let (origin, mut redis) = (Origin::start(), Redis::start());
    let gateways: Vec<Gateway> = (0..2).map(|_| using(&origin, &patient(&redis), "amount: 10")).collect();
    assert_eq!(hopping(&gateways, 7), 7);
    redis.crash();
    redis.restart();
    // The first that asks brings along what it has let pass itself, and knows of the rest.
    assert_eq!([used_by_all(&gateways[0]), used_by_all(&gateways[1])], [7, 7]);
    assert_eq!(hopping(&gateways, 8), 3);
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn while_it_is_gone_each_lets_pass_what_it_knew_to_be_left_and_all_is_added_up_after() {
    let (origin, mut redis) = (Origin::start(), Redis::start());
    let gateways: Vec<Gateway> = (0..2).map(|_| using(&origin, &patient(&redis), "amount: 10")).collect();
    assert_eq!(hopping(&gateways, 4), 4);
    redis.crash();
    // The one has heard of one request of the other, the other of two.
    assert_eq!([passed(&gateways[0], 12), passed(&gateways[1], 12)], [7, 6]);
    let alone = gateways[0].metric("tidegate_quota_alone_total");
    assert!(alone >= 12.0, "{alone}");
    let usage = gateways[0].get("/usage").json();
    assert_eq!((&usage["used"], &usage["shared"]), (&10.into(), &false.into()));
    assert_eq!(told(&gateways[0]), (10, false.into()));
    redis.restart();
    // Nobody has to ask: it is told in the background.
    for gateway in &gateways {
        gateway.wait_metric("tidegate_quota_owed", |owed| owed == 0.0);
    }
    assert_eq!([used_by_all(&gateways[0]), used_by_all(&gateways[1])], [17, 17]);
    assert_eq!(hopping(&gateways, 4), 0);
}

#[test]
fn a_frozen_redis_fails_no_request_and_knows_of_all_after() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let gateways: Vec<Gateway> = (0..2).map(|_| using(&origin, &redis.url(), "amount: 100_000")).collect();
    assert_eq!(hopping(&gateways, 6), 6);
    redis.signal(Signal::STOP);
    eventually("both to go on alone", || {
        assert_eq!(hopping(&gateways, 10), 10);
        let alone = gateways.iter().all(|gateway| gateway.metric("tidegate_quota_alone_total") > 4.0);
        alone.then_some(())
    });
    let usage = gateways[1].get("/usage").json();
    assert_eq!(usage["shared"], false, "{usage}");
    redis.signal(Signal::CONT);
    let used = used_by_all(&gateways[0]);
    let both = || [used_by_all(&gateways[0]), used_by_all(&gateways[1])];
    let same = eventually("both to say the same", || Some(both()).filter(|[one, other]| one == other))[0];
    assert!(same >= used);
    // A question that was answered too late counts all the same, and twice at the worst.
    let failures: f64 =
        gateways.iter().map(|gateway| gateway.metric("tidegate_quota_redis_failures_total")).sum();
    let sent = origin.requests().len() as u64;
    assert!((sent..=sent + failures as u64).contains(&same), "{same} of {sent}");
}

#[test]
fn what_cannot_be_written_is_told_later() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let gateway = using(&origin, &patient(&redis), "amount: 100");
    let ills: [(&[&str], &[&str]); 2] = [
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (nth, (ill, well)) in ills.into_iter().enumerate() {
        assert_eq!(passed(&gateway, 2), 2, "{ill:?}");
        redis.command(ill);
        let before = gateway.metric("tidegate_quota_alone_total");
        assert_eq!(passed(&gateway, 5), 5, "{ill:?}");
        assert_eq!(gateway.metric("tidegate_quota_alone_total") - before, 5.0, "{ill:?}");
        redis.command(well);
        gateway.wait_metric("tidegate_quota_owed", |owed| owed == 0.0);
        assert_eq!(used_by_all(&gateway), 7 * (nth as u64 + 1), "{ill:?}");
    }
}

#[test]
fn without_redis_it_is_as_the_policy_says() {
    let origin = Origin::start();
    // A port where nobody listens.
    let nobody = "redis://127.0.0.1:1";
    let ask = |on_fault: &str| {
        let gateway = using(&origin, nobody, &format!("amount: 3, on_fault: {on_fault}"));
        (0..5).map(|_| gateway.get("/")).collect::<Vec<_>>()
    };
    let statuses = |on_fault: &str| ask(on_fault).iter().map(|answer| answer.status).collect::<Vec<_>>();
    assert_eq!(statuses("local"), [200, 200, 200, 429, 429]);
    assert_eq!(statuses("open"), [200; 5]);
    let closed = ask("closed");
    assert!(closed.iter().all(|answer| answer.status == 503));
    assert_eq!(closed[0].json()["type"], "urn:tidegate:problem:limit_unknown");
    assert_eq!(closed[0].header("RateLimit"), None);
}

#[test]
fn with_a_folder_what_is_owed_outlives_the_process() {
    let (origin, mut redis, state) = (Origin::start(), Redis::start(), tempfile::tempdir().unwrap());
    let with_folder = |redis: &Redis| {
        let more = format!("state: {}", state.path().display());
        using_with(&origin, &patient(redis), &more, "amount: 10")
    };
    let first = with_folder(&redis);
    assert_eq!(passed(&first, 2), 2);
    redis.crash();
    assert_eq!(passed(&first, 3), 3);
    assert!(first.stop().success());
    redis.restart();
    let again = with_folder(&redis);
    assert_eq!(used_by_all(&again), 5);
    // A gateway that has nothing to do with that folder knows it now as well.
    assert_eq!(passed(&using(&origin, &patient(&redis), "amount: 10"), 9), 5);
}
