//! Targets that are ill: out by checks, by what requests tell, by command, and back again; and who stands in for them.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use testkit::client;
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

/// An origin that answers checks and requests with a status that can be changed, and the body `all is well`.
fn changing() -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let own = status.clone();
    let answer = move |_: &_| Reply::status(own.load(Ordering::SeqCst)).body("all is well");
    (Origin::answering(answer), status)
}

fn yaml(targets: &str, settings: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app:\n    \
         targets: [{targets}]\n{settings}\nroutes:\n  /*: {{ to: app }}\n"
    )
}

fn start(targets: &[String], settings: &str) -> Gateway {
    testkit::gateway!("{}", yaml(&targets.join(", "), settings))
}

fn url(origin: &Origin) -> String {
    format!("\"{}\"", origin.url())
}

fn name(origin: &Origin) -> String {
    origin.addr().to_string()
}

fn healthy(origin: &Origin) -> String {
    format!("tidegate_endpoint_healthy{{target=\"{}\"}}", name(origin))
}

/// How many requests, checks not counted, each origin gets of `count`.
fn spread(gateway: &Gateway, origins: &[&Origin], count: usize) -> Vec<usize> {
    let asked =
        |origin: &Origin| origin.requests().iter().filter(|request| request.target == "/spread").count();
    let before: Vec<usize> = origins.iter().map(|origin| asked(origin)).collect();
    for _ in 0..count {
        gateway.get("/spread");
    }
    origins.iter().zip(before).map(|(origin, before)| asked(origin) - before).collect()
}

const CHECK: &str =
    "    health_check: { path: /healthz, interval: 50ms, timeout: 2s, rise: 2, fall: 2 }\n    slow_start: 0s";

#[test]
fn a_target_whose_checks_fail_is_out_and_comes_back() {
    let ((one, _), (two, status)) = (changing(), changing());
    let gateway = start(&[url(&one), url(&two)], CHECK);
    gateway.wait_metric(
        &format!("tidegate_health_checks_total{{target=\"{}\",result=\"good\"}}", name(&two)),
        |n| n > 0.0,
    );
    assert_eq!(spread(&gateway, &[&one, &two], 10), [5, 5]);
    status.store(404, Ordering::SeqCst);
    gateway.wait_metric(&healthy(&two), |well| well == 0.0);
    assert_eq!(spread(&gateway, &[&one, &two], 10), [10, 0]);
    let told = gateway.admin("/api/v1/status").text();
    assert!(told.contains("\"ailment\":\"down: status 404\""), "{told}");
    gateway.wait_for_line(|line| line.contains("target is out") && line.contains("status 404"));
    status.store(204, Ordering::SeqCst);
    gateway.wait_metric(&healthy(&two), |well| well == 1.0);
    gateway.wait_for_line(|line| line.contains("target is back"));
    assert_eq!(spread(&gateway, &[&one, &two], 10), [5, 5]);
    let check = two.requests().into_iter().find(|request| request.target == "/healthz").unwrap();
    assert_eq!(check.header("host"), Some(&*name(&two)));
    one.assert_clean();
}

#[test]
fn a_check_expects_status_and_text() {
    let (origin, status) = changing();
    status.store(418, Ordering::SeqCst);
    for (expected, well) in [
        ("status: 418, body: \"is well\"", true),
        ("status: [200, 418]", true),
        ("status: 200", false),
        ("status: 418, body: \"is ill\"", false),
    ] {
        let check = format!("    health_check: {{ path: /healthz, interval: 50ms, {expected} }}");
        let gateway = start(&[url(&origin)], &check);
        let result = if well { "good" } else { "failed" };
        gateway.wait_metric(&format!("tidegate_health_checks_total{{result=\"{result}\"}}"), |count| {
            count >= 2.0
        });
        assert_eq!(gateway.metric(&healthy(&origin)), f64::from(u8::from(well)), "{expected}");
        // The only target is asked all the same: better than nobody.
        assert_eq!(gateway.get("/").status, 418);
    }
}

#[test]
fn without_a_path_a_connection_is_enough() {
    let origin = Origin::answering(|_| Reply::hang());
    let gone = Origin::start();
    let (gone_url, gone_name) = (url(&gone), name(&gone));
    drop(gone);
    let gateway = start(&[url(&origin), gone_url], "    health_check: { interval: 50ms }");
    gateway.wait_metric(&format!("tidegate_endpoint_healthy{{target=\"{gone_name}\"}}"), |well| well == 0.0);
    gateway.wait_metric("tidegate_health_checks_total{result=\"good\"}", |count| count >= 2.0);
    assert_eq!(gateway.metric(&healthy(&origin)), 1.0);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn failures_in_a_row_take_a_target_out() {
    let ((one, _), (two, status)) = (changing(), changing());
    status.store(503, Ordering::SeqCst);
    let gateway = start(&[url(&one), url(&two)], "    eject: { errors: 3, for: 1h, max_for: 1h }");
    assert_eq!(spread(&gateway, &[&one, &two], 6), [3, 3]);
    gateway.wait_metric(&healthy(&two), |well| well == 0.0);
    assert_eq!(gateway.metric("tidegate_endpoint_ejections_total"), 1.0);
    assert_eq!(spread(&gateway, &[&one, &two], 10), [10, 0]);
    let told = gateway.admin("/api/v1/status").text();
    assert!(told.contains("\"ailment\":\"ejected: 3 failures in a row\""), "{told}");
}

/// However ill the rest is, half of the targets stay: a fault of the requests must not take the service away.
#[test]
fn not_all_are_ejected() {
    let ((one, first), (two, second)) = (changing(), changing());
    first.store(500, Ordering::SeqCst);
    second.store(500, Ordering::SeqCst);
    let gateway = start(&[url(&one), url(&two)], "    eject: { errors: 2, for: 1h, max_for: 1h }");
    eventually("one to be out", || {
        spread(&gateway, &[&one, &two], 4);
        (gateway.metric("tidegate_endpoint_ejections_total") >= 1.0).then_some(())
    });
    spread(&gateway, &[&one, &two], 10);
    assert_eq!(gateway.metric("tidegate_endpoint_healthy"), 1.0);
}

#[test]
fn an_ejected_target_comes_back_after_its_time() {
    let ((one, _), (two, status)) = (changing(), changing());
    status.store(502, Ordering::SeqCst);
    let gateway = start(&[url(&one), url(&two)], "    eject: { errors: 2, for: 200ms }\n    slow_start: 0s");
    spread(&gateway, &[&one, &two], 4);
    gateway.wait_for_line(|line| line.contains("target is out") && line.contains("2 failures in a row"));
    status.store(200, Ordering::SeqCst);
    gateway.wait_for_line(|line| line.contains("target is back"));
    gateway.wait_metric(&healthy(&two), |well| well == 1.0);
    assert_eq!(spread(&gateway, &[&one, &two], 10), [5, 5]);
}

#[test]
fn a_backup_is_asked_only_in_need() {
    let ((one, status), (standby, _)) = (changing(), changing());
    let targets = [url(&one), format!("{{ url: {}, backup: true }}", url(&standby))];
    let gateway = start(&targets, CHECK);
    gateway.wait_metric("tidegate_health_checks_total{result=\"good\"}", |count| count >= 2.0);
    assert_eq!(spread(&gateway, &[&one, &standby], 6), [6, 0]);
    status.store(500, Ordering::SeqCst);
    gateway.wait_metric(&healthy(&one), |well| well == 0.0);
    assert_eq!(spread(&gateway, &[&one, &standby], 6), [0, 6]);
    status.store(200, Ordering::SeqCst);
    gateway.wait_metric(&healthy(&one), |well| well == 1.0);
    assert_eq!(spread(&gateway, &[&one, &standby], 6), [6, 0]);
}

/// Targets of the gateway's own zone get all, as long as enough of them are well; and all of it where none is reached.
#[test]
fn what_is_near_is_asked_and_what_is_far_helps_out() {
    let ((near, status), (far, _)) = (changing(), changing());
    let targets =
        [format!("{{ url: {}, zone: eu-1 }}", url(&near)), format!("{{ url: {}, zone: eu-2 }}", url(&far))];
    let gateway = start(&targets, CHECK);
    gateway.wait_metric("tidegate_health_checks_total{result=\"good\"}", |count| count >= 2.0);
    assert_eq!(spread(&gateway, &[&near, &far], 6), [3, 3], "a gateway that is nowhere asks both");
    gateway.rewrite_config(&format!("zone: eu-1\n{}", yaml(&targets.join(", "), CHECK)));
    gateway.wait_metric("tidegate_config_revision_info{revision=\"2\"}", |info| info == 1.0);
    assert_eq!(spread(&gateway, &[&near, &far], 6), [6, 0]);
    status.store(500, Ordering::SeqCst);
    gateway.wait_metric(&healthy(&near), |well| well == 0.0);
    assert_eq!(spread(&gateway, &[&near, &far], 6), [0, 6]);
    status.store(200, Ordering::SeqCst);
    gateway.wait_metric(&healthy(&near), |well| well == 1.0);
    assert_eq!(spread(&gateway, &[&near, &far], 6), [6, 0]);
    drop(near);
    assert_eq!(client::request(gateway.addr(), "GET", "/", &[], b"").status, 200, "the far one takes it");
}

/// Without any checks: a request that nobody else takes goes to the backup at once.
#[test]
fn a_backup_takes_what_cannot_be_connected() {
    let standby = Origin::start();
    // Nobody listens there, and no other test can take the port.
    let targets = ["http://127.0.0.1:1".to_owned(), format!("{{ url: {}, backup: true }}", url(&standby))];
    let gateway = start(&targets, "");
    for _ in 0..4 {
        assert_eq!(client::request(gateway.addr(), "POST", "/pay", &[], b"money").status, 200);
    }
    assert_eq!(standby.targets()["/pay"], 4);
}

#[test]
fn health_outlives_a_reload() {
    let ((one, _), (two, status)) = (changing(), changing());
    status.store(503, Ordering::SeqCst);
    let targets = format!("{}, {}", url(&one), url(&two));
    let eject = "    eject: { errors: 2, for: 1h, max_for: 1h }";
    let gateway = testkit::gateway!("{}", yaml(&targets, eject));
    spread(&gateway, &[&one, &two], 4);
    gateway.wait_metric(&healthy(&two), |well| well == 0.0);
    gateway.rewrite_config(&yaml(&targets, &format!("{eject}\n    timeout: 7s")));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count == 1.0);
    assert_eq!(gateway.metric(&healthy(&two)), 0.0);
    assert_eq!(spread(&gateway, &[&one, &two], 6), [6, 0]);
    // Who no longer asks for it has it no longer.
    gateway.rewrite_config(&yaml(&targets, ""));
    gateway.reload();
    gateway.wait_metric(&healthy(&two), |well| well == 1.0);
    eventually("both to be asked", || (spread(&gateway, &[&one, &two], 6) == [3, 3]).then_some(()));
}

fn command(admin: SocketAddr, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env("TIDEGATE_ADMIN_TOKEN", testkit::gateway::ADMIN_TOKEN);
    let output = command.args(arguments).arg("--admin").arg(admin.to_string()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_target_is_drained_by_command_and_comes_back() {
    let (one, two) = (Origin::start(), Origin::start());
    let gateway = start(&[url(&one), url(&two)], "");
    assert_eq!(spread(&gateway, &[&one, &two], 4), [2, 2]);
    let (code, said, _) = command(gateway.admin_addr(), &["drain", &name(&two)]);
    assert_eq!((code, said.contains(&name(&two))), (Some(0), true), "{said}");
    assert_eq!(spread(&gateway, &[&one, &two], 6), [6, 0]);
    two.wait_for_open_connections(0);
    let (_, said, _) = command(gateway.admin_addr(), &["status"]);
    assert!(said.contains("(drained by command)"), "{said}");
    assert_eq!(gateway.metric(&format!("tidegate_endpoint_drained{{target=\"{}\"}}", name(&two))), 1.0);
    let question = r#"{"method":"GET","url":"/"}"#;
    let explained = gateway.admin_request("POST", "/api/v1/explain", &[], question);
    assert!(explained.text().contains("drained by command"), "{}", explained.text());
    assert_eq!(command(gateway.admin_addr(), &["undrain", &name(&two)]).0, Some(0));
    assert_eq!(spread(&gateway, &[&one, &two], 4), [2, 2]);
    let (code, _, words) = command(gateway.admin_addr(), &["drain", "nobody:1"]);
    assert_eq!((code, words.contains("no service has a target `nobody:1`")), (Some(1), true), "{words}");
}

/// A service whose every target is drained has none: that is what was asked for.
#[test]
fn a_drained_target_is_not_even_a_last_resort() {
    let origin = Origin::start();
    let gateway = start(&[url(&origin)], "");
    assert_eq!(command(gateway.admin_addr(), &["drain", &name(&origin), "--service", "app"]).0, Some(0));
    assert_eq!(gateway.get("/").status, 503);
    assert_eq!(origin.requests().len(), 0);
}

/// A target that dies under load costs nothing: what was on its way to it is sent to another, and it is out.
#[test]
fn a_target_that_dies_under_load_costs_no_safe_request() {
    let (one, two, three) = (Origin::start(), Origin::start(), Origin::start());
    let gateway =
        start(&[url(&one), url(&two), url(&three)], "    eject: { errors: 3, for: 1h, max_for: 1h }");
    let dead = healthy(&three);
    let (stop, address) = (AtomicBool::new(false), gateway.addr());
    let (answered, failed) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let stop = &stop;
                scope.spawn(move || {
                    let (mut answered, mut failed) = (0_u32, 0_u32);
                    let mut raw = client::Raw::connect(address);
                    while !stop.load(Ordering::SeqCst) {
                        match raw.get("/load").read_response().status {
                            200 => answered += 1,
                            _ => failed += 1,
                        }
                    }
                    (answered, failed)
                })
            })
            .collect();
        three.wait_for_requests(50);
        drop(three);
        gateway.wait_metric(&dead, |well| well == 0.0);
        let before = one.requests().len();
        one.wait_for_requests(before + 50);
        stop.store(true, Ordering::SeqCst);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    // One connection per client may be cut inside an answer; none of the later requests may fail.
    assert!(failed <= 4 && answered > 150, "{failed} of {answered}");
}

/// A target that hangs without a word is out long before its requests run out of time.
#[test]
fn a_target_that_hangs_is_out_before_the_time_for_answers_is_over() {
    let hangs = Arc::new(AtomicBool::new(false));
    let own = hangs.clone();
    let one =
        Origin::answering(move |_| if own.load(Ordering::SeqCst) { Reply::hang() } else { Reply::ok("") });
    let two = Origin::start();
    let gateway = start(
        &[url(&one), url(&two)],
        "    timeout: 1h\n    eject: { min_requests: 3, for: 1h, max_for: 1h, slow: { over: 100ms } }",
    );
    spread(&gateway, &[&one, &two], 12);
    hangs.store(true, Ordering::SeqCst);
    let mut stuck: Vec<client::Raw> = (0..6).map(|_| client::Raw::connect(gateway.addr())).collect();
    for client in &mut stuck {
        client.get("/stuck");
    }
    gateway.wait_metric(&healthy(&one), |well| well == 0.0);
    assert_eq!(spread(&gateway, &[&one, &two], 6), [0, 6]);
    let told = gateway.admin("/api/v1/status").text();
    assert!(told.contains("ms to answer where others take"), "{told}");
}

#[test]
fn weights_are_changed_by_command() {
    let (a, b) = (Origin::start(), Origin::start());
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nservices:\n  app: {{ targets: [\"{}\", \"{}\"] }}\n\
         routes:\n  /*: {{ to: app }}\n",
        a.url(),
        b.url()
    );
    let admin = format!("http://{}", gateway.admin_addr());
    let weigh = |target: &str, weight: &[&str]| {
        let words = [&["weight", "app", target][..], weight, &["--admin", &admin]].concat();
        crate::setup::tidegate(std::path::Path::new("."), &words)
    };
    let asked = |count: usize| {
        (0..count).for_each(|_| assert_eq!(gateway.get("/").status, 200));
        (a.requests().len(), b.requests().len())
    };
    let target = a.addr().to_string();
    assert_eq!(weigh(&target, &["0"]).code, Some(0));
    assert_eq!(asked(4), (0, 4));
    let told = weigh(&target, &["3"]);
    assert_eq!((told.code, told.stdout.trim()), (Some(0), &*format!("weight: {target} in app weighs 3")));
    assert_eq!(asked(8), (6, 6));
    assert_eq!(weigh(&target, &[]).code, Some(0));
    assert_eq!(asked(4), (8, 8));
    let told = weigh("127.0.0.1:1", &["3"]);
    assert!(told.code == Some(1) && told.stderr.contains("no service has a target"), "{}", told.stderr);
    assert_eq!(weigh(&target, &["1001"]).code, Some(2));
}
