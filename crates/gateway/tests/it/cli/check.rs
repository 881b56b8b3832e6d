//! `check`: every fault, for people, programs and reviews.

use crate::setup::{folder_with, tidegate};

const GOOD: &str = "listen: 127.0.0.1:0\nroutes:\n  /a: { respond: a }\n";
/// One fault of reading would hide those of compiling: these are both of compiling.
const WRONG: &str =
    "listen: 127.0.0.1:0\nroutes:\n  /a/{x}: { respond: a }\n  /a/{y}: { respond: b, timeout: 0s }\n";

#[test]
fn a_good_one_is_called_good() {
    let folder = folder_with(GOOD);
    let told = tidegate(folder.path(), &["check"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), ""));
    assert_eq!(told.stderr, "gateway.yaml is good: 1 listener, 0 services, 1 route\n");
    let told = tidegate(folder.path(), &["check", ".", "--json"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    assert_eq!(told.json()["valid"], true);
}

#[test]
fn all_faults_are_told_with_place_and_remedy_and_without_colour() {
    let folder = folder_with(WRONG);
    let told = tidegate(folder.path(), &["check", "gateway.yaml"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""));
    let wanted = "\
error[TG034]: routes `/a/{x}` and `/a/{y}` take exactly the same requests
 --> gateway.yaml:4:3
  |
4 |   /a/{y}: { respond: b, timeout: 0s }
  |   ^^^^^^
 ::: gateway.yaml:3:3
  |
3 |   /a/{x}: { respond: a }
  |   ------ the other one
  = help: change one of them, or remove it

error[TG040]: a `timeout` of no time ends every request
 --> gateway.yaml:4:34
  |
4 |   /a/{y}: { respond: b, timeout: 0s }
  |                                  ^^
  = help: write `off` for no limit

error: 2 errors.
";
    assert_eq!(told.stderr, wanted);
}

#[test]
fn programs_and_reviews_get_theirs_on_stdout() {
    let folder = folder_with(WRONG);
    for words in [&["check", "--json"][..], &["check", "--format", "json"]] {
        let told = tidegate(folder.path(), words);
        assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));
        let told = told.json();
        assert_eq!((&told["file"], &told["valid"]), (&"gateway.yaml".into(), &false.into()));
        assert_eq!((&told["errors"], &told["warnings"]), (&2.into(), &0.into()));
        assert_eq!(told["diagnostics"][1]["code"], "TG040");
        assert_eq!(told["diagnostics"][1]["place"]["line"], 4);
    }
    let told = tidegate(folder.path(), &["check", "--format=github"]);
    let first = "::error file=gateway.yaml,line=4,col=3,endColumn=9,title=TG034::routes `/a/{x}` and `/a/{y}` \
                 take exactly the same requests%0Ahelp: change one of them, or remove it";
    assert_eq!((told.code, told.stdout.lines().next()), (Some(1), Some(first)));
}

#[test]
fn a_warning_is_no_fault() {
    let folder = folder_with(&format!("{GOOD}services: {{ old: \"http://a:1\" }}\n"));
    let told = tidegate(folder.path(), &["check"]);
    assert_eq!(told.code, Some(0));
    assert!(told.stderr.starts_with("warning[TG023]"), "{}", told.stderr);
    assert!(
        told.stderr.ends_with("gateway.yaml is good: 1 listener, 1 service, 1 route\n"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_file_that_is_not_there_is_a_fault_and_an_unknown_word_is_usage() {
    let folder = folder_with(GOOD);
    let told = tidegate(folder.path(), &["check", "nope.yaml"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("error[TG004]: cannot read `nope.yaml`"), "{}", told.stderr);
    assert_eq!(tidegate(folder.path(), &["check", "--nope"]).code, Some(2));
    assert_eq!(tidegate(folder.path(), &["check", "--json", "--format", "text"]).code, Some(2));
}
