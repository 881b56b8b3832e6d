//! Another process takes over: without a failed request when all is well, without any change when it is not (O21).

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use testkit::client::{Raw, WebSocket};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{Origin, WebSocketEcho};
use testkit::tls::Authority;
use testkit::wire::Trouble;

use crate::http::http2::wire;

fn configuration(origin: &Origin, workers: u32, more: &str) -> String {
    format!(
        r#"
listeners:
  main: 127.0.0.1:0
{more}
admin: {{ listen: 127.0.0.1:0 }}
workers: {workers}
drain: {{ timeout: 50s, spread: 5s, handover: 50s }}
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    )
}

fn in_front_of(origin: &Origin) -> Gateway {
    testkit::gateway!("{}", configuration(origin, 2, ""))
}

/// Whether the other side has ended the connection, as a client looks before it asks again.
fn is_closed(client: &mut Raw) -> bool {
    let stream = client.wire().stream();
    stream.set_nonblocking(true).unwrap();
    let looked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !looked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Load {
    /// Request after request until told to stop, each over a new connection, or over one kept as long as it lasts.
    /// `name` begins its paths.
    fn ask(&self, origin: &Origin, address: SocketAddr, name: usize, kept: bool) {
        let mut client = Raw::connect(address);
        for path in (0..).map(|nth| format!("/{name}/{nth}")) {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let fresh = !kept || is_closed(&mut client);
            if fresh {
                client = Raw::connect(address);
            }
            let mut answer = client.get(&path).try_read_response();
            if !fresh && matches!(answer, Err(Trouble::Closed | Trouble::Reset)) {
                // It was closed between the look and the request, as a kept connection may be at any time (RFC 9112
                // section 9.5). Nobody may have begun to serve it.
                assert_eq!(origin.targets().get(&path), None, "a request that was begun got no answer");
                client = Raw::connect(address);
                answer = client.get(&path).try_read_response();
            }
            let answer = answer.unwrap_or_else(|trouble| panic!("{trouble}"));
            assert_eq!(answer.status, 200);
            self.answered.fetch_add(1, Ordering::Relaxed);
            if answer.says_close() {
                client = Raw::connect(address);
            }
        }
    }
}

/// Ends the load.
struct StopAtEnd<'l>(&'l Load);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn three_processes_take_over_under_load_and_no_request_fails() {
    let origin = Origin::start();
    let mut gateway = in_front_of(&origin);
    let (address, load) = (gateway.addr(), Load::default());
    thread::scope(|scope| {
        // Also when something fails in here: the scope waits for the clients.
        let _stop = StopAtEnd(&load);
        let clients: Vec<_> = [true, true, true, false, false]
            .into_iter()
            .enumerate()
            .map(|(name, kept)| {
                let (load, origin) = (&load, &origin);
                scope.spawn(move || load.ask(origin, address, name, kept))
            })
            .collect();
        for _ in 0..3 {
            let so_far = load.answered.load(Ordering::Relaxed);
            eventually("load", || (load.answered.load(Ordering::Relaxed) > so_far + 100).then_some(()));
            gateway.hand_over();
            assert_eq!(gateway.addr(), address);
            // Whichever of the two accepts it: the gateway is there, and says so.
            for _ in 0..200 {
                assert_eq!(gateway.admin("/readyz").status, 200);
            }
        }
        let so_far = load.answered.load(Ordering::Relaxed);
        eventually("load", || (load.answered.load(Ordering::Relaxed) > so_far + 100).then_some(()));
        load.stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert!(gateway.wait_for_end().success(), "the first process has finished what was under way");
    assert_eq!(gateway.get("/").status, 200);
}

/// One listener in clear and one under TLS, with these further words in `tls:`.
fn secured(authority: &Authority, origin: &Origin) -> Gateway {
    let issued = authority.issue(&["shop.test"]);
    let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
    let launch = launch.file("shop.crt", &issued.cert).file("shop.key", &issued.key);
    launch.file("clients.pem", &authority.pem()).start(&with_tls(origin, ""))
}

fn with_tls(origin: &Origin, tls: &str) -> String {
    let certificates = "certificates: { cert: shop.crt, key: shop.key }";
    let listener = format!("  web: {{ address: 127.0.0.1:0, tls: {{ {certificates}{tls} }} }}");
    configuration(origin, 2, &listener)
}

/// How the last handshake of the process that serves ended.
fn handshakes(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(&format!("tidegate_tls_handshakes_total{{result=\"{result}\"}}"))
}

/// Sessions are taken up again by the next process, and the next but one; not where what they were verified by has
/// changed. The keys stand nowhere: not in what the process was started with, not in a file.
#[test]
fn sessions_go_on_in_the_next_process() {
    let (origin, authority) = (Origin::start(), Authority::new("the tests"));
    let mut gateway = secured(&authority, &origin);
    let client = Arc::new(authority.client(None));
    let ask = |gateway: &Gateway| {
        let mut raw = Raw::connect_tls(gateway.listener("web"), &client, "shop.test");
        assert_eq!(raw.get("/").read_response().status, 200);
    };
    ask(&gateway);
    assert_eq!((handshakes(&gateway, "full"), handshakes(&gateway, "resumed")), (1.0, 0.0));
    for _ in 0..2 {
        gateway.hand_over();
        // The process before may still accept for a moment.
        eventually("a session that goes on", || {
            ask(&gateway);
            (handshakes(&gateway, "resumed") > 0.0).then_some(())
        });
        assert_eq!(handshakes(&gateway, "full"), 0.0);
        let words = |name: &str| std::fs::read(format!("/proc/{}/{name}", gateway.pid())).unwrap();
        let told = String::from_utf8_lossy(&[words("environ"), words("cmdline")].concat()).into_owned();
        assert!(!told.contains("keys"), "{told}");
    }
    gateway.rewrite_config(&with_tls(&origin, ", client_ca: clients.pem, client_auth: optional"));
    gateway.hand_over();
    eventually("a handshake of its own", || {
        ask(&gateway);
        (handshakes(&gateway, "full") > 0.0).then_some(())
    });
    assert_eq!(handshakes(&gateway, "resumed"), 0.0, "what was verified in another way is verified anew");
}

/// HTTP/2: the first farewell refuses nothing, so what is asked before it is heard is answered.
#[test]
fn a_connection_of_http2_hears_of_it_before_it_ends() {
    let (origin, authority) = (Origin::start(), Authority::new("the tests"));
    let mut gateway = secured(&authority, &origin);
    let mut config = authority.client(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Raw::connect_tls(gateway.listener("web"), &Arc::new(config), "shop.test");
    client.send([wire::PREFACE, &wire::frame(wire::kind::SETTINGS, 0, 0, &[])].concat());
    client.send(wire::headers(&wire::GET, wire::END_STREAM, 1));
    assert_eq!(wire::ended(&mut client), wire::Ended::Answer(200));
    gateway.hand_over();
    assert_eq!(wire::ended(&mut client), wire::Ended::GoAway(0, i32::MAX.cast_unsigned()));
    client.send(wire::headers(&wire::GET, wire::END_STREAM, 3));
    let (mut answered, mut last) = (false, None);
    while !answered || last.is_none() {
        let (kind, flags, stream, payload) = wire::next(&mut client).unwrap();
        match kind {
            wire::kind::HEADERS => answered = stream == 3,
            // Its answer tells that whatever was sent before the farewell was heard has come.
            wire::kind::PING if flags == 0 => drop(client.send(wire::frame(kind, 1, 0, &payload))),
            7 => last = Some(payload[..8].to_vec()),
            _ => {}
        }
    }
    assert_eq!(last.unwrap(), [0, 0, 0, 3, 0, 0, 0, 0], "the last stream, and no error");
}

#[test]
fn a_tunnel_goes_on_until_its_end() {
    let origin = WebSocketEcho::start();
    let mut gateway = in_front_of(&origin);
    let mut socket = WebSocket::connect(gateway.addr(), "/ws");
    socket.expect_echo("before");
    gateway.hand_over();
    socket.expect_echo("after");
    // For a moment both processes accept: whose this one is nobody knows, so it must not outlive the old process.
    let mut either = WebSocket::connect(gateway.addr(), "/ws");
    either.expect_echo("either");
    either.close();
    socket.expect_echo("still");
    socket.close();
    assert!(gateway.wait_for_end().success());
    WebSocket::connect(gateway.addr(), "/ws").expect_echo("new");
}

/// However many sockets there are and workers to accept from them, each connection is accepted by somebody.
#[test]
fn the_number_of_workers_may_change() {
    let origin = Origin::start();
    let mut gateway = in_front_of(&origin);
    for workers in [5, 1, 3] {
        gateway.rewrite_config(&configuration(&origin, workers, ""));
        gateway.hand_over();
        for _ in 0..40 {
            assert_eq!(gateway.get("/").status, 200, "{workers} workers");
        }
    }
    assert!(gateway.wait_for_end().success());
}

/// What the new configuration does not listen on is closed, what it adds is opened.
#[test]
fn listeners_may_come_and_go() {
    let origin = Origin::start();
    let mut gateway = testkit::gateway!("{}", configuration(&origin, 2, "  old: 127.0.0.1:0"));
    let (main, old) = (gateway.listener("main"), gateway.listener("old"));
    gateway.rewrite_config(&configuration(&origin, 2, "  new: 127.0.0.1:0"));
    gateway.hand_over();
    assert_eq!(gateway.listener("main"), main);
    assert_eq!(testkit::client::get(gateway.listener("new"), "/").status, 200);
    eventually("the address to be given up", || TcpStream::connect(old).is_err().then_some(()));
}

/// A gateway that was started by a path at which another program can be put.
fn replaceable(origin: &Origin, folder: &Path, patience: &str) -> Gateway {
    let path = folder.join("tidegate");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tidegate"), &path).unwrap();
    let yaml = configuration(origin, 1, "").replace("handover: 50s", &format!("handover: {patience}"));
    Gateway::with_binary(path.to_str().unwrap()).start(&yaml)
}

fn put(folder: &Path, script: &str) {
    let path = folder.join("tidegate");
    std::fs::write(path.with_extension("new"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path.with_extension("new"), mode).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

/// Tries to hand over; the gateway goes on and says why.
fn expect_failure(gateway: &Gateway, client: &mut Raw, why: &str) {
    let failures = gateway.metric("tidegate_handover_failures_total");
    gateway.signal(Signal::USR2);
    gateway.wait_for_line(|line| line.contains("this one goes on") && line.contains(why));
    gateway.wait_metric("tidegate_handover_failures_total", |count| count == failures + 1.0);
    assert_eq!(client.get("/").read_response().status, 200, "{why}");
    assert_eq!(gateway.get("/").status, 200, "{why}");
}

#[test]
fn a_program_that_does_not_serve_changes_nothing() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let gateway = replaceable(&origin, folder.path(), "50s");
    let mut client = Raw::connect(gateway.addr());
    assert_eq!(client.get("/").read_response().status, 200);
    put(folder.path(), "exit 3");
    expect_failure(&gateway, &mut client, "it ended before it served (exit status: 3)");
    put(folder.path(), "echo nonsense >&0; exec sleep 1000");
    expect_failure(&gateway, &mut client, "it does not speak as it should");
    std::fs::remove_file(folder.path().join("tidegate")).unwrap();
    expect_failure(&gateway, &mut client, "cannot start");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tidegate"), folder.path().join("tidegate")).unwrap();
    gateway.rewrite_config("listen: nowhere\n");
    expect_failure(&gateway, &mut client, "it does not start: error[TG011]");
}

#[test]
fn a_program_that_takes_too_long_changes_nothing() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let gateway = replaceable(&origin, folder.path(), "1s");
    let mut client = Raw::connect(gateway.addr());
    put(folder.path(), "exec sleep 1000");
    expect_failure(&gateway, &mut client, "it did not serve in time");
}

#[test]
fn a_gateway_that_is_to_end_does_not_wait_for_a_new_process() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut gateway = replaceable(&origin, folder.path(), "50s");
    let started = folder.path().join("started");
    put(folder.path(), &format!("touch {}; exec sleep 1000", started.display()));
    gateway.signal(Signal::USR2);
    eventually("the new process", || started.exists().then_some(()));
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_for_end().success());
}
