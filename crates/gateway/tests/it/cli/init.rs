//! `init`: a first file that is good, never in the place of another one.

use std::fs;

use crate::setup::{folder_with, tidegate};

#[test]
fn what_it_writes_is_good_and_known_to_editors() {
    let folder = tempfile::tempdir().unwrap();
    let told = tidegate(folder.path(), &["init"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), ""));
    assert!(told.stderr.contains("next: tidegate run gateway.yaml"), "{}", told.stderr);
    let text = fs::read_to_string(folder.path().join("gateway.yaml")).unwrap();
    assert_eq!(text.lines().next(), Some("# yaml-language-server: $schema=./tidegate.schema.json"));
    let schema = fs::read_to_string(folder.path().join("tidegate.schema.json")).unwrap();
    assert_eq!(schema, tidegate(folder.path(), &["schema"]).stdout);
    let told = tidegate(folder.path(), &["check"]);
    assert_eq!(
        (told.code, told.stderr.as_str()),
        (Some(0), "gateway.yaml is good: 1 listener, 1 service, 2 routes\n")
    );
}

#[test]
fn a_file_that_is_there_stays_unless_forced() {
    let folder = folder_with("mine\n");
    let told = tidegate(folder.path(), &["init"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("--force"), "{}", told.stderr);
    assert_eq!(fs::read_to_string(folder.path().join("gateway.yaml")).unwrap(), "mine\n");
    assert!(!folder.path().join("tidegate.schema.json").exists());
    assert_eq!(tidegate(folder.path(), &["init", "other.yaml"]).code, Some(0));
    assert_eq!(tidegate(folder.path(), &["init", "--force"]).code, Some(0));
    assert_eq!(tidegate(folder.path(), &["check"]).code, Some(0));
    assert_eq!(tidegate(folder.path(), &["init", "no/such/folder.yaml"]).code, Some(1));
}
