//! Heads as httparse reads them, which is what hyper and Pingora build on.

use http1::Method;

use super::{Difference, Said, Seen, lowered, messages as inputs, text};
use crate::corpus::{REQUESTS, RESPONSES};
use crate::{messages, wire};

/// Start line and fields in words, and the length of the head.
type Head = (String, Vec<String>, usize);

const ELSEWHERE: &str = "httparse reads lines; what framing and connection fields mean is left to its caller";
const LINE_END: &str =
    "httparse takes LF alone for a line end; a peer that does not would see another message";
const EARLY_CR: &str =
    "httparse refuses a stray CR as it comes; the codec looks at a line when it is whole, and refuses then";

const REQUEST_DIFFERENCES: &[Difference] = &[
    (
        "ambiguous_name",
        "goes on",
        "Transfer_Encoding is a token, but CGI-like origins take it for the real one",
    ),
    ("bad_connection", "goes on", ELSEWHERE),
    ("bad_content_length", "goes on", ELSEWHERE),
    ("bad_expect", "goes on", ELSEWHERE),
    ("bad_host", "goes on", ELSEWHERE),
    ("bad_method", "goes on", "httparse skips any number of empty lines; RFC 9112 section 2.2 asks for one"),
    (
        "bad_target",
        "goes on",
        "httparse takes any visible text for a target; the four forms of section 3.2 are checked here",
    ),
    ("bad_transfer_encoding", "goes on", ELSEWHERE),
    ("bare_lf", "goes on", LINE_END),
    ("connection_names_framing", "goes on", ELSEWHERE),
    ("duplicate_content_length", "goes on", ELSEWHERE),
    ("duplicate_host", "goes on", ELSEWHERE),
    ("duplicate_transfer_encoding", "goes on", ELSEWHERE),
    ("host_mismatch", "goes on", ELSEWHERE),
    ("length_and_transfer_encoding", "goes on", ELSEWHERE),
    ("missing_host", "goes on", ELSEWHERE),
    ("transfer_encoding_in_http10", "goes on", ELSEWHERE),
    ("unsupported_transfer_coding", "goes on", ELSEWHERE),
    ("waits", "refuses", EARLY_CR),
];

const RESPONSE_DIFFERENCES: &[Difference] = &[
    ("ambiguous_name", "goes on", "an origin behind such a name may frame its body by it"),
    ("bad_connection", "goes on", ELSEWHERE),
    ("bad_content_length", "goes on", ELSEWHERE),
    ("bad_status", "goes on", "httparse takes any three digits; RFC 9110 section 15 has 100 to 599"),
    ("bad_transfer_encoding", "goes on", ELSEWHERE),
    (
        "bad_version",
        "goes on",
        "httparse skips empty lines before a status line; no RFC lets an origin send them",
    ),
    ("bare_lf", "goes on", LINE_END),
    ("connection_names_framing", "goes on", ELSEWHERE),
    ("duplicate_content_length", "goes on", ELSEWHERE),
    ("duplicate_transfer_encoding", "goes on", ELSEWHERE),
    ("length_and_transfer_encoding", "goes on", ELSEWHERE),
    (
        "reads",
        "reads something else",
        "httparse drops a reason phrase with obs-text; RFC 9112 section 4 allows it",
    ),
    ("transfer_encoding_in_http10", "goes on", ELSEWHERE),
    ("unsupported_transfer_coding", "goes on", ELSEWHERE),
    ("waits", "refuses", EARLY_CR),
];

fn ours<H>(read: wire::Read<H>, words: impl Fn(&H) -> (String, &http1::Fields)) -> Said<Head> {
    match read {
        Ok(Some((head, length))) => {
            let (start, fields) = words(&head);
            Said::Read((start, lowered(fields.iter().map(|field| (field.name, field.value))), length))
        }
        Ok(None) => Said::Waits,
        Err(error) => Said::Refuses(error.code().to_owned()),
    }
}

fn theirs(
    result: httparse::Result<usize>,
    start: impl Fn() -> String,
    headers: &[httparse::Header<'_>],
) -> Said<Head> {
    match result {
        Ok(httparse::Status::Complete(length)) => {
            let fields = headers.iter().map(|header| (header.name.as_bytes(), header.value));
            Said::Read((start(), lowered(fields), length))
        }
        Ok(httparse::Status::Partial) => Said::Waits,
        Err(error) => Said::Refuses(error.to_string()),
    }
}

#[test]
fn request_heads() {
    let mut seen = Seen::default();
    for bytes in inputs(REQUESTS, messages::request(), 3000) {
        let ours = ours(wire::request(&bytes), |head| {
            (format!("{} {} {:?}", text(head.method_text()), text(head.target()), head.version), &head.fields)
        });
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut headers);
        let result = request.parse(&bytes);
        let start = || {
            let target = text(request.path.unwrap().as_bytes());
            format!("{} {target} Http1{}", request.method.unwrap(), request.version.unwrap())
        };
        seen.note(&bytes, &ours, &theirs(result, start, request.headers));
    }
    seen.are(REQUEST_DIFFERENCES);
}

#[test]
fn response_heads() {
    let mut seen = Seen::default();
    for bytes in inputs(RESPONSES, messages::response(), 3000) {
        let ours = ours(wire::response(&bytes, Method::Get), |head| {
            (format!("{:?} {} {}", head.version, head.status, text(head.reason())), &head.fields)
        });
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        let result = response.parse(&bytes);
        let start = || {
            let reason = text(response.reason.unwrap().as_bytes());
            format!("Http1{} {} {reason}", response.version.unwrap(), response.code.unwrap())
        };
        seen.note(&bytes, &ours, &theirs(result, start, response.headers));
    }
    seen.are(RESPONSE_DIFFERENCES);
}
