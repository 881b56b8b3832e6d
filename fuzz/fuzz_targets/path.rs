//! Paths. Takes any bytes; fails on a panic, where the canonical form of a canonical path is another one, or where it
//! still holds what two servers read in two ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::http::path::{PathOptions, canonicalise};

fuzz_target!(|path: &[u8]| {
    let options = || PathOptions { reject_encoded_slash: false };
    let mut once = Vec::new();
    if canonicalise(path, &mut once, options()).is_err() {
        return;
    }
    let mut twice = Vec::new();
    canonicalise(&once, &mut twice, options()).expect("a canonical path is accepted");
    assert_eq!(once, twice);
    assert!(once.starts_with(b"/"));
    for segment in once.split(|byte| *byte == b'/').skip(1) {
        assert!(segment != b"." && segment != b"..");
    }
    assert!(!once.windows(2).any(|pair| pair == b"//"));
    assert!(!once.contains(&b'\\') && !once.iter().any(|byte| *byte <= b' ' || *byte >= 0x7f));
});
