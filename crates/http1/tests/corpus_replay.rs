//! Replays the corpus of attacks: each message gets its verdict, however its bytes arrive.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    missing_docs
)]

mod corpus;

use corpus::{BODIES, REQUESTS, RESPONSES, Row, rows};
use http1::{
    BodyDecoder, Framing, HeadLimits, Method, RequestHead, RequestParser, ResponseHead, ResponseParser,
};

/// The verdict on bytes that come in two pieces.
type Verdict = fn(&[u8], usize) -> &'static str;

fn head(result: Result<Option<usize>, http1::HeadError>) -> Option<&'static str> {
    match result {
        Ok(Some(_)) => Some("ok"),
        Ok(None) => None,
        Err(error) => Some(error.code()),
    }
}

fn request(bytes: &[u8], cut: usize) -> &'static str {
    let (mut parser, mut into, limits) =
        (RequestParser::new(), RequestHead::default(), HeadLimits::default());
    let mut read = |end: usize| head(parser.parse(&bytes[..end], &limits, &mut into));
    read(cut).or_else(|| read(bytes.len())).unwrap_or("more")
}

fn response(bytes: &[u8], cut: usize) -> &'static str {
    let (mut parser, mut into, limits) =
        (ResponseParser::new(), ResponseHead::default(), HeadLimits::default());
    let mut read = |end: usize| head(parser.parse(&bytes[..end], &limits, Method::Get, &mut into));
    read(cut).or_else(|| read(bytes.len())).unwrap_or("more")
}

fn body(bytes: &[u8], cut: usize) -> &'static str {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    for mut piece in [&bytes[..cut], &bytes[cut..]] {
        while !piece.is_empty() && !decoder.is_done() {
            match decoder.decode(piece) {
                Ok(step) => piece = &piece[step.consumed..],
                Err(error) => return error.code(),
            }
        }
    }
    if decoder.is_done() { "ok" } else { "more" }
}

fn replay(file: &'static str, verdict: Verdict) {
    for Row { verdict: expected, text, bytes } in rows(file) {
        for cut in 0..=bytes.len() {
            assert_eq!(verdict(&bytes, cut), expected, "{text} cut at {cut}");
        }
    }
}

#[test]
fn requests() {
    replay(REQUESTS, request);
}

#[test]
fn responses() {
    replay(RESPONSES, response);
}

#[test]
fn bodies() {
    replay(BODIES, body);
}
