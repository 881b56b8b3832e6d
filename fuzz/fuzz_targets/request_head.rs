//! Heads of requests. Takes any bytes, the first of which says where they are cut in two; fails on a panic, where the
//! cut changes the reading, or where an accepted head, written anew, is read as another.
#![no_main]

use http1::{HeadError, HeadLimits, Name, RequestHead, RequestParser, encode_request, names};
use libfuzzer_sys::fuzz_target;

/// For what was written: a head may grow by what is written anew.
const ROOMY: HeadLimits = HeadLimits { start_line: 1 << 20, field: 1 << 20, head: 1 << 20, fields: 1 << 10 };

type Read = Result<Option<(RequestHead, usize)>, HeadError>;

fn read(limits: &HeadLimits, bytes: &[u8], ends: &[usize]) -> Read {
    let (mut parser, mut head) = (RequestParser::new(), RequestHead::default());
    for &end in ends {
        if let Some(length) = parser.parse(&bytes[..end], limits, &mut head)? {
            return Ok(Some((head, length)));
        }
    }
    Ok(None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let whole = read(&HeadLimits::default(), bytes, &[bytes.len()]);
    assert_eq!(read(&HeadLimits::default(), bytes, &[usize::from(cut).min(bytes.len()), bytes.len()]), whole);
    let Ok(Some((mut head, _))) = whole else { return };
    head.remove_hop_by_hop();
    // A gateway writes the path alone and sees to Host.
    if !head.target().starts_with(b"/") {
        head.set_target(b"/");
    }
    if !head.fields.contains(names::HOST) {
        head.fields.push(names::HOST, b"a");
    }
    let mut wire = Vec::new();
    encode_request(&mut wire, &head, head.keep_alive);
    let (again, length) =
        read(&ROOMY, &wire, &[wire.len()]).expect("what was written is accepted").expect("and whole");
    assert_eq!(length, wire.len());
    assert_eq!((again.method_text(), again.target()), (head.method_text(), head.target()));
    let host = Name::new(b"Host").expect("a name");
    assert_eq!(again.fields.get(host), head.fields.get(host));
});
