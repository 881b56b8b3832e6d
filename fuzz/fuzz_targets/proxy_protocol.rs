//! PROXY protocol headers: any cut gives the same, nothing is claimed that is not there, and what is read can be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::http::proxy_protocol::{MOST, Seen, Version, header, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    for cut in 0..bytes.len().min(MOST) {
        match parse(&bytes[..cut]) {
            Ok(Seen::Partial(needed)) => assert!(needed > cut && needed <= MOST),
            // What is decided early stays decided.
            decided => assert_eq!(decided, whole),
        }
    }
    if let Ok(Seen::Header(length, told)) = whole {
        assert!(length <= bytes.len() && length <= MOST);
        assert_eq!(parse(&bytes[..length]), whole);
        if let Some((from, to)) = told.ends {
            for version in [Version::V1, Version::V2] {
                let written = header(version, from, to);
                let Ok(Seen::Header(length, again)) = parse(&written) else { panic!("{written:?}") };
                let (a, b) = again.ends.expect("two ends were written");
                assert_eq!(length, written.len());
                assert_eq!((a.ip().to_canonical(), a.port()), (from.ip().to_canonical(), from.port()));
                assert_eq!((b.ip().to_canonical(), b.port()), (to.ip().to_canonical(), to.port()));
            }
        }
    }
});
