//! Request heads: any split gives the same, and what is accepted httparse reads as the same head.
//!
//! The first byte says where the rest is cut. httparse is more lenient, so only what the codec accepts is
//! compared; that the codec accepts nothing else is what the tables of its tests show.
#![no_main]

use http1::{HeadError, HeadLimits, RequestHead, RequestParser};
use libfuzzer_sys::fuzz_target;

/// Reads the bytes as they arrive up to each of the ends.
fn read(bytes: &[u8], ends: impl Iterator<Item = usize>) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let (mut parser, mut head, limits) =
        (RequestParser::new(), RequestHead::default(), HeadLimits::default());
    for end in ends {
        if let Some(length) = parser.parse(&bytes[..end], &limits, &mut head)? {
            return Ok(Some((head, length)));
        }
    }
    Ok(None)
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let cut = usize::from(*cut).min(bytes.len());
    let whole = read(bytes, [bytes.len()].into_iter());
    assert_eq!(read(bytes, [cut, bytes.len()].into_iter()), whole);
    assert_eq!(read(bytes, 0..=bytes.len()), whole);

    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    let oracle = request.parse(bytes);
    match whole {
        Ok(Some((head, length))) => {
            assert_eq!(oracle, Ok(httparse::Status::Complete(length)));
            assert_eq!(request.method.map(str::as_bytes), Some(head.method_text()));
            assert_eq!(request.path.map(str::as_bytes), Some(head.target()));
            let theirs = request.headers.iter().map(|header| (header.name.as_bytes(), header.value));
            assert!(theirs.eq(head.fields.iter().map(|field| (field.name, field.value))));
        }
        Ok(None) => assert!(!matches!(oracle, Ok(httparse::Status::Complete(_)))),
        Err(_) => {}
    }
});
