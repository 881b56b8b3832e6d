//! JSON of services. Takes any bytes; fails on a panic, where a document is taken for JSON that is none or the other way round, or
//! where a value that is found is no JSON of its own.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tidegate::aggregate::document::{Bounds, Document, Refused, check, plain};

fuzz_target!(|text: &[u8]| {
    let bounds = Bounds { depth: 16, values: 1000 };
    let checked = check(text, bounds);
    let known = std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match checked {
        Ok(()) => assert!(known),
        Err(Refused::Malformed) => assert!(!known),
        Err(_) => return,
    }
    let document = Document::new(Bytes::copy_from_slice(text), bounds);
    assert_eq!(document.as_ref().err().copied(), checked.err());
    let Ok(document) = document else { return };
    for keys in [&[][..], &["a"], &["a", "b"], &["0"], &["a", "1", "b"]] {
        if let Ok(Some(found)) = document.find(keys) {
            assert_eq!(check(found, bounds), Ok(()));
            let _ = plain(found);
        }
    }
    for (name, value) in document.members().into_iter().flatten() {
        assert!(check(name, bounds).is_ok() && check(value, bounds).is_ok());
    }
});
