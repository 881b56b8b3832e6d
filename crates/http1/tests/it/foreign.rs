//! Heads taken over from HTTP/2: the same rules, the same words for what breaks them.

use http1::{
    BodyLimits, Fields, Framing, HeadError, HeadLimits, Method, Pseudo, RequestHead, ResponseHead, Version,
    names,
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

fn answer(
    status: u16,
    ended: bool,
    method: Method,
    fields: &[(&str, &str)],
) -> Result<(Framing, Option<u64>), HeadError> {
    let mut head = ResponseHead::default();
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    head.take_over(status, ended, method, fields, &HeadLimits::default())?;
    assert_eq!((head.status, head.version, head.keep_alive), (status, Version::Http2, true));
    Ok((head.framing, head.declared_length))
}

#[test]
fn an_answer_says_where_its_body_ends() {
    let five = &[("content-length", "5")][..];
    for (status, ended, method, fields, framing, declared) in [
        (200, false, Method::Get, five, Framing::Length(5), None),
        (200, false, Method::Get, &[], Framing::Chunked, None),
        (200, true, Method::Get, &[], Framing::None, None),
        (200, true, Method::Get, &[("content-length", "0")], Framing::Length(0), None),
        (200, true, Method::Head, five, Framing::None, Some(5)),
        (304, true, Method::Get, five, Framing::None, Some(5)),
        (204, true, Method::Get, &[], Framing::None, None),
        (103, false, Method::Get, &[("link", "</a>")], Framing::None, None),
    ] {
        let found = answer(status, ended, method, fields);
        assert_eq!(found, Ok((framing, declared)), "{status} {ended} {method:?} {fields:?}");
    }
}

#[test]
fn an_answer_that_could_be_read_in_two_ways_is_refused() {
    use HeadError::*;
    for (status, ended, fields, error) in [
        (101, false, &[][..], BadStatus),
        (600, false, &[], BadStatus),
        (200, true, &[("content-length", "5")], BadContentLength),
        (200, false, &[("content-length", "5"), ("content-length", "5")], DuplicateContentLength),
        (200, false, &[("content-length", "+5")], BadContentLength),
        (200, false, &[("transfer-encoding", "chunked")], BadTransferEncoding),
        (200, false, &[("content_length", "5")], AmbiguousName),
        (200, false, &[("connection", "x")], BadConnection),
        (200, false, &[("keep-alive", "timeout=5")], BadConnection),
        (200, false, &[("X", "a")], BadName),
        (200, false, &[("x", "a\nb: c")], BadValue),
    ] {
        assert_eq!(answer(status, ended, Method::Get, fields), Err(error), "{status} {fields:?}");
    }
}
