//! One check of one endpoint: a connection as requests have it, and a GET where a path is given. Control side only.
//!
//! A connection of its own, closed afterwards: it tells that the endpoint accepts new ones. Every wait has an end and
//! the answer a greatest size.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http1::{HeadLimits, Method, ResponseHead};

use super::Check;
use crate::config::Protocol;
use crate::fault::Fault;
use crate::http::incoming::Piece;
use crate::http::proxy_protocol::Version;
use crate::http::timer::Timers;
use crate::upstream::connection::Connection;
use crate::upstream::http2::once;
use crate::upstream::service::Endpoint;

/// Most bytes of an answer's body that are looked at.
const MOST_BODY: usize = 64 * 1024;
/// Interim answers (1xx) that are passed over.
const MOST_INTERIM: usize = 16;

/// What one check needs to know.
pub(super) struct Probe {
    /// What is asked.
    pub check: Check,
    /// Whom.
    pub endpoint: Arc<Endpoint>,
    /// Whether connections begin with a PROXY protocol header.
    pub announce: Option<Version>,
    /// Deadlines; the time of the whole check is the only one.
    pub timers: Rc<Timers>,
}

impl Probe {
    /// Asks once; the error says what was wrong, in a few words.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let asked = tokio::time::timeout(self.check.timeout, self.connect_and_ask());
        asked.await.unwrap_or_else(|_| Err(format!("no answer in {} ms", self.check.timeout.as_millis())))
    }

    async fn connect_and_ask(&self) -> Result<(), String> {
        let failed = |fault: Fault| fault.facts().code.replace('_', " ");
        let settings = &self.endpoint.settings;
        // Nobody is announced: the gateway asks for itself.
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let is_http2 = settings.protocol == Protocol::Http2;
        let announce = self.announce.map(|version| (version, (nobody, settings.address)));
        let opened = Connection::open(settings, !is_http2, self.check.timeout, &self.timers, announce).await;
        let mut connection = opened.map_err(failed)?;
        if is_http2 {
            return self.ask_http2(&connection).await;
        }
        let Some(path) = &self.check.path else { return Ok(()) };
        let host = self.check.host.as_deref().unwrap_or(&settings.authority);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let sent = connection.incoming.socket.write_all([head.as_bytes()], self.check.timeout).await;
        sent.map_err(|error| error.kind().to_string())?;
        let mut head = ResponseHead::default();
        for _ in 0..=MOST_INTERIM {
            connection.head(Method::Get, &HeadLimits::default(), &mut head).await.map_err(failed)?;
            if !head.is_interim() {
                break;
            }
        }
        self.expects(head.status)?;
        match &self.check.body {
            Some(text) => body_holds(&mut connection, &head, text.as_bytes()).await,
            None => Ok(()),
        }
    }

    /// The same over HTTP/2.
    async fn ask_http2(&self, connection: &Connection) -> Result<(), String> {
        let settings = &self.endpoint.settings;
        if !connection.is_http2(settings) {
            return Err("the target speaks no HTTP/2".to_owned());
        }
        if let Some(service) = &self.check.grpc {
            return self.ask_grpc(connection, service).await;
        }
        let Some(path) = &self.check.path else { return Ok(()) };
        let host = self.check.host.as_deref().unwrap_or(&settings.authority);
        let scheme = if settings.peer.is_some() { "https" } else { "http" };
        let request = http::Request::builder()
            .uri(format!("{scheme}://{host}{path}"))
            .header("user-agent", "tidegate-health")
            .header("accept", "*/*")
            .body(())
            .map_err(|error| error.to_string())?;
        let socket = connection.incoming.socket.clone();
        let answered = once::ask(socket, request, Bytes::new(), MOST_BODY).await?;
        self.expects(answered.parts.status.as_u16())?;
        self.check.body.as_ref().map_or(Ok(()), |text| holds(&answered.body, text.as_bytes()))
    }

    /// The same by gRPC: `grpc.health.v1.Health/Check`, of the gRPC project's `health.proto`.
    async fn ask_grpc(&self, connection: &Connection, service: &str) -> Result<(), String> {
        let settings = &self.endpoint.settings;
        let host = self.check.host.as_deref().unwrap_or(&settings.authority);
        let scheme = if settings.peer.is_some() { "https" } else { "http" };
        let request = http::Request::builder()
            .method("POST")
            .uri(format!("{scheme}://{host}/grpc.health.v1.Health/Check"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "tidegate-health")
            .body(())
            .map_err(|error| error.to_string())?;
        let length = u8::try_from(service.len()).ok().filter(|length| *length < 128);
        let length = length.ok_or("the name of the service is too long")?;
        // HealthCheckRequest: field 1, a text. Left out where it is empty.
        let head: &[u8] = if service.is_empty() { &[] } else { &[0x0a, length] };
        let message = [head, service.as_bytes()].concat();
        let frame = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap_or(u8::MAX)][..], &message].concat();
        let socket = connection.incoming.socket.clone();
        let answered = once::ask(socket, request, Bytes::from(frame), MOST_BODY).await?;
        let told =
            |fields: &http::HeaderMap| fields.get("grpc-status").map(|value| value.as_bytes().to_vec());
        match told(&answered.trailers).or_else(|| told(&answered.parts.headers)).as_deref() {
            Some(b"0") => {}
            Some(status) => return Err(format!("grpc-status {}", String::from_utf8_lossy(status))),
            None => return Err(format!("status {} and no grpc-status", answered.parts.status.as_u16())),
        }
        // HealthCheckResponse: field 1, where 1 is SERVING.
        match answered.body.get(5..) {
            Some([0x08, 1, ..]) => Ok(()),
            _ => Err("not serving".to_owned()),
        }
    }

    fn expects(&self, status: u16) -> Result<(), String> {
        let expected = match &*self.check.status {
            [] => (200..300).contains(&status),
            some => some.contains(&status),
        };
        if expected { Ok(()) } else { Err(format!("status {status}")) }
    }
}

fn holds(body: &[u8], text: &[u8]) -> Result<(), String> {
    let found = memchr::memmem::find(body, text).is_some();
    if found { Ok(()) } else { Err("the expected text is not in the answer".to_owned()) }
}

/// Whether the text stands in the body of HTTP/1.1, as far as that is looked at.
async fn body_holds(connection: &mut Connection, head: &ResponseHead, text: &[u8]) -> Result<(), String> {
    let incoming = &mut connection.incoming;
    incoming.begin(head.framing);
    let mut body = Vec::new();
    loop {
        match incoming.piece().map_err(|error| error.reason().to_owned())? {
            Piece::Data(span) => body.extend_from_slice(incoming.data(span)),
            Piece::Starved if body.len() < MOST_BODY => {
                incoming.fill().await.map_err(|_| "the answer was cut".to_owned())?;
            }
            Piece::Done | Piece::Starved => {
                return holds(&body, text);
            }
        }
    }
}
