//! `tidegate token` with the shop of the demo: a closed door, a token, and the service that learns who asks.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use testkit::client::request;

use crate::setup::tidegate;

/// A demo that ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the demo; gives what its greeting says of the gateway and the issuer, and the command that is shown.
fn demo() -> (Demo, String, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["demo", "--no-traffic", "--port", "0", "--admin-port", "0"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let demo = Demo(child);
    let mut url_of = |name: &str| {
        let line = lines.by_ref().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
    };
    let (gateway, issuer) = (url_of("gateway"), url_of("issuer"));
    let shown = lines.find(|line| line.contains("token --sub")).unwrap();
    (demo, gateway, issuer, shown)
}

#[test]
fn the_shop_asks_for_a_token_and_the_service_learns_who_it_is() {
    let (_demo, gateway, issuer, shown) = demo();
    let address = gateway.strip_prefix("http://").unwrap().parse().unwrap();
    let closed = request(address, "GET", "/orders/1", &[], b"");
    assert_eq!(
        (closed.status, closed.json()["type"].as_str()),
        (401, Some("urn:tidegate:problem:no_credentials"))
    );
    let folder = tempfile::tempdir().unwrap();
    let token = |words: &[&str]| {
        let told = tidegate(folder.path(), &[&["token", "--issuer", &issuer][..], words].concat());
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        told.stdout.trim_end().to_owned()
    };
    let ask = |token: &str| {
        let spoofed = [("Authorization", &*format!("Bearer {token}")), ("X-User-Id", "root")];
        request(address, "GET", "/orders/1", &spoofed, b"")
    };
    let open = ask(&token(&["--sub", "u1"]));
    assert_eq!((open.status, open.header("x-asked-by")), (200, Some("u1")), "{}", open.text());
    for wrong in [&["--aud", "other"][..], &["--claim", "exp=1"], &["--claim", "iss=http://evil.example"]] {
        assert_eq!(ask(&token(wrong)).status, 401, "{wrong:?}");
    }
    // The command that the greeting shows is one that works.
    let output = Command::new("sh").arg("-c").arg(shown.trim()).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.to_lowercase().contains("x-asked-by: u1"),
        "{shown}: {answer}"
    );
}

#[test]
fn without_an_issuer_there_is_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let told = tidegate(folder.path(), &["token", "--issuer", "http://127.0.0.1:1"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(3), ""));
    assert!(told.stderr.contains("`tidegate demo` runs a development issuer"), "{}", told.stderr);
}
