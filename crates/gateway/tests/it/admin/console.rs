//! The console's pages: served to everybody who reaches the address, with a policy that lets nothing inline run.

use testkit::origin::Origin;

use crate::setup::in_front_of;

#[test]
fn the_first_page_allows_nothing_inline_and_nothing_from_elsewhere() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin);
    let page = gateway.admin("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let text = page.text();
    assert!(text.contains("Tidegate"), "{text}");
    assert!(!text.contains("<style") && !text.contains(" style="), "{text}");
    // Whether it is built or not: all that it names is here.
    for part in text.split(['"', '\'']).filter_map(|word| word.strip_prefix("./")) {
        let answer = gateway.admin(&format!("/{part}"));
        assert_eq!(answer.status, 200, "{part}");
        assert!(answer.header("etag").is_some(), "{part}");
    }
}
