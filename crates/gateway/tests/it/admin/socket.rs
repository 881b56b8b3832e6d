//! The admin address on a unix socket: who may ask, what a crash leaves behind, reloads, hand-overs, commands.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use testkit::PATIENCE;
use testkit::event::eventually;
use testkit::gateway::{AUTHORIZATION, Gateway, Signal};
use testkit::origin::Origin;

use crate::setup::tidegate;

/// A folder for sockets, and the path of one in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    (folder, path)
}

fn configuration(origin: &Origin, admin: &str, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nworkers: 1\nadmin: {{ {admin} }}\ndrain: {{ timeout: 50s, spread: 5s, handover: 50s }}\n\
         services: {{ app: \"{}\" }}\nroutes:\n  /*: {{ to: app }}\n{more}",
        origin.url()
    )
}

fn at(path: &Path) -> String {
    format!("listen: \"unix:{}\"", path.display())
}

fn start(yaml: &str) -> Gateway {
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).start(yaml)
}

/// What `curl --unix-socket` does: status and body.
fn ask(path: &Path, target: &str, fields: &[(&str, &str)]) -> std::io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // Nothing at all: it was let go before it was read.
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    Ok((status.ok_or(ErrorKind::UnexpectedEof)?, answer))
}

#[test]
fn its_owner_is_answered_and_commands_find_it_by_themselves() {
    let (_folder, path) = place();
    let origin = Origin::start();
    let gateway = start(&configuration(&origin, &at(&path), ""));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(gateway.get("/").status, 200);
    for open in ["/healthz", "/readyz", "/tidegate.schema.json"] {
        assert_eq!(ask(&path, open, &[]).unwrap().0, 200, "{open}");
    }
    let (status, page) = ask(&path, "/metrics", &[]).unwrap();
    assert!(status == 200 && page.contains("tidegate_requests_total"), "{page}");
    // A socket is no token: whoever gets hold of it has no role by that alone.
    assert_eq!(ask(&path, "/api/v1/status", &[]).unwrap().0, 401);
    assert_eq!(ask(&path, "/api/v1/status", &[AUTHORIZATION]).unwrap().0, 200);
    assert_eq!(ask(&path, "/healthz", &[("Origin", "https://evil.example")]).unwrap().0, 403);
    for words in [&["status"][..], &["reload"], &["bans"], &["top", "--once"], &["history"]] {
        let told = tidegate(gateway.folder(), words);
        assert_eq!(told.code, Some(0), "{words:?}: {}", told.stderr);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let named = format!("unix:{}", path.display());
    let told = tidegate(elsewhere.path(), &["status", "--admin", &named]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let told = tidegate(elsewhere.path(), &["explain", "GET", "/", "--admin", &named]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(gateway.stop().success());
    assert!(!path.exists(), "it goes with its process");
    let told = tidegate(elsewhere.path(), &["status", "--admin", &named]);
    assert_eq!(told.code, Some(3));
    assert!(told.stderr.contains(&format!("cannot reach the admin address {named}")), "{}", told.stderr);
}

#[test]
fn a_group_may_be_let_in() {
    let (_folder, path) = place();
    let origin = Origin::start();
    let _gateway = start(&configuration(&origin, &format!("{}, socket_mode: 0660", at(&path)), ""));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn what_a_crash_left_is_replaced_and_who_answers_is_not() {
    let (_folder, path) = place();
    let origin = Origin::start();
    drop(UnixListener::bind(&path).unwrap());
    let yaml = configuration(&origin, &at(&path), "");
    let gateway = start(&yaml);
    assert_eq!(ask(&path, "/healthz", &[]).unwrap().0, 200);
    let refused = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).output(&yaml);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(words.contains("another process answers there"), "{words}");
    gateway.signal(Signal::KILL);
    drop(gateway);
    assert!(path.exists());
    let _next = start(&yaml);
    assert_eq!(ask(&path, "/healthz", &[]).unwrap().0, 200);
}

#[test]
fn a_reload_keeps_it_and_another_path_waits_for_the_next_start() {
    let (folder, path) = place();
    let origin = Origin::start();
    let gateway = start(&configuration(&origin, &at(&path), ""));
    let inode = std::fs::metadata(&path).unwrap().ino();
    let other = folder.path().join("other.sock");
    gateway.rewrite_config(&configuration(&origin, &at(&other), "  /new: { respond: new }\n"));
    gateway.wait_for_line(|line| line.contains("`admin.listen` changed"));
    eventually("the new route", || (gateway.get("/new").text() == "new").then_some(()));
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(ask(&path, "/readyz", &[]).unwrap().0, 200);
    assert!(!other.exists());
}

#[test]
fn it_goes_over_to_the_next_process_without_a_gap() {
    let (_folder, path) = place();
    let origin = Origin::start();
    let mut gateway = start(&configuration(&origin, &at(&path), ""));
    let inode = std::fs::metadata(&path).unwrap().ino();
    let done = std::sync::atomic::AtomicBool::new(false);
    let asked = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                match ask(&path, "/healthz", &[]) {
                    Ok((status, _)) => assert_eq!(status, 200),
                    // A connection that was taken and not yet read is let go when its process ends; one can always be had.
                    Err(error) => assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe
                        ),
                        "{error}"
                    ),
                }
                asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        let count = || asked.load(std::sync::atomic::Ordering::Relaxed);
        eventually("questions", || (count() > 5).then_some(()));
        gateway.hand_over();
        assert!(gateway.wait_for_end().success());
        let before = count();
        eventually("further questions", || (count() > before + 5).then_some(()));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        asking.join().unwrap();
    });
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "it is the very same");
    assert_eq!(tidegate(gateway.folder(), &["status"]).code, Some(0));
    gateway.signal(Signal::TERM);
    eventually("the file to go with the last process", || (!path.exists()).then_some(()));
}

#[test]
fn a_next_process_that_listens_elsewhere_leaves_no_file() {
    let (_folder, path) = place();
    let origin = Origin::start();
    let mut gateway = start(&configuration(&origin, &at(&path), ""));
    gateway.rewrite_config(&configuration(&origin, "listen: 127.0.0.1:0", ""));
    gateway.wait_for_line(|line| line.contains("`admin.listen` changed"));
    gateway.hand_over();
    assert_eq!(gateway.admin("/readyz").status, 200);
    eventually("the file to go", || (!path.exists()).then_some(()));
}
