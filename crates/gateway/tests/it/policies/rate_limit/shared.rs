//! `rate_limit` that gateways share by Redis: right over all of them, and of use without it. The server is a real one.

use std::time::{Duration, Instant};

use testkit::client::{Raw, Response, request};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::Origin;
use testkit::redis::{Redis, Way, Weather, free_port};
use testkit::tls::Authority;

use super::{passed, statuses};
use crate::sharing::{hopping, patient, sharing};

/// A gateway that keeps this limit with all that count in this Redis.
fn limited(origin: &Origin, redis: &str, limit: &str) -> Gateway {
    sharing(origin, redis, "", &format!("rate_limit: {limit}"))
}

#[test]
fn three_gateways_let_pass_what_one_would() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let limit = "{ limits: [20/hour, { rate: 30/day, per: [ip, method] }], store: redis }";
    let gateways: Vec<Gateway> = (0..3).map(|_| limited(&origin, &patient(&redis), limit)).collect();
    // The first request may come before the connection is there; then it waits for it.
    let first = gateways[0].get("/");
    assert_eq!(first.status, 200);
    let left = first.header("RateLimit").unwrap();
    assert_eq!(left, r#""20/hour";r=19;t=180, "30/day per ip, method";r=29;t=2880"#);
    assert_eq!(hopping(&gateways, 60), 19);
    let refused = gateways[1].get("/");
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=180).contains(&wait), "{wait}");
    // Twenty were taken of the thirty, whatever was refused.
    assert!(refused.header("RateLimit").unwrap().contains(r#""30/day per ip, method";r=10;"#));
    assert_eq!(
        gateways.iter().map(|gateway| gateway.metric("tidegate_rate_limit_alone_total")).sum::<f64>(),
        0.0
    );
    assert!(gateways[2].metric("tidegate_rate_limit_redis_calls_total") > 10.0);
    // Nobody reads in Redis who was counted.
    let keys = redis.command(&["KEYS", "*"]);
    assert!(keys.contains("tidegate:{") && !keys.contains("127.0.0.1"), "{keys}");
}

#[test]
fn leases_keep_within_their_bound_with_few_questions() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let limit = "{ rate: 200/hour, store: redis, sync: lease, lease: 20 }";
    let gateways: Vec<Gateway> = (0..3).map(|_| limited(&origin, &patient(&redis), limit)).collect();
    let passed = hopping(&gateways, 900);
    // Never more than the burst, what an hour's part gives back meanwhile, and one lease.
    assert!((200 - 40..=200 + 20).contains(&passed), "{passed}");
    let calls: f64 =
        gateways.iter().map(|gateway| gateway.metric("tidegate_rate_limit_redis_calls_total")).sum();
    assert!(calls <= 90.0, "{calls} questions for 900 requests");
}

#[test]
fn of_more_who_come_at_once_than_a_lease_has_none_passes_uncounted() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let limit = "{ rate: 20/hour, store: redis, sync: lease, lease: 1 }";
    let gateways: Vec<Gateway> = (0..2).map(|_| limited(&origin, &patient(&redis), limit)).collect();
    let mut clients: Vec<Raw> = (0..60).map(|nth| Raw::connect(gateways[nth % 2].addr())).collect();
    for client in &mut clients {
        client.get("/");
    }
    let passed = clients.iter_mut().filter_map(|client| (client.read_response().status == 200).then_some(()));
    // The burst, and what an hour's part gives back meanwhile.
    assert!((20..=21).contains(&passed.count()));
    let alone: f64 = gateways.iter().map(|gateway| gateway.metric("tidegate_rate_limit_alone_total")).sum();
    assert_eq!(alone, 0.0, "decided without Redis, which answered");
}

#[test]
fn a_limit_raised_by_a_reload_holds_for_those_whom_a_lease_refused() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let written = |limit: &str, version: &str| {
        format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nredis: {}\n\
             services: {{ app: \"{}\" }}\nroutes:\n  /version: {{ respond: {version} }}\n  \
             /*: {{ to: app, rate_limit: {{ rate: {limit}, store: redis, sync: lease }} }}\n",
            patient(&redis),
            origin.url()
        )
    };
    let gateway = testkit::gateway!("{}", written("2/hour", "one"));
    assert_eq!(statuses(&gateway, "/", 4), [200, 200, 429, 429]);
    gateway.rewrite_config(&written("100/hour", "two"));
    gateway.reload();
    eventually("the new rate", || (gateway.get("/version").text() == "two").then_some(()));
    // Two of the hundred are consumed; the last lease may not be whole.
    let passed = passed(&gateway, "/", 200);
    assert!((88..=98).contains(&passed), "{passed}");
}

#[test]
fn a_cost_that_the_answer_tells_is_charged_for_all() {
    let origin = Origin::answering(|_| testkit::origin::Reply::ok("").header("X-Tokens", "40"));
    let redis = Redis::start();
    let limit = "{ rate: 100/hour, store: redis, cost: { header: X-Tokens } }";
    let gateways: Vec<Gateway> = (0..2).map(|_| limited(&origin, &patient(&redis), limit)).collect();
    for gateway in &gateways {
        assert_eq!(gateway.get("/").status, 200);
    }
    // Charged in the background: 80 are gone, and twenty cost-one requests would be left but for what they cost.
    eventually("the third to be charged", || {
        let answer = gateways[0].get("/");
        (answer.status == 429).then_some(())
    });
}

/// Puts Redis out of reach, looks that requests go on, and puts it back.
fn out_and_back(gateway: &Gateway, name: &str, out: impl Fn(), back: impl Fn()) {
    let alone = || gateway.metric("tidegate_rate_limit_alone_total");
    let before = alone();
    out();
    let seen = eventually(name, || {
        let answer = gateway.get("/");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        Some(alone()).filter(|count| *count > before)
    });
    // Alone it goes on counting: requests pass by the local limit, and quickly, for nobody asks any more.
    eventually("the link to be given up", || {
        let (from, begin) = (alone(), Instant::now());
        assert!(statuses(gateway, "/", 20).iter().all(|status| *status == 200), "{name}");
        (alone() - from == 20.0 && begin.elapsed() < Duration::from_secs(5)).then_some(())
    });
    assert!(alone() >= seen + 20.0);
    back();
    eventually("redis to be asked again", || {
        let (before, calls) = (alone(), gateway.metric("tidegate_rate_limit_redis_calls_total"));
        assert_eq!(gateway.get("/").status, 200, "{name}");
        let asked = gateway.metric("tidegate_rate_limit_redis_calls_total") > calls;
        (asked && alone() == before).then_some(())
    });
}

#[test]
fn what_happens_to_redis_or_the_way_there_fails_no_request() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let way = Way::to(redis.addr());
    let gateway = limited(&origin, &way.url(), "{ rate: 1000000/hour, store: redis }");
    eventually("redis to be asked", || {
        gateway.get("/");
        (gateway.metric("tidegate_rate_limit_redis_calls_total") > 1.0).then_some(())
    });
    let fair = || way.turn(Weather::Fair);
    out_and_back(&gateway, "resets", || way.turn(Weather::Resets), fair);
    out_and_back(&gateway, "a hole", || way.turn(Weather::Hole), fair);
    out_and_back(&gateway, "a second late", || way.turn(Weather::Slow), fair);
    out_and_back(&gateway, "frozen", || redis.signal(Signal::STOP), || redis.signal(Signal::CONT));
    let full = || drop(redis.command(&["CONFIG", "SET", "maxmemory", "1"]));
    out_and_back(&gateway, "out of memory", full, || {
        drop(redis.command(&["CONFIG", "SET", "maxmemory", "0"]))
    });
    let replica = || drop(redis.command(&["REPLICAOF", "127.0.0.1", "1"]));
    out_and_back(&gateway, "read only", replica, || drop(redis.command(&["REPLICAOF", "NO", "ONE"])));
    gateway.wait_for_line(|line| line.contains("limits are not shared: redis: "));
    gateway.wait_for_line(|line| line.contains("limits are shared again"));
}

#[test]
fn without_redis_it_is_as_the_policy_says() {
    let origin = Origin::start();
    // A port where nobody listens.
    let nobody = "redis://127.0.0.1:1";
    let ask = |on_fault: &str| {
        let gateway =
            limited(&origin, nobody, &format!("{{ rate: 3/hour, store: redis, on_fault: {on_fault} }}"));
        let answers: Vec<Response> = (0..5).map(|_| gateway.get("/")).collect();
        (answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), answers)
    };
    assert_eq!(ask("local").0, [200, 200, 200, 429, 429]);
    assert_eq!(ask("open").0, [200; 5]);
    let (statuses, answers) = ask("closed");
    assert_eq!(statuses, [503; 5]);
    assert_eq!(answers[0].json()["type"], "urn:tidegate:problem:limit_unknown");
    assert_eq!(answers[0].header("Retry-After"), Some("1"));
}

#[test]
fn what_redis_let_pass_counts_when_it_is_gone() {
    let (origin, redis) = (Origin::start(), Redis::start());
    let gateway = limited(&origin, &patient(&redis), "{ rate: 10/hour, store: redis }");
    assert_eq!(passed(&gateway, "/", 7), 7);
    let shared = 7.0 - gateway.metric("tidegate_rate_limit_alone_total");
    assert!(shared > 0.0);
    drop(redis);
    assert_eq!(passed(&gateway, "/", 9), 3, "seven of the ten are gone");
}

/// The statuses of so many requests, after one that passes: without Redis, none does. It may take its time to connect.
fn statuses_once_asked(gateway: &Gateway, count: usize) -> Vec<u16> {
    eventually("redis to be asked", || (gateway.get("/").status == 200).then_some(()));
    statuses(gateway, "/", count)
}

#[test]
fn clusters_and_sentinels_lead_to_the_right_server() {
    let origin = Origin::start();
    let cluster = Redis::start_with(&["--cluster-enabled", "yes"]);
    cluster.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    eventually("the cluster", || {
        cluster.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())
    });
    // Two keys, which may lie in two places.
    let limit = "{ limits: [5/hour, { rate: 9/hour, per: [ip, path] }], store: redis, on_fault: closed }";
    let gateway = limited(&origin, &format!("{{ cluster: [\"{}\"], timeout: 5s }}", cluster.url()), limit);
    assert_eq!(statuses_once_asked(&gateway, 6), [200, 200, 200, 200, 429, 429]);

    let master = Redis::start_with(&["--requirepass", "s3cret"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.conf");
    let port = master.addr().port();
    let text = format!("sentinel monitor limits 127.0.0.1 {port} 1\nsentinel auth-pass limits s3cret\n");
    std::fs::write(&file, text).unwrap();
    let sentinel = Redis::start_sentinel(&file);
    let redis = format!(
        "{{ sentinel: {{ master: limits, nodes: \"{}\", password: s3cret }}, timeout: 5s }}",
        sentinel.url()
    );
    let gateway = limited(&origin, &redis, "{ rate: 5/hour, store: redis, on_fault: closed }");
    assert_eq!(statuses_once_asked(&gateway, 6), [200, 200, 200, 200, 429, 429]);
    let other = request(gateway.addr(), "GET", "/", &[], b"");
    assert_eq!(other.status, 429);
}

#[test]
fn under_tls_the_server_has_to_be_believed() {
    let (origin, folder, authority) =
        (Origin::start(), tempfile::tempdir().unwrap(), Authority::new("limits"));
    authority.issue(&["localhost"]).write(folder.path(), "redis");
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("ca.pem"), authority.pem()).unwrap();
    let port = free_port().to_string();
    let (cert, key, ca) = (file("redis.crt"), file("redis.key"), file("ca.pem"));
    let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let words = [&["--tls-port", &port, "--tls-auth-clients", "no"], &files[..]].concat();
    let _redis = Redis::start_with(&words);
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices: {{ app: \"{}\" }}\n\
         redis: {{ url: \"rediss://localhost:{port}\", timeout: 5s }}\n\
         routes: {{ /*: {{ to: app, rate_limit: {{ rate: 2/hour, store: redis, on_fault: closed }} }} }}\n",
        origin.url()
    );
    let launch = || Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
    let believing = launch().env("SSL_CERT_FILE", &ca).start(&yaml);
    assert_eq!(statuses_once_asked(&believing, 2), [200, 429]);
    let other = Authority::new("others");
    std::fs::write(file("other.pem"), other.pem()).unwrap();
    let doubting = launch().env("SSL_CERT_FILE", &file("other.pem")).start(&yaml);
    assert_eq!(statuses(&doubting, "/", 2), [503, 503]);
}
