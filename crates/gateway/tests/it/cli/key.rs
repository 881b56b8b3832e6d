//! `tidegate key`: keys that are random, hashes that a configuration takes.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::setup::tidegate;

fn new_key(words: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let told = tidegate(folder.path(), &[&["key", "new", "--json"], words].concat());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let json = told.json();
    (json["key"].as_str().unwrap().to_owned(), json["hash"].as_str().unwrap().to_owned())
}

/// What `tidegate key hash` says of a key.
fn hash_of(key: &str, secret: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["key", "hash"]).env("TIDEGATE_KEY_SECRET", secret);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

#[test]
fn every_key_is_another_and_its_hash_can_be_made_again() {
    let ((one, hash), (other, _)) = (new_key(&[]), new_key(&["--prefix", "shop"]));
    assert!(one.starts_with("tgk_") && other.starts_with("shop_") && one[4..] != other[5..], "{one} {other}");
    assert!(one.len() == 47 && one[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
    assert!(hash.starts_with(&format!("{}:", &one[..12])) && !hash.contains(&one[12..]), "{hash}");
    assert_eq!(hash_of(&one, ""), (Some(0), hash.clone()));
    assert_eq!(hash_of(&format!("{one}\n"), ""), (Some(0), hash.clone()));
    assert_ne!(hash_of(&one, "pepper").1, hash);
    assert_eq!(hash_of("short", "").0, Some(1));
}
