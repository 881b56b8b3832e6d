//! One-line readers: bytes in, what the codec makes of them out.

use http1::{
    BodyDecoder, BodyError, Framing, HeadError, HeadLimits, Method, RequestHead, RequestParser, ResponseHead,
    ResponseParser,
};

/// What a parser said of some bytes: the head and its length, `None` if it wants more.
pub(crate) type Read<H> = Result<Option<(H, usize)>, HeadError>;

pub(crate) fn request(input: &[u8]) -> Read<RequestHead> {
    let mut head = RequestHead::default();
    let length = RequestParser::new().parse(input, &HeadLimits::default(), &mut head)?;
    Ok(length.map(|length| (head, length)))
}

pub(crate) fn response(input: &[u8], method: Method) -> Read<ResponseHead> {
    let mut head = ResponseHead::default();
    let length = ResponseParser::new().parse(input, &HeadLimits::default(), method, &mut head)?;
    Ok(length.map(|length| (head, length)))
}

/// The head of a request that must be accepted as a whole.
pub(crate) fn accepted(input: &str) -> RequestHead {
    match request(input.as_bytes()) {
        Ok(Some((head, length))) if length == input.len() => head,
        other => panic!("{input:?} gave {other:?}"),
    }
}

/// The rule a request breaks.
pub(crate) fn refused(input: &[u8]) -> HeadError {
    match request(input) {
        Err(error) => error,
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(input)),
    }
}

/// How a body was read: its bytes, how many bytes it took, whether it is done, and the error if there was one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Body {
    pub(crate) data: Vec<u8>,
    pub(crate) length: usize,
    pub(crate) done: bool,
    pub(crate) error: Option<BodyError>,
    pub(crate) trailers: http1::Fields,
}

/// Reads a body that arrives in the given pieces.
pub(crate) fn body(mut decoder: BodyDecoder, pieces: &[&[u8]]) -> Body {
    let mut data = Vec::new();
    let mut length = 0;
    let mut error = None;
    let mut waiting = Vec::new();
    'pieces: for piece in pieces {
        waiting.extend_from_slice(piece);
        loop {
            match decoder.decode(&waiting) {
                Ok(step) => {
                    assert!(step.data.end <= step.consumed && step.consumed <= waiting.len());
                    data.extend_from_slice(&waiting[step.data]);
                    waiting.drain(..step.consumed);
                    length += step.consumed;
                    if step.consumed == 0 || decoder.is_done() {
                        break;
                    }
                }
                Err(fault) => {
                    error = Some(fault);
                    break 'pieces;
                }
            }
        }
    }
    // Where a fault was seen depends on how far marks were read, so only a length without a fault tells.
    let length = if error.is_some() { 0 } else { length };
    Body { data, length, done: decoder.is_done(), error, trailers: decoder.trailers().clone() }
}

/// Reads a chunked body that is there at once.
pub(crate) fn chunked(input: &[u8]) -> Body {
    body(BodyDecoder::new(Framing::Chunked), &[input])
}

/// A request of these field lines, after `Host`.
pub(crate) fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

/// Each request is refused by its rule.
pub(crate) fn all_refused(rows: &[(&str, HeadError)]) {
    for (bytes, error) in rows {
        assert_eq!(refused(bytes.as_bytes()), *error, "{bytes:?}");
    }
}

/// Each request of these field lines is refused by its rule.
pub(crate) fn all_refused_with(rows: &[(&str, HeadError)]) {
    for (lines, error) in rows {
        assert_eq!(refused(with(lines).as_bytes()), *error, "{lines:?}");
    }
}
