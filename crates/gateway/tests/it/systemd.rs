//! systemd as seen by the gateway: a datagram socket that is told things, and sockets that are opened beforehand.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use testkit::PATIENCE;
use testkit::client::{self, Raw};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Launch, Signal};
use testkit::origin::{Origin, WebSocketEcho};

/// Stands for systemd's end of `NOTIFY_SOCKET`.
struct Systemd {
    socket: UnixDatagram,
    name: String,
    _folder: tempfile::TempDir,
}

impl Systemd {
    fn start() -> Systemd {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Systemd::over(socket, path.display().to_string(), folder)
    }

    fn over(socket: UnixDatagram, name: String, folder: tempfile::TempDir) -> Systemd {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Systemd { socket, name, _folder: folder }
    }

    fn hears(&self) -> Launch {
        Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).env("NOTIFY_SOCKET", &self.name)
    }

    /// The value of the next message that has this key; others are passed over.
    #[track_caller]
    fn wait_for(&self, key: &str) -> String {
        loop {
            let mut text = [0; 4096];
            let count = match self.socket.recv(&mut text) {
                Ok(count) => count,
                Err(error) => panic!("{error} while waiting for {key}"),
            };
            let text = String::from_utf8(text[..count].to_vec()).unwrap();
            let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            if let Some(value) = found {
                assert!(key != "RELOADING" || text.contains("MONOTONIC_USEC="), "{text}");
                return value.to_owned();
            }
        }
    }
}

fn configuration(origin: &Origin) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 2
drain: {{ timeout: 9s, spread: 50ms }}
services: {{ app: "{}" }}
routes:
  /*: {{ to: app }}
"#,
        origin.url()
    )
}

#[test]
fn it_is_told_of_readiness_reloads_and_the_end() {
    let (origin, systemd) = (Origin::start(), Systemd::start());
    let mut gateway = systemd.hears().start(&configuration(&origin));
    assert_eq!(systemd.wait_for("READY"), "1");
    let before = monotonic_micros();
    gateway.reload();
    assert_eq!(systemd.wait_for("RELOADING"), "1");
    assert_eq!(systemd.wait_for("READY"), "1");
    gateway.rewrite_config("listen: nowhere\n");
    gateway.reload();
    let told = systemd.wait_for("MONOTONIC_USEC").parse::<i64>().unwrap();
    assert!(told >= before && told <= monotonic_micros(), "{told} is no time of this reload");
    assert_eq!(systemd.wait_for("READY"), "1", "the configuration before goes on");
    gateway.signal(Signal::TERM);
    assert_eq!(systemd.wait_for("STOPPING"), "1");
    assert!(gateway.wait_for_end().success());
}

/// The clock that systemd compares with.
fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[test]
fn a_socket_without_a_path_is_found() {
    let origin = Origin::start();
    let name = format!("tidegate-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let systemd = Systemd::over(socket, format!("@{name}"), tempfile::tempdir().unwrap());
    let _gateway = systemd.hears().start(&configuration(&origin));
    assert_eq!(systemd.wait_for("READY"), "1");
}

#[test]
fn a_gateway_works_where_nobody_listens() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("nobody").display().to_string();
    for name in [nobody.as_str(), "vsock:1:2", "@", ""] {
        let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).env("NOTIFY_SOCKET", name);
        let gateway = launch.start(&configuration(&origin));
        assert_eq!(gateway.get("/").status, 200, "{name}");
    }
}

#[test]
fn the_watchdog_hears_of_life_again_and_again() {
    let (origin, systemd) = (Origin::start(), Systemd::start());
    let _gateway = systemd.hears().env("WATCHDOG_USEC", "300000").start(&configuration(&origin));
    for _ in 0..3 {
        assert_eq!(systemd.wait_for("WATCHDOG"), "1");
    }
}

/// It is meant for the process that `WATCHDOG_PID` names.
#[test]
fn the_watchdog_of_another_process_hears_nothing() {
    let (origin, systemd) = (Origin::start(), Systemd::start());
    let launch = systemd.hears().env("WATCHDOG_USEC", "3000").env("WATCHDOG_PID", "1");
    let gateway = launch.start(&configuration(&origin));
    assert_eq!(systemd.wait_for("READY"), "1");
    assert!(gateway.stop().success());
    systemd.socket.set_nonblocking(true).unwrap();
    let mut text = [0; 4096];
    while let Ok(count) = systemd.socket.recv(&mut text) {
        assert!(!String::from_utf8_lossy(&text[..count]).contains("WATCHDOG"));
    }
}

/// The main process changes by a word of the old one, which must not say that the service stops.
#[test]
fn it_is_told_who_takes_over() {
    let (origin, systemd) = (WebSocketEcho::start(), Systemd::start());
    let launch = systemd.hears().env("WATCHDOG_USEC", "300000").env("WATCHDOG_PID", "0");
    let mut gateway = launch.start(&configuration(&origin));
    gateway.hand_over();
    assert_eq!(systemd.wait_for("MAINPID"), gateway.pid().to_string());
    assert_eq!(systemd.wait_for("WATCHDOG"), "1", "the new one has a watchdog of its own");
    assert!(gateway.wait_for_end().success());
    gateway.signal(Signal::TERM);
    assert_eq!(systemd.wait_for("STOPPING"), "1");
}

/// Starts the gateway as systemd does: with an open socket as descriptor 3, and variables that say so, for a process id
/// that stays the same from the shell that moves the descriptor to the gateway.
fn activated(folder: &Path, socket: &TcpListener, name: &str) -> Launch {
    let script = folder.join("tidegate-activated");
    let text = format!(
        "#!/bin/sh\nexport LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}\nexec '{}' \"$@\" 3<&0 0</dev/null\n",
        env!("CARGO_BIN_EXE_tidegate"),
    );
    std::fs::write(&script, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    Gateway::with_binary(script.to_str().unwrap()).stdin(socket.try_clone().unwrap())
}

/// The socket stays open while no gateway runs: clients wait for the next one.
#[test]
fn nobody_is_refused_while_a_gateway_with_a_socket_of_systemd_is_restarted() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let gateway = activated(folder.path(), &socket, "main").start(&configuration(&origin));
    assert_eq!(gateway.addr(), address, "the name of the socket is that of the listener");
    for _ in 0..10 {
        assert_eq!(client::get(address, "/").status, 200);
    }
    assert!(gateway.stop().success());
    let mut waiting = Raw::connect(address);
    waiting.get("/");
    let yaml =
        configuration(&origin).replace("listen: 127.0.0.1:0\nadmin", &format!("listen: {address}\nadmin"));
    let mut gateway = activated(folder.path(), &socket, "of-another-name").start(&yaml);
    assert_eq!(waiting.read_response().status, 200, "the address of the socket is that of the listener");
    gateway.hand_over();
    assert!(gateway.wait_for_end().success());
    assert_eq!(client::get(address, "/").status, 200);
}

#[test]
fn a_socket_for_which_there_is_no_listener_is_told_and_closed() {
    let (origin, folder) = (Origin::start(), tempfile::tempdir().unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let gateway = activated(folder.path(), &socket, "nothing").start(&configuration(&origin));
    let line = gateway.wait_for_line(|line| line.contains("nothing listens on a socket"));
    assert!(line.contains("nothing") && line.contains(&address.to_string()), "{line}");
    drop(socket);
    eventually("the socket to be closed", || std::net::TcpStream::connect(address).is_err().then_some(()));
    assert_eq!(gateway.get("/").status, 200);
}
