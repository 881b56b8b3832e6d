//! `tidegate fmt` and `tidegate diff` between two files.

use crate::setup::{folder_with, tidegate};

const TEXT: &str = "# head   \n\n\n\nlisten: 127.0.0.1:0\nroutes:\n  # why\n  /a: { respond: 200 }   \n\n\n";

#[test]
fn the_layout_is_tidied_and_comments_stay() {
    let folder = folder_with(TEXT);
    let told = tidegate(folder.path(), &["fmt", "--check"]);
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert_eq!(tidegate(folder.path(), &["fmt"]).code, Some(0));
    let text = std::fs::read_to_string(folder.path().join("gateway.yaml")).unwrap();
    assert_eq!(text, "# head\n\nlisten: 127.0.0.1:0\nroutes:\n  # why\n  /a: { respond: 200 }\n");
    assert_eq!(tidegate(folder.path(), &["fmt", "--check"]).code, Some(0));
    std::fs::write(folder.path().join("gateway.yaml"), "a: [").unwrap();
    assert_eq!(tidegate(folder.path(), &["fmt"]).code, Some(1));
}

#[test]
fn two_files_are_compared_in_words() {
    let folder = folder_with(TEXT);
    let other = TEXT.replace("respond: 200 }", "respond: 200, ip: { deny: [10.0.0.0/8] } }");
    std::fs::write(folder.path().join("new.yaml"), &other).unwrap();
    assert_eq!(tidegate(folder.path(), &["diff", "gateway.yaml", "gateway.yaml"]).code, Some(0));
    let told = tidegate(folder.path(), &["diff", "gateway.yaml", "new.yaml", "--json"]);
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    let told = told.json();
    assert_eq!(told["summary"], "1 route changed", "{told}");
    assert!(told["changes"][0]["text"].as_str().unwrap().contains("now has `ip`"), "{told}");
    assert!(
        told["diff"].as_str().unwrap().contains("+  /a: { respond: 200, ip: { deny: [10.0.0.0/8] } }"),
        "{told}"
    );
}
