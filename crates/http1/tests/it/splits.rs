//! However the bytes of a message arrive, the codec says the same of it: heads and bodies, both roles, errors too.

use http1::{
    BodyDecoder, BodyLimits, Framing, HeadError, HeadLimits, Method, RequestHead, RequestParser,
    ResponseHead, ResponseParser,
};
use proptest::prelude::*;

use crate::messages::{self, offsets};
use crate::wire::{Body, Read, body};

/// Small enough that generated messages run into them.
const TIGHT: HeadLimits = HeadLimits { start_line: 30, field: 60, head: 160, fields: 5 };
const TIGHT_BODY: BodyLimits =
    BodyLimits { extensions: 5, trailer_fields: 2, trailer_bytes: 40, chunk_line: 6 };

fn request(bytes: &[u8], offsets: &[usize], limits: &HeadLimits) -> Read<RequestHead> {
    let (mut parser, mut head) = (RequestParser::new(), RequestHead::default());
    for &end in offsets {
        if let Some(length) = parser.parse(&bytes[..end], limits, &mut head)? {
            return Ok(Some((head, length)));
        }
    }
    Ok(None)
}

fn response(bytes: &[u8], offsets: &[usize], limits: &HeadLimits, method: Method) -> Read<ResponseHead> {
    let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::default());
    for &end in offsets {
        if let Some(length) = parser.parse(&bytes[..end], limits, method, &mut head)? {
            return Ok(Some((head, length)));
        }
    }
    Ok(None)
}

fn framed(bytes: &[u8], offsets: &[usize], framing: Framing, limits: BodyLimits) -> Body {
    let mut start = 0;
    let pieces: Vec<&[u8]> =
        offsets.iter().map(|&end| &bytes[std::mem::replace(&mut start, end)..end]).collect();
    body(BodyDecoder::with_limits(framing, limits), &pieces)
}

/// The given split, and one byte after the other.
fn splits(cuts: &[prop::sample::Index], length: usize) -> [Vec<usize>; 2] {
    [offsets(cuts, length), (0..=length).collect()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_request_head(bytes in messages::request(), cuts in messages::cuts(), tight: bool) {
        let limits = if tight { TIGHT } else { HeadLimits::default() };
        let whole = request(&bytes, &[bytes.len()], &limits);
        for split in splits(&cuts, bytes.len()) {
            prop_assert_eq!(&request(&bytes, &split, &limits), &whole);
        }
    }

    #[test]
    fn a_response_head(bytes in messages::response(), cuts in messages::cuts(), method in messages::method(), tight: bool) {
        let limits = if tight { TIGHT } else { HeadLimits::default() };
        let whole = response(&bytes, &[bytes.len()], &limits, method);
        for split in splits(&cuts, bytes.len()) {
            prop_assert_eq!(&response(&bytes, &split, &limits, method), &whole);
        }
    }

    #[test]
    fn a_body(
        bytes in messages::chunked_body(),
        cuts in messages::cuts(),
        tight: bool,
        framing in prop_oneof![
            4 => Just(Framing::Chunked),
            1 => Just(Framing::UntilClose),
            1 => Just(Framing::None),
            1 => (0_u64..100).prop_map(Framing::Length),
        ],
    ) {
        let limits = if tight { TIGHT_BODY } else { BodyLimits::default() };
        let whole = framed(&bytes, &[bytes.len()], framing, limits);
        for split in splits(&cuts, bytes.len()) {
            prop_assert_eq!(&framed(&bytes, &split, framing, limits), &whole);
        }
    }

    /// What was refused stays refused and what was read stays read, whatever comes after it.
    #[test]
    fn bytes_that_follow_change_nothing(bytes in messages::request(), more in prop::collection::vec(any::<u8>(), 1..60)) {
        let limits = HeadLimits::default();
        let alone = request(&bytes, &[bytes.len()], &limits);
        let longer = [&bytes[..], &more].concat();
        let followed = request(&longer, &[longer.len()], &limits);
        prop_assert!(alone == Ok(None) || alone == followed, "{alone:?} became {followed:?}");
    }
}

#[test]
fn every_two_pieces_of_an_ordinary_request_give_the_same() {
    let bytes = b"POST /a HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nContent-Length: 5\r\n\r\nhello";
    let limits = HeadLimits::default();
    let whole = request(bytes, &[bytes.len()], &limits);
    assert!(matches!(whole, Ok(Some(_))));
    for cut in 0..=bytes.len() {
        assert_eq!(request(bytes, &[cut, bytes.len()], &limits), whole);
    }
}

#[test]
fn two_limits_that_one_line_breaks_are_told_in_the_order_of_the_bytes() {
    let limits = HeadLimits { start_line: 30, field: 60, head: 100, fields: 5 };
    let bytes = format!("GET / HTTP/1.1\r\nX: {}\r\nY: {}\r\n\r\n", "x".repeat(40), "y".repeat(90));
    for step in 1..bytes.len() {
        let offsets: Vec<usize> = (0..bytes.len()).step_by(step).chain([bytes.len()]).collect();
        assert_eq!(request(bytes.as_bytes(), &offsets, &limits), Err(HeadError::HeadTooLong));
    }
}
