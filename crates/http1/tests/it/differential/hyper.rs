//! Whole exchanges as hyper reads them: a hyper server and a hyper client on an in-memory connection.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use http1::{
    BodyDecoder, Framing, HeadLimits, Method, RequestHead, RequestParser, ResponseHead, ResponseParser,
};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Difference, Said, Seen, lowered, messages as inputs, text};
use crate::corpus::{BODIES, REQUESTS, RESPONSES};
use crate::messages;

/// Start line in words, fields, body.
type Message = (String, Vec<String>, String);

const LINE_END: &str = "hyper takes LF alone for a line end; a peer that does not would see another message";
const EARLY_CR: &str =
    "hyper refuses a stray CR as it comes; the codec looks at a line when it is whole, and refuses then";
const CALLER: &str =
    "hyper leaves the meaning of this field to its caller; at the edge two readings are refused";

const REQUEST_DIFFERENCES: &[Difference] = &[
    (
        "ambiguous_name",
        "goes on",
        "Transfer_Encoding is a token, but CGI-like origins take it for the real one",
    ),
    ("bad_connection", "goes on", CALLER),
    ("bad_content_length", "goes on", "hyper takes leading zeros, which some origins read as octal"),
    (
        "bad_expect",
        "goes on",
        "hyper passes unknown expectations on; RFC 9110 section 10.1.1 has 417 for them",
    ),
    ("bad_host", "goes on", CALLER),
    ("bad_method", "goes on", "hyper skips any number of empty lines; RFC 9112 section 2.2 asks for one"),
    (
        "bad_target",
        "goes on",
        "hyper cuts off a fragment and takes forms that section 3.2 does not give the method",
    ),
    (
        "bad_transfer_encoding",
        "goes on",
        "hyper looks at the last coding alone: chunked, chunked is read as one",
    ),
    ("bare_lf", "goes on", LINE_END),
    ("connection_names_framing", "goes on", CALLER),
    (
        "duplicate_content_length",
        "goes on",
        "hyper merges equal ones as the RFC allows; two of them are never sent in good faith",
    ),
    ("duplicate_host", "goes on", CALLER),
    (
        "duplicate_transfer_encoding",
        "goes on",
        "hyper reads two lines as one list; it may not be one for the next party",
    ),
    ("host_mismatch", "goes on", CALLER),
    (
        "length_and_transfer_encoding",
        "goes on",
        "hyper drops the length as the RFC allows; the next party may drop the other",
    ),
    ("missing_host", "goes on", CALLER),
    (
        "reads",
        "refuses",
        "hyper's URI type refuses marks such as < and ^ that browsers send; they stay data here",
    ),
    ("waits", "refuses", EARLY_CR),
];

const BODY_DIFFERENCES: &[Difference] = &[
    (
        "bad_chunk_extension",
        "goes on",
        "hyper skips extensions up to CR unread; the grammar of section 7.1.1 is checked here",
    ),
    ("bad_chunk_size", "goes on", "hyper takes white space after a size; section 7.1 has none there"),
    (
        "bad_trailer",
        "goes on",
        "hyper reads trailers when all are there; the codec refuses the first bad line",
    ),
    ("body_bare_lf", "goes on", LINE_END),
    (
        "chunk_size_too_long",
        "goes on",
        "hyper takes any number of leading zeros; no sender needs more than 16 digits",
    ),
    ("waits", "refuses", EARLY_CR),
];

const RESPONSE_DIFFERENCES: &[Difference] = &[
    ("ambiguous_name", "goes on", "an origin behind such a name may frame its body by it"),
    ("bad_connection", "goes on", CALLER),
    ("bad_content_length", "goes on", "hyper merges equal lengths in a list and takes leading zeros"),
    ("bad_status", "goes on", "hyper takes any three digits; RFC 9110 section 15 has 100 to 599"),
    (
        "bad_transfer_encoding",
        "goes on",
        "hyper looks at the last coding alone: chunked, chunked is read as one",
    ),
    (
        "bad_version",
        "goes on",
        "hyper skips empty lines before a status line; no RFC lets an origin send them",
    ),
    ("bare_lf", "goes on", LINE_END),
    ("connection_names_framing", "goes on", CALLER),
    (
        "duplicate_content_length",
        "goes on",
        "hyper merges equal ones as the RFC allows; the body may still be another's",
    ),
    (
        "duplicate_transfer_encoding",
        "goes on",
        "hyper reads two lines as one list; it may not be one for the next party",
    ),
    (
        "length_and_transfer_encoding",
        "goes on",
        "hyper drops the length as the RFC allows; the next party may drop the other",
    ),
    (
        "unsupported_transfer_coding",
        "goes on",
        "hyper reads to the close; a client could not be told the coding",
    ),
    ("waits", "refuses", EARLY_CR),
];

/// The target, where both keep it as it came: hyper writes the other forms anew.
fn start_line(method: &str, target: &str) -> String {
    let target = if target.starts_with('/') { target } else { "(another form)" };
    format!("{method} {target}")
}

fn lines(fields: &http1::Fields) -> Vec<String> {
    lowered(fields.iter().map(|field| (field.name, field.value)))
}

fn header_lines(headers: &hyper::HeaderMap) -> Vec<String> {
    let mut lines = lowered(headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    lines.sort();
    lines
}

/// A body that follows its head; `None` if it is not complete.
fn body(framing: Framing, bytes: &[u8], closed: bool) -> Result<Option<(Vec<u8>, usize)>, http1::BodyError> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut at) = (Vec::new(), 0);
    while at < bytes.len() && !decoder.is_done() {
        let step = decoder.decode(&bytes[at..])?;
        data.extend_from_slice(&bytes[at..][step.data]);
        at += step.consumed;
    }
    let done = decoder.is_done() || (closed && framing == Framing::UntilClose && decoder.on_eof().is_ok());
    Ok(done.then_some((data, at)))
}

/// The requests the codec finds on a connection, and at last what stops it.
fn our_requests(bytes: &[u8]) -> Vec<Said<Message>> {
    let (mut parser, mut head) = (RequestParser::new(), RequestHead::default());
    let (mut said, mut at) = (Vec::new(), 0);
    loop {
        match parser.parse(&bytes[at..], &HeadLimits::default(), &mut head) {
            Ok(Some(length)) => at += length,
            Ok(None) => said.push(Said::Waits),
            Err(error) => said.push(Said::Refuses(error.code().to_owned())),
        }
        if matches!(said.last(), Some(Said::Waits | Said::Refuses(_))) {
            return said;
        }
        match body(head.framing, &bytes[at..], false) {
            Ok(Some((data, length))) => {
                let mut fields = lines(&head.fields);
                fields.sort();
                let start = start_line(
                    str::from_utf8(head.method_text()).unwrap(),
                    str::from_utf8(head.target()).unwrap(),
                );
                said.push(Said::Read((start, fields, text(&data))));
                at += length;
                if !head.keep_alive {
                    said.push(Said::Waits);
                    return said;
                }
            }
            Ok(None) => {
                said.push(Said::Waits);
                return said;
            }
            Err(error) => {
                said.push(Said::Refuses(error.code().to_owned()));
                return said;
            }
        }
    }
}

/// Whether hyper only missed the rest of a message or refused it.
fn stopped(error: &hyper::Error) -> Said<Message> {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let cut_short = cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::UnexpectedEof);
    if error.is_incomplete_message() || cut_short {
        return Said::Waits;
    }
    Said::Refuses(format!("{error}: {:?}", error.source()))
}

/// The requests a hyper server finds on a connection, and at last what stops it.
async fn their_requests(bytes: &[u8]) -> Vec<Said<Message>> {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    let said = Rc::new(RefCell::new(Vec::new()));
    let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
        let said = said.clone();
        async move {
            let (head, body) = request.into_parts();
            let read = match body.collect().await {
                Ok(body) => {
                    let start = start_line(head.method.as_str(), &head.uri.to_string());
                    Said::Read((start, header_lines(&head.headers), text(&body.to_bytes())))
                }
                Err(error) => stopped(&error),
            };
            said.borrow_mut().push(read);
            // Nothing is upgraded and no CONNECT is opened by a 404.
            let mut response = hyper::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = hyper::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        }
    });
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let mut server = hyper::server::conn::http1::Builder::new();
    let end = server.half_close(true).serve_connection(TokioIo::new(far), service).await;
    let mut said = said.take();
    said.push(match end {
        Err(error) => stopped(&error),
        Ok(()) => Said::Waits,
    });
    said
}

/// Compares message by message up to the first that differs.
fn compare(seen: &mut Seen, bytes: &[u8], ours: &[Said<Message>], theirs: &[Said<Message>]) {
    for (one, other) in ours.iter().zip(theirs) {
        if super::difference(one, other).is_some() {
            return seen.note(bytes, one, other);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn requests() {
    let mut seen = Seen::default();
    let runtime = runtime();
    for bytes in inputs(REQUESTS, messages::request(), 2000) {
        let theirs = runtime.block_on(their_requests(&bytes));
        compare(&mut seen, &bytes, &our_requests(&bytes), &theirs);
    }
    seen.are(REQUEST_DIFFERENCES);
}

#[test]
fn chunked_bodies() {
    let mut seen = Seen::default();
    let runtime = runtime();
    for chunks in inputs(BODIES, messages::chunked_body(), 2000) {
        let bytes =
            [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &chunks[..]].concat();
        let theirs = runtime.block_on(their_requests(&bytes));
        compare(&mut seen, &bytes, &our_requests(&bytes), &theirs);
    }
    seen.are(BODY_DIFFERENCES);
}

/// The final response the codec finds on a connection that closes.
fn our_response(bytes: &[u8]) -> Said<Message> {
    let (mut parser, mut head) = (ResponseParser::new(), ResponseHead::default());
    let mut at = 0;
    loop {
        match parser.parse(&bytes[at..], &HeadLimits::default(), Method::Get, &mut head) {
            Ok(Some(length)) => at += length,
            Ok(None) => return Said::Waits,
            Err(error) => return Said::Refuses(error.code().to_owned()),
        }
        if !head.is_interim() {
            break;
        }
    }
    match body(head.framing, &bytes[at..], true) {
        Ok(Some((data, _))) => {
            let mut fields = lines(&head.fields);
            fields.sort();
            Said::Read((head.status.to_string(), fields, text(&data)))
        }
        Ok(None) => Said::Waits,
        Err(error) => Said::Refuses(error.code().to_owned()),
    }
}

/// The final response a hyper client finds on a connection that closes.
async fn their_response(bytes: &[u8]) -> Said<Message> {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(near)).await.unwrap();
    let origin = async {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && far.read_buf(&mut request).await.unwrap() > 0 {}
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let exchange = async {
        let request = hyper::Request::get("/").header("host", "a").body(Empty::new()).unwrap();
        let (head, body) = sender.send_request(request).await?.into_parts();
        let data = text(&body.collect().await?.to_bytes());
        Ok::<_, hyper::Error>((head.status.as_u16().to_string(), header_lines(&head.headers), data))
    };
    let (read, _, ()) = tokio::join!(exchange, connection, origin);
    match read {
        Ok(message) => Said::Read(message),
        Err(error) => stopped(&error),
    }
}

#[test]
fn responses() {
    let mut seen = Seen::default();
    let runtime = runtime();
    for bytes in inputs(RESPONSES, messages::response(), 2000) {
        let theirs = runtime.block_on(their_response(&bytes));
        seen.note(&bytes, &our_response(&bytes), &theirs);
    }
    seen.are(RESPONSE_DIFFERENCES);
}
