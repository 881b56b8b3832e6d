//! Bodies: any split gives the same, no byte behind the end is taken, and what is accepted a plain decoder on
//! httparse's chunk lines and trailers reads as the same body.
//!
//! The first byte says where the rest is cut, the second how the body is framed.
#![no_main]

use http1::{BodyDecoder, BodyError, Framing};
use libfuzzer_sys::fuzz_target;

/// Data, whether the body is done, and how many bytes it took.
type Read = (Vec<u8>, bool, usize);

/// Reads the pieces; the data before a fault comes with it.
fn read<'a>(framing: Framing, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Result<Read, BodyError>) {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut length) = (Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() && !decoder.is_done() {
            match decoder.decode(piece) {
                Ok(step) => {
                    assert!(step.data.end <= step.consumed && step.consumed <= piece.len());
                    assert!(step.consumed > 0);
                    data.extend_from_slice(&piece[step.data]);
                    piece = &piece[step.consumed..];
                    length += step.consumed;
                }
                Err(error) => return (data, Err(error)),
            }
        }
    }
    (data.clone(), Ok((data, decoder.is_done(), length)))
}

/// A complete chunked body the plain way: its data and its length.
fn oracle(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&bytes[at..]) else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(bytes.get(at..end)?);
        at = end + 2;
        (bytes.get(end..at)? == b"\r\n").then_some(())?;
    }
    let mut trailers = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(&bytes[at..], &mut trailers) {
        Ok(httparse::Status::Complete((length, _))) => Some((data, at + length)),
        _ => None,
    }
}

fuzz_target!(|input: &[u8]| {
    let [cut, kind, bytes @ ..] = input else { return };
    let (first, second) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    let framing = match kind {
        0 => Framing::None,
        1 => Framing::UntilClose,
        2..16 => Framing::Length(u64::from(*kind)),
        _ => Framing::Chunked,
    };
    let whole = read(framing, [bytes].into_iter());
    assert_eq!(read(framing, [first, second].into_iter()), whole);
    assert_eq!(read(framing, bytes.chunks(1)), whole);
    if let (Framing::Chunked, Ok((data, true, length))) = (framing, whole.1) {
        assert_eq!(oracle(bytes), Some((data, length)));
    }
});
