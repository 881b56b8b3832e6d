//! Chunked bodies. Takes any bytes, the first of which says how long the pieces are in which they arrive; fails on a
//! panic, or where the pieces change the data, the end or the fault.
#![no_main]

use http1::{BodyDecoder, BodyError, Framing};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, bool, Option<BodyError>) {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut data, mut waiting) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        waiting.extend_from_slice(piece);
        while !decoder.is_done() {
            match decoder.decode(&waiting) {
                Ok(step) => {
                    assert!(step.data.end <= step.consumed && step.consumed <= waiting.len());
                    data.extend_from_slice(&waiting[step.data]);
                    waiting.drain(..step.consumed);
                    if step.consumed == 0 {
                        break;
                    }
                }
                Err(fault) => return (data, false, Some(fault)),
            }
        }
    }
    (data, decoder.is_done(), None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let (whole, pieces) = (read(bytes, bytes.len().max(1)), read(bytes, usize::from(piece).max(1)));
    assert_eq!((&whole.1, &whole.2), (&pieces.1, &pieces.2));
    // Up to a fault, more or less data may have been given out, but never other data.
    let common = whole.0.len().min(pieces.0.len());
    assert_eq!(whole.0[..common], pieces.0[..common]);
    assert!(whole.2.is_some() || whole.0.len() == pieces.0.len());
});
