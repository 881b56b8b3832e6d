//! A new configuration under load: swapped in one step, kept out when it is wrong, felt by nobody.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use testkit::client::{Raw, WebSocket};
use testkit::event::{Gate, eventually};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply, WebSocketEcho};

/// A configuration that answers `/version` with this text.
fn version(origin: &Origin, text: &str) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: {{ targets: "{app}", tunnel_timeout: 10h }} }}
routes:
  /*: {{ to: app }}
  /version: {{ respond: {{ status: 200, body: "{text}" }} }}
"#,
        app = origin.url()
    )
}

fn wait_for_version(gateway: &Gateway, text: &str) {
    eventually("the new configuration", || (gateway.get("/version").text() == text).then_some(()));
}

#[test]
fn a_signal_brings_the_new_configuration_and_keeps_every_connection() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/version").read_response().text(), "one");
    assert_eq!(client.get("/app").read_response().status, 200);
    gateway.rewrite_config(&version(&origin, "two"));
    gateway.reload();
    wait_for_version(&gateway, "two");
    assert_eq!(client.get("/version").read_response().text(), "two");
    assert_eq!(client.get("/app").read_response().status, 200);
    assert_eq!(origin.connections().len(), 1);
}

#[test]
fn a_change_of_the_file_is_enough() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    gateway.rewrite_config(&version(&origin, "two"));
    wait_for_version(&gateway, "two");
}

/// A log that stands beside the configuration is written to all the time.
#[test]
fn a_file_that_grows_beside_it_holds_no_change_up() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    let mut log = std::fs::File::create(gateway.folder().join("access.log")).unwrap();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                log.write_all(b"a line\n").unwrap();
                thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gateway.rewrite_config(&version(&origin, "two"));
            wait_for_version(&gateway, "two");
        }));
        ended.store(true, Ordering::Relaxed);
        told.unwrap();
    });
}

/// How Kubernetes changes a ConfigMap: the file is a link through a link to a folder, and that link is swapped.
#[test]
fn a_swap_of_the_folder_behind_a_link_is_enough() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    let folder = gateway.folder();
    let put = |name: &str, text: &str| {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("gateway.yaml"), version(&origin, text)).unwrap();
        std::os::unix::fs::symlink(name, folder.join("..next")).unwrap();
        std::fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    };
    put("..1", "two");
    std::os::unix::fs::symlink("..data/gateway.yaml", folder.join("link")).unwrap();
    std::fs::rename(folder.join("link"), folder.join("gateway.yaml")).unwrap();
    wait_for_version(&gateway, "two");
    put("..2", "six");
    wait_for_version(&gateway, "six");
}

/// Counters and connections of what did not change go on.
#[test]
fn what_did_not_change_goes_on() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    assert_eq!(gateway.get("/app").status, 200);
    gateway.rewrite_config(&version(&origin, "two"));
    gateway.reload();
    wait_for_version(&gateway, "two");
    assert_eq!(gateway.get("/app").status, 200);
    let served = gateway.wait_metric("tidegate_requests_total{route=\"/*\"}", |served| served >= 2.0);
    assert_eq!((served, origin.connections().len()), (2.0, 1));
    assert_eq!(gateway.metric("tidegate_upstream_connections_opened_total"), 1.0);
}

/// A request sees one configuration from its beginning to its end.
#[test]
fn a_request_under_way_keeps_its_configuration() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |_| Reply::ok("old").slow(&closed));
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    let mut client = Raw::connect(gateway.addr());
    client.get("/app");
    origin.wait_for_requests(1);
    let other = Origin::answering(|_| Reply::ok("new"));
    gateway.rewrite_config(&version(&other, "two"));
    gateway.reload();
    wait_for_version(&gateway, "two");
    assert_eq!(gateway.get("/app").text(), "new");
    gate.open();
    assert_eq!(client.read_response().text(), "old");
    origin.wait_for_open_connections(0);
}

#[test]
fn a_wrong_file_changes_nothing_and_is_told_of() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", version(&origin, "one"));
    gateway.rewrite_config(&version(&origin, "two").replace("to: app", "to: ap"));
    gateway.reload();
    gateway.wait_for_line(|line| line.contains("TG0"));
    assert_eq!(gateway.get("/version").text(), "one");
    assert_eq!(gateway.get("/app").status, 200);
    let verbose = gateway.admin("/readyz?verbose");
    assert!(verbose.status == 200 && verbose.text().contains("TG0"), "{}", verbose.text());
    gateway.wait_metric("tidegate_config_reload_success", |value| value == 0.0);
    gateway.rewrite_config(&version(&origin, "three"));
    gateway.reload();
    wait_for_version(&gateway, "three");
    gateway.wait_metric("tidegate_config_reload_success", |value| value == 1.0);
}

#[test]
fn listeners_come_and_go() {
    let origin = Origin::start();
    let listeners = |more: &str| {
        version(&origin, "x")
            .replace("listen: 127.0.0.1:0\nadmin", &format!("listeners:\n  main: 127.0.0.1:0\n{more}admin"))
    };
    let gateway = testkit::gateway!("{}", listeners("  side: 127.0.0.1:0\n"));
    let (main, side) = (gateway.listener("main"), gateway.listener("side"));
    assert_eq!(testkit::client::get(side, "/version").text(), "x");
    gateway.rewrite_config(&listeners(""));
    gateway.reload();
    eventually("the side listener to go", || std::net::TcpStream::connect(side).is_err().then_some(()));
    assert_eq!(testkit::client::get(main, "/version").text(), "x");
}

/// Reload after reload under steady load: no request fails, no tunnel drops.
#[test]
fn nobody_feels_a_reload() {
    let origin = Origin::conversing(|request, conversation| match request.target.as_str() {
        "/ws" => WebSocketEcho::converse(request, conversation),
        _ => {
            let whole = conversation.read_request().unwrap();
            conversation.answer(&whole, Reply::ok("fine"))
        }
    });
    let gateway = testkit::gateway!("{}", version(&origin, "0"));
    let mut socket = WebSocket::connect(gateway.addr(), "/ws");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let visitors: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Raw::connect(gateway.addr());
                    let mut visits = 0;
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(client.get("/app").read_response().text(), "fine");
                        visits += 1;
                    }
                    visits
                })
            })
            .collect();
        for nth in 1..=10 {
            gateway.rewrite_config(&version(&origin, &nth.to_string()));
            gateway.reload();
            wait_for_version(&gateway, &nth.to_string());
            socket.expect_echo("still here");
        }
        over.store(true, Ordering::Relaxed);
        assert!(visitors.into_iter().all(|visitor| visitor.join().unwrap() > 0));
    });
}

/// Tunnels outlive many configurations, and hold on to none: thirty of two thousand routes each would be over 90 MiB. What
/// the allocator keeps for the next compilation is below 40 and stays.
#[test]
fn a_tunnel_keeps_no_old_configuration() {
    let origin = WebSocketEcho::start();
    let routes: String =
        (0..2000).map(|nth| format!("  /r{nth}/{{id}}: {{ to: app, timeout: {}s }}\n", nth + 1)).collect();
    let large = |text: &str| version(&origin, text) + &routes;
    let gateway = testkit::gateway!("{}", large("0"));
    let mut sockets = Vec::new();
    let mut memory = Vec::new();
    for nth in 1..=36 {
        sockets.push(WebSocket::connect(gateway.addr(), "/ws"));
        gateway.rewrite_config(&large(&nth.to_string()));
        gateway.reload();
        wait_for_version(&gateway, &nth.to_string());
        memory.push(gateway.metric("process_resident_memory_bytes") / f64::from(1 << 20));
    }
    let least = memory[30..].iter().copied().fold(f64::MAX, f64::min);
    assert!(least - memory[0] < 60.0, "MiB after each reload: {memory:?}");
    sockets.iter_mut().for_each(|socket| socket.expect_echo("still here"));
}
