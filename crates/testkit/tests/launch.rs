//! The launching of a gateway, tried on a stand-in of shell: ready file, lines, signals, death at start.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failure of the test"
)]

use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use testkit::gateway::{Gateway, Launch};

/// `run FILE --ready-file READY`: says where it listens and what it was told, then waits for signals. In the background,
/// because dash forgets a signal that comes while it starts a command of the foreground.
const STAND_IN: &str = r#"#!/usr/bin/env -S --default-signal=HUP sh
trap 'echo "reloaded: $(cat "$2")" >&2' HUP
trap 'exit 0' TERM
grep -q wrong "$2" && { echo "error: wrong" >&2; exit 1; }
echo '{"route":"/","status":200}'
echo "name is $NAME" >&2
echo '{"listeners":{"main":"127.0.0.1:8080"},"admin":"127.0.0.1:9900"}' > "$4"
while :; do sleep 0.01 & wait $!; done
"#;

/// Written once before anything is started: a script open for writing in a forked child cannot be run.
static WRITTEN: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in.sh");
    std::fs::write(&path, STAND_IN).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
});

fn stand_in() -> Launch {
    Gateway::with_binary(WRITTEN.to_str().unwrap())
}

#[test]
fn a_gateway_is_started_reloaded_and_stopped() {
    let gateway = stand_in().env("NAME", "tide").start("first");
    assert_eq!((gateway.addr().port(), gateway.admin_addr().port()), (8080, 9900));
    assert_eq!(gateway.listener("main"), gateway.addr());
    gateway.wait_for_line(|line| line == "name is tide");
    assert_eq!(gateway.wait_for_log(|log| log["status"] == 200)["route"], "/");
    gateway.rewrite_config("second");
    gateway.reload();
    gateway.wait_for_line(|line| line == "reloaded: second");
    assert!(gateway.stop().success());
}

#[test]
fn a_gateway_that_dies_at_start_fails_the_test_with_its_words() {
    let died = catch_unwind(AssertUnwindSafe(|| stand_in().start("wrong"))).err().unwrap();
    let message = died.downcast_ref::<String>().unwrap();
    assert!(message.contains("exit status: 1"), "{message}");
    let output = stand_in().output("wrong");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: wrong\n");
}
