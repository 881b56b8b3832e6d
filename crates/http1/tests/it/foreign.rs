//! Heads taken over from HTTP/2: the same rules, the same words for what breaks them.

use http1::{
    BodyLimits, Fields, Framing, HeadError, HeadLimits, Method, Pseudo, RequestHead, Version, names,
};

const GET: Pseudo<'static> =
    Pseudo { method: b"GET", target: b"/a?b", authority: Some(b"a.example"), ended: true };

fn take(pseudo: Pseudo<'_>, fields: &[(&str, &str)]) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::default();
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    head.take_over(pseudo, fields, &HeadLimits::default()).map(|()| head)
}

#[test]
fn a_request_is_what_the_parser_would_have_made_of_it() {
    let head = take(GET, &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("host", "A.example")]).unwrap();
    assert_eq!((head.method, head.target(), head.framing), (Method::Get, &b"/a?b"[..], Framing::None));
    assert_eq!(head.fields.get(names::HOST), Some(&b"a.example"[..]));
    assert_eq!(head.fields.get(names::COOKIE), Some(&b"a=1; b=2"[..]));
    assert_eq!((head.fields.len(), head.version), (3, Version::Http2));
    let open = Pseudo { method: b"POST", ended: false, ..GET };
    assert_eq!(take(open, &[]).unwrap().framing, Framing::Chunked);
    assert_eq!(take(open, &[("content-length", "7")]).unwrap().framing, Framing::Length(7));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    use HeadError::*;
    let many: Vec<(&str, &str)> = (0..101).map(|_| ("cookie", "")).collect();
    for (pseudo, fields, error) in [
        (GET, &[("x", "a\r\nb: c")][..], BadValue),
        (GET, &[("x", "a\0b")], BadValue),
        (GET, &[("x", " a")], BadValue),
        (GET, &[("X", "a")], BadName),
        (GET, &[("x y", "a")], BadName),
        (GET, &[("x:", "a")], BadName),
        (GET, &[("", "a")], BadName),
        (GET, &[("connection", "x")], BadConnection),
        (GET, &[("upgrade", "h2c")], BadConnection),
        (GET, &[("te", "gzip")], BadConnection),
        (GET, &[("transfer-encoding", "chunked")], BadTransferEncoding),
        (GET, &[("transfer_encoding", "chunked")], AmbiguousName),
        (GET, &[("host", "b.example")], HostMismatch),
        (GET, &[("host", "a.example"), ("host", "a.example")], DuplicateHost),
        (GET, &[("content-length", "1")], BadContentLength),
        (GET, &[("content-length", "0"), ("content-length", "0")], DuplicateContentLength),
        (GET, &[("expect", "x")], BadExpect),
        (GET, &many, TooManyFields),
        (Pseudo { method: b"GET /", ..GET }, &[], BadMethod),
        (Pseudo { target: b"", ..GET }, &[], BadTarget),
        (Pseudo { target: b"foo", ..GET }, &[], BadTarget),
        (Pseudo { target: b"/a b", ..GET }, &[], BadTarget),
        (Pseudo { target: b"/x#y", ..GET }, &[], BadTarget),
        (Pseudo { target: b"/ HTTP/1.1\r\nX: y", ..GET }, &[], BadTarget),
        (Pseudo { authority: Some(b"u@a"), ..GET }, &[], BadHost),
        (Pseudo { authority: Some(b"a,b"), ..GET }, &[], BadHost),
        (Pseudo { authority: Some(b"a\r\nb"), ..GET }, &[], BadHost),
        (Pseudo { authority: None, ..GET }, &[], MissingHost),
        (Pseudo { method: b"CONNECT", target: b"a", authority: None, ..GET }, &[], BadTarget),
    ] {
        assert_eq!(take(pseudo, fields).map(|_| ()), Err(error), "{pseudo:?} {fields:?}");
    }
    let long = "x".repeat(17 * 1024);
    assert_eq!(take(GET, &[("x", &long)]).map(|_| ()), Err(FieldTooLong));
    let half = "x".repeat(12 * 1024);
    assert_eq!(take(GET, &[("x", &half), ("y", &half), ("z", &half)]).map(|_| ()), Err(HeadTooLong));
    let long = vec![b'/'; 9 * 1024];
    assert_eq!(take(Pseudo { target: &long, ..GET }, &[]).map(|_| ()), Err(StartLineTooLong));
}

#[test]
fn trailers_that_are_none_are_passed_over() {
    let take = |fields: &[(&str, &str)]| {
        let mut trailers = Fields::new();
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        trailers.take_trailers(fields, &BodyLimits::default()).map(|()| trailers.len())
    };
    assert_eq!(take(&[("grpc-status", "0"), ("content-length", "9"), ("host", "a")]), Ok(1));
    assert!(take(&vec![("x", "y"); 33]).is_err());
    assert!(take(&[("x", "a\r\nb")]).is_err());
}
