//! What an origin answers: well-formed, broken, slow, or not at all.
//!
//! Takes the wish of a test in one expression, gives bytes. A well-formed reply carries `X-Req-Seq`, the
//! number of the request it answers, so that a reply given to another request is found out.

use std::sync::mpsc::Receiver;

use serde_json::json;

use super::conversation::{After, Conversation};
use super::request::Recorded;
use crate::event::Gate;
use crate::wire::Headers;

/// A way to answer one request.
pub struct Reply {
    gate: Option<Gate>,
    interim: Vec<(u16, Headers)>,
    kind: Kind,
    after: After,
}

enum Kind {
    Whole { status: u16, headers: Headers, body: Vec<u8> },
    Chunked { headers: Headers, parts: Vec<Vec<u8>>, trailers: Headers },
    Raw(Vec<u8>),
    Events(Receiver<String>),
    Hang,
    Nothing,
}

impl Reply {
    fn new(kind: Kind) -> Reply {
        Reply { gate: None, interim: Vec::new(), kind, after: After::KeepAlive }
    }

    /// 200 with a text.
    pub fn ok(body: impl AsRef<[u8]>) -> Reply {
        Reply::status(200).body(body)
    }

    /// A status with an empty body.
    pub fn status(status: u16) -> Reply {
        Reply::new(Kind::Whole { status, headers: Headers::new(), body: Vec::new() })
    }

    /// 200 with a chunked body and trailers.
    pub fn chunked(parts: &[&str], trailers: &[(&str, &str)]) -> Reply {
        Reply::new(Kind::Chunked {
            headers: Headers::new(),
            parts: parts.iter().map(|part| part.as_bytes().to_vec()).collect(),
            trailers: owned(trailers),
        })
    }

    /// Bytes as they are; the connection stays open.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::new(Kind::Raw(bytes.as_ref().to_vec()))
    }

    /// Bytes as they are, and the end of the connection.
    pub fn raw_then_close(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::raw(bytes).then(After::Close)
    }

    /// An event stream: each text that the test sends becomes one event, the end of the channel ends it.
    pub fn sse(events: Receiver<String>) -> Reply {
        Reply::new(Kind::Events(events))
    }

    /// No answer; the connection stays open until the peer closes it.
    pub fn hang() -> Reply {
        Reply::new(Kind::Hang)
    }

    /// The end of the connection instead of an answer.
    pub fn close_without_answer() -> Reply {
        Reply::new(Kind::Nothing).then(After::Close)
    }

    /// A reset instead of an answer.
    pub fn reset_without_answer() -> Reply {
        Reply::new(Kind::Nothing).then(After::Reset)
    }

    /// An account of the request as JSON: method, target, headers as pairs, body as text.
    pub fn echo(request: &Recorded) -> Reply {
        let account = json!({
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.text(),
        });
        Reply::ok(account.to_string()).header("Content-Type", "application/json")
    }

    /// Adds a field.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        if let Kind::Whole { headers, .. } | Kind::Chunked { headers, .. } = &mut self.kind {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, text: impl AsRef<[u8]>) -> Reply {
        if let Kind::Whole { body, .. } = &mut self.kind {
            *body = text.as_ref().to_vec();
        }
        self
    }

    /// Sends an interim answer before.
    pub fn interim(mut self, status: u16, headers: &[(&str, &str)]) -> Reply {
        self.interim.push((status, owned(headers)));
        self
    }

    /// Waits for the gate before the first byte.
    pub fn slow(mut self, gate: &Gate) -> Reply {
        self.gate = Some(gate.clone());
        self
    }

    /// Says what becomes of the connection.
    pub fn then(mut self, after: After) -> Reply {
        self.after = after;
        self
    }

    pub(crate) fn send(self, request: &Recorded, conversation: &mut Conversation) -> After {
        if self.gate.is_some_and(|gate| !gate.wait()) {
            return After::Close;
        }
        for (status, headers) in &self.interim {
            conversation.write(&head(*status, headers, None));
        }
        let sent = match self.kind {
            Kind::Whole { status, headers, body } => {
                conversation.write(&whole(request, status, headers, &body))
            }
            Kind::Chunked { mut headers, parts, trailers } => {
                headers.push(("Transfer-Encoding".into(), "chunked".into()));
                let mut bytes = head(200, &headers, Some(request.seq));
                bytes.extend(parts.iter().flat_map(|part| chunk(part)));
                bytes.extend_from_slice(b"0\r\n");
                bytes.extend_from_slice(&lines(&trailers));
                conversation.write(&bytes)
            }
            Kind::Raw(bytes) => conversation.write(&bytes),
            Kind::Events(events) => stream(request, &events, conversation),
            Kind::Hang => {
                conversation.wait_for_close();
                false
            }
            Kind::Nothing => true,
        };
        if sent { self.after } else { After::Close }
    }
}

fn whole(request: &Recorded, status: u16, mut headers: Headers, body: &[u8]) -> Vec<u8> {
    let bodyless = status < 200 || status == 204;
    if !bodyless && status != 304 {
        headers.push(("Content-Length".into(), body.len().to_string()));
    }
    let mut bytes = head(status, &headers, Some(request.seq));
    if request.method != "HEAD" && !bodyless && status != 304 {
        bytes.extend_from_slice(body);
    }
    bytes
}

fn stream(request: &Recorded, events: &Receiver<String>, conversation: &mut Conversation) -> bool {
    let headers = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")];
    let mut sent = conversation.write(&head(200, &owned(&headers), Some(request.seq)));
    while let Ok(event) = events.recv() {
        sent = sent && conversation.write_chunk(format!("data: {event}\n\n").as_bytes());
    }
    sent && conversation.write(b"0\r\n\r\n")
}

fn owned(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn lines(headers: &Headers) -> Vec<u8> {
    let mut text: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    text += "\r\n";
    text.into_bytes()
}

/// The bytes of a head, with `X-Req-Seq` when there is a request it answers.
pub(crate) fn head(status: u16, headers: &Headers, seq: Option<usize>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    if let Some(seq) = seq {
        text += &format!("X-Req-Seq: {seq}\r\n");
    }
    [text.as_bytes(), &lines(headers)].concat()
}

/// The bytes of a chunk.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        404 => "Not Found",
        503 => "Service Unavailable",
        _ => "As Told",
    }
}
