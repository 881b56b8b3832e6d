//! Response heads: any split gives the same, and what is accepted httparse reads as the same head.
//!
//! The first byte says where the rest is cut, the second which method the response answers.
#![no_main]

use http1::{HeadError, HeadLimits, Method, ResponseHead, ResponseParser};
use libfuzzer_sys::fuzz_target;

/// Reads the bytes as they arrive up to each of the ends.
fn read(
    bytes: &[u8],
    method: Method,
    ends: impl Iterator<Item = usize>,
) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    let (mut parser, mut head, limits) =
        (ResponseParser::new(), ResponseHead::default(), HeadLimits::default());
    for end in ends {
        if let Some(length) = parser.parse(&bytes[..end], &limits, method, &mut head)? {
            return Ok(Some((head, length)));
        }
    }
    Ok(None)
}

fuzz_target!(|input: &[u8]| {
    let [cut, method, bytes @ ..] = input else { return };
    let cut = usize::from(*cut).min(bytes.len());
    let method = if method % 4 == 0 { Method::Head } else { Method::Get };
    let whole = read(bytes, method, [bytes.len()].into_iter());
    assert_eq!(read(bytes, method, [cut, bytes.len()].into_iter()), whole);
    assert_eq!(read(bytes, method, 0..=bytes.len()), whole);

    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut headers);
    let oracle = response.parse(bytes);
    match whole {
        Ok(Some((head, length))) => {
            assert_eq!(oracle, Ok(httparse::Status::Complete(length)));
            assert_eq!(response.code, Some(head.status));
            // httparse gives no reason phrase if it has obs-text.
            if head.reason().is_ascii() {
                assert_eq!(response.reason.map(str::as_bytes), Some(head.reason()));
            }
            let theirs = response.headers.iter().map(|header| (header.name.as_bytes(), header.value));
            assert!(theirs.eq(head.fields.iter().map(|field| (field.name, field.value))));
        }
        Ok(None) => assert!(!matches!(oracle, Ok(httparse::Status::Complete(_)))),
        Err(_) => {}
    }
});
