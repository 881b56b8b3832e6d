//! `run`: what somebody is told whose gateway does not start.

use std::net::{Ipv4Addr, TcpListener};

use crate::setup::{folder_with, tidegate};

#[test]
fn a_wrong_configuration_is_told_as_check_tells_it() {
    let folder = folder_with("listen: 127.0.0.1:0\nrouts: {}\n");
    let told = tidegate(folder.path(), &["run"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""));
    let wanted = "\
error[TG012]: unknown key `routs`
 --> gateway.yaml:2:1
  |
2 | routs: {}
  | ^^^^^ not a key of the configuration
  = help: did you mean `routes`?

error: 1 error. The gateway does not start.
";
    assert_eq!(told.stderr, wanted);
}

#[test]
fn without_a_file_there_is_a_way_to_one() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["run"][..], &["check"]] {
        let told = tidegate(folder.path(), words);
        assert_eq!(told.code, Some(1));
        assert!(told.stderr.contains("cannot read `gateway.yaml`: No such file"), "{}", told.stderr);
        assert!(told.stderr.contains("let `tidegate init` write one"), "{}", told.stderr);
    }
}

#[test]
fn what_is_no_url_is_said_before_anything_else() {
    let told = tidegate(std::path::Path::new("."), &["run", "--to", "127.0.0.1:3000"]);
    assert_eq!(told.code, Some(2));
    assert_eq!(told.stderr, "error: `127.0.0.1:3000` is not a URL: write `--to http://127.0.0.1:3000`\n");
}

#[test]
fn an_address_that_cannot_be_had_is_told_with_the_reason() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let busy = taken.local_addr().unwrap().to_string();
    // 192.0.2.0/24 is for documents alone (RFC 5737), so no machine has it.
    for (address, part) in
        [(busy.as_str(), "another program listens there"), ("192.0.2.1:0", "no such address")]
    {
        let text =
            format!("listen: {address}\nadmin: {{ listen: \"off\" }}\nroutes:\n  /a: {{ respond: a }}\n");
        let folder = folder_with(&text);
        let told = tidegate(folder.path(), &["run"]);
        assert_eq!(told.code, Some(1), "{}", told.stderr);
        assert!(told.stderr.contains(&format!("cannot use {address}")), "{}", told.stderr);
        assert!(told.stderr.contains(part), "{}", told.stderr);
    }
}
