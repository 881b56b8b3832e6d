//! `tidegate status` and `tidegate reload`: what they say, and the exit codes 0, 1 and 3.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};

use testkit::event::{Gate, eventually};
use testkit::gateway::Signal;
use testkit::origin::{Origin, Reply};

use crate::setup::in_front_of;

fn tidegate(admin: SocketAddr, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let Output { status, stdout, stderr } = command
        .env("TIDEGATE_ADMIN_TOKEN", testkit::gateway::ADMIN_TOKEN)
        .args(arguments)
        .arg("--admin")
        .arg(format!("http://{admin}"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn yaml(origin: &Origin, text: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nroutes:\n  /*: {{ to: \"{}\" }}\n{text}",
        origin.url()
    )
}

#[test]
fn a_running_gateway_tells_how_it_is() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let (code, said, _) = tidegate(gateway.admin_addr(), &["status"]);
    assert_eq!(code, Some(0));
    for word in ["ready", "revision 1", "listener main", "service app", &origin.url()["http://".len()..]] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let (code, json, _) = tidegate(gateway.admin_addr(), &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, status["routes"].as_u64()), (Some(0), Some(1)));
}

#[test]
fn a_gateway_that_ends_is_not_well() {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |_| Reply::ok("").slow(&closed));
    let gateway = in_front_of(&origin);
    let mut busy = testkit::client::Raw::connect(gateway.addr());
    busy.get("/");
    origin.wait_for_requests(1);
    gateway.signal(Signal::TERM);
    eventually("readiness to fail", || (gateway.admin("/readyz").status == 503).then_some(()));
    let (code, said, _) = tidegate(gateway.admin_addr(), &["status"]);
    assert!(code == Some(1) && said.contains("draining"), "{code:?} {said}");
    gate.open();
    assert_eq!(busy.read_response().status, 200);
}

#[test]
fn a_reload_says_what_came_of_it() {
    let origin = Origin::start();
    let gateway = testkit::gateway!("{}", yaml(&origin, ""));
    let (code, said, _) = tidegate(gateway.admin_addr(), &["reload"]);
    assert!(code == Some(0) && said.contains("nothing has changed"), "{code:?} {said}");
    gateway.rewrite_config(&yaml(&origin, "  /more: { respond: { status: 204 } }\n"));
    let (code, said, _) = tidegate(gateway.admin_addr(), &["reload"]);
    assert!(code == Some(0) && said.contains("revision 2"), "{code:?} {said}");
    assert_eq!(gateway.get("/more").status, 204);
    gateway.rewrite_config(&yaml(&origin, "  /more: { to: nobody }\n"));
    let (code, _, words) = tidegate(gateway.admin_addr(), &["reload"]);
    assert!(code == Some(1) && words.contains("nobody") && words.contains("error[TG"), "{code:?} {words}");
    assert_eq!(gateway.get("/more").status, 204);
}

#[test]
fn a_gateway_that_is_not_there_is_out_of_reach() {
    let nobody = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for command in ["status", "reload"] {
        let (code, said, words) = tidegate(nobody, &[command]);
        assert_eq!((code, said.as_str()), (Some(3), ""), "{command}");
        assert!(words.contains("cannot reach"), "{words}");
    }
}
