//! Heads of responses. Takes any bytes, the first of which says where they are cut in two, the second to which method
//! they answer; fails on a panic, where the cut changes the reading, or where an accepted head, written anew, frames
//! its body in another way.
#![no_main]

use http1::{HeadError, HeadLimits, Method, ResponseHead, ResponseParser, Version, encode_response};
use libfuzzer_sys::fuzz_target;

const METHODS: [Method; 3] = [Method::Get, Method::Head, Method::Post];

/// For what was written: a head may grow by what is written anew.
const ROOMY: HeadLimits = HeadLimits { start_line: 1 << 20, field: 1 << 20, head: 1 << 20, fields: 1 << 10 };

type Read = Result<Option<(ResponseHead, usize)>, HeadError>;

fn read(limits: &HeadLimits, bytes: &[u8], ends: &[usize], method: Method) -> Read {
    let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::default());
    for &end in ends {
        if let Some(length) = parser.parse(&bytes[..end], limits, method, &mut head)? {
            return Ok(Some((head, length)));
        }
    }
    Ok(None)
}

fuzz_target!(|input: &[u8]| {
    let [cut, method, bytes @ ..] = input else { return };
    let method = METHODS[usize::from(*method) % METHODS.len()];
    let whole = read(&HeadLimits::default(), bytes, &[bytes.len()], method);
    assert_eq!(
        read(&HeadLimits::default(), bytes, &[usize::from(*cut).min(bytes.len()), bytes.len()], method),
        whole
    );
    let Ok(Some((mut head, _))) = whole else { return };
    head.remove_hop_by_hop();
    let mut wire = Vec::new();
    encode_response(&mut wire, &head, Version::Http11, head.keep_alive);
    let again = read(&ROOMY, &wire, &[wire.len()], method).expect("what was written is accepted");
    let (again, length) = again.expect("and whole");
    assert_eq!(length, wire.len());
    assert_eq!((again.status, again.framing), (head.status, head.framing));
});
