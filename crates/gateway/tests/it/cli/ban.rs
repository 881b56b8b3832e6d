//! `tidegate ban`, `unban` and `bans` against a running gateway.

use testkit::client::request;
use testkit::gateway::Gateway;

use crate::setup::tidegate;

fn gateway(state: &std::path::Path) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\ntrusted_proxies: [127.0.0.0/8]\nstate: {}\n\
         routes: {{ /*: {{ respond: hello }} }}\n",
        state.display()
    )
}

#[test]
fn an_address_is_kept_out_until_it_is_let_in_and_a_restart_forgets_nothing() {
    let state = tempfile::tempdir().unwrap();
    let first = gateway(state.path());
    let run = |gateway: &Gateway, words: &[&str]| {
        let admin = gateway.admin_addr().to_string();
        tidegate(state.path(), &[words, &["--admin", &admin]].concat())
    };
    let status = |gateway: &Gateway, address: &str| {
        request(gateway.addr(), "GET", "/", &[("X-Forwarded-For", address)], b"")
    };
    assert_eq!(run(&first, &["bans"]).stdout, "nobody is banned\n");
    let told = run(&first, &["ban", "203.0.113.7", "--for", "2h", "--why", "scans"]);
    assert!(told.stdout.starts_with("banned: 203.0.113.7 until 20"), "{}{}", told.stdout, told.stderr);
    assert_eq!(run(&first, &["ban", "2001:db8::5"]).code, Some(0));
    let refused = status(&first, "203.0.113.7");
    assert_eq!((refused.status, refused.json()["type"].as_str()), (403, Some("urn:tidegate:problem:banned")));
    assert_eq!(status(&first, "2001:db8::77").status, 403, "the same /64");
    assert_eq!(status(&first, "203.0.113.8").status, 200);
    let line = first.wait_for_log(|line| line["status"] == 403);
    assert_eq!(line["reason"], "banned");
    assert!(first.stop().success());

    let second = gateway(state.path());
    assert_eq!(status(&second, "203.0.113.7").status, 403);
    let list = run(&second, &["bans", "--json"]).json();
    assert_eq!(list["bans"][0]["network"], "203.0.113.7");
    assert_eq!(list["bans"][0]["why"], "scans");
    assert_eq!(run(&second, &["unban", "203.0.113.7"]).stdout, "not banned any more: 203.0.113.7\n");
    assert_eq!(status(&second, "203.0.113.7").status, 200);
    let again = run(&second, &["unban", "203.0.113.7"]);
    assert_eq!((again.code, again.stderr.contains("203.0.113.7 is not banned")), (Some(1), true));
}

#[test]
fn what_is_no_address_or_no_time_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let gateway = gateway(state.path());
    let admin = gateway.admin_addr().to_string();
    for (words, told) in
        [(["ban", "nobody"], "`nobody` is not a network"), (["ban", "10.0.0.1/40"], "10.0.0.1/40")]
    {
        let told_now = tidegate(state.path(), &[&words[..], &["--admin", &admin]].concat());
        assert_eq!(told_now.code, Some(1), "{words:?}");
        assert!(told_now.stderr.contains(told), "{}", told_now.stderr);
    }
    let told = tidegate(state.path(), &["ban", "10.0.0.1", "--for", "long", "--admin", &admin]);
    assert_eq!(
        (told.code, told.stderr.contains("`long` is not a duration")),
        (Some(1), true),
        "{}",
        told.stderr
    );
    assert_eq!(gateway.get("/").status, 200);
}
