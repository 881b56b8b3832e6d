//! What holds for every path and host, whatever its bytes.
//!
//! A canonical path is its own canonical form and holds nothing that a service could read in another way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic
)]

use proptest::prelude::*;
use tidegate::http::host::canonical_host;
use tidegate::http::path::{PathOptions, canonicalise, without_params};

/// Pieces from which hostile paths are made.
const PIECES: [&str; 28] = [
    "/",
    "/",
    "/",
    ".",
    "..",
    ";",
    "a",
    "B",
    "%2e",
    "%2E",
    "%2f",
    "%2F",
    "%25",
    "%61",
    "%5c",
    "\\",
    "%00",
    "%20",
    " ",
    "%c3%a9",
    "%c0%ae",
    "%e0%80%af",
    "%",
    "%4",
    "%3b",
    "%zz",
    "~",
    "x=1",
];

fn paths() -> impl Strategy<Value = Vec<u8>> {
    let hostile = prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..12);
    let polite = prop::collection::vec(prop::sample::select(PIECES[..14].to_vec()), 0..12);
    let made = |pieces: Vec<&str>| format!("/{}", pieces.concat()).into_bytes();
    prop_oneof![
        hostile.prop_map(made),
        polite.prop_map(made),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(0x20..0x7f_u8, 0..20).prop_map(|tail| [b"/", tail.as_slice()].concat()),
    ]
}

/// The path by the book: RFC 3986 sections 6.2.2 and 5.2.4 with lists and copies.
fn by_the_book(path: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(path).ok()?.strip_prefix('/')?;
    let mut stack: Vec<String> = Vec::new();
    let mut slash = true;
    for segment in text.split('/') {
        let mut decoded = String::new();
        let mut rest = segment;
        while let Some(at) = rest.find('%') {
            decoded.push_str(&rest[..at]);
            let value = u8::from_str_radix(rest.get(at + 1..at + 3)?, 16).ok()?;
            if rest.as_bytes()[at + 1] == b'+' {
                return None;
            }
            match value {
                b'/' => decoded.push_str(&rest[at..at + 3]),
                _ if value.is_ascii_alphanumeric() || b"-._~".contains(&value) => {
                    decoded.push(char::from(value))
                }
                _ => decoded.push_str(&format!("%{value:02X}")),
            }
            rest = &rest[at + 3..];
        }
        decoded.push_str(rest);
        slash = matches!(decoded.as_str(), "" | "." | "..");
        match decoded.as_str() {
            "" | "." => {}
            ".." => {
                stack.pop()?;
            }
            _ => stack.push(decoded),
        }
    }
    let end = if slash && !stack.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", stack.join("/")).into_bytes())
}

fn is_clean(path: &[u8]) -> bool {
    let text = str::from_utf8(path).unwrap();
    let inner: Vec<&str> = text.strip_prefix('/').unwrap().split('/').collect();
    inner.iter().all(|segment| !matches!(segment.split(';').next(), Some("." | "..")))
        && inner[..inner.len() - 1].iter().all(|segment| !segment.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_path_is_clean_and_its_own_canonical_form(path in paths()) {
        let (mut once, mut twice, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        if let Ok(outcome) = canonicalise(&path, &mut once, PathOptions::default()) {
            prop_assert!(is_clean(&once), "{}", String::from_utf8_lossy(&once));
            prop_assert_eq!(outcome.escaped, once.contains(&b'%'));
            prop_assert_eq!(outcome.params, once.contains(&b';'));
            prop_assert_eq!(by_the_book(&path), Some(once.clone()));
            prop_assert_eq!(canonicalise(&once, &mut twice, PathOptions::default()), Ok(outcome));
            prop_assert_eq!(&once, &twice);
            without_params(&once, &mut bare);
            prop_assert!(!bare.contains(&b';'));
            prop_assert!(canonicalise(&bare, &mut twice, PathOptions::default()).is_ok());
            prop_assert_eq!(&bare, &twice);
        }
    }

    #[test]
    fn a_canonical_host_is_its_own_canonical_form(
        host in prop_oneof!["[a-zA-Z0-9.:_-]{0,12}", "\\[[0-9a-fA-F:.]{0,12}\\](:[0-9]{1,5})?", any::<String>()],
    ) {
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        if canonical_host(host.as_bytes(), &mut once).is_ok() {
            prop_assert_eq!(canonical_host(&once, &mut twice), Ok(None));
            prop_assert_eq!(&once, &twice);
            prop_assert!(!once.iter().any(u8::is_ascii_uppercase));
        }
    }
}
