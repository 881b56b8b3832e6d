//! HTTP/2 between the wire and the exchange (RFC 9113), towards clients.
//!
//! The crate `h2` keeps the states of streams and windows; here stands what a gateway adds: budgets for frames that
//! cost the sender nothing, heads by the rules of the HTTP/1.1 codec, bodies with backpressure, stalls that end.
//! Knows nothing of routes and services.

pub mod budget;
pub mod frames;
pub mod heads;
pub mod hpack;
mod huffman;
pub mod inflow;
pub mod outflow;
pub mod websocket;
pub mod wire;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http1::{HeadError, HeadLimits, RequestHead, Upgrade, names};

use self::inflow::Inflow;
use self::outflow::Outflow;
use super::timer::Timers;
use crate::values::random::Random;

/// What a client that speaks HTTP/2 sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that a client may have open on one connection.
pub const MOST_STREAMS: u32 = 100;
/// Bytes that a peer may send ahead on one stream.
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes that a peer may send ahead on all streams of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Largest frame taken.
pub const FRAME: u32 = 16 * 1024;
/// Bytes of one stream that may wait to be written.
pub const SEND_BUFFER: usize = 32 * 1024;
/// Streams that a peer may make us reset by its faults before the connection ends.
pub const MOST_LOCAL_RESETS: usize = 500;
/// How long the farewell of a connection may take.
pub const FAREWELL: Duration = Duration::from_secs(2);
/// Streams reset by the peer that were not even looked at yet, before the connection ends.
const MOST_PENDING_RESETS: usize = 20;

/// A request that came on a stream of its own.
pub struct Asked {
    parts: http::request::Parts,
    /// Its body.
    pub inflow: Inflow,
    /// For the handshake with a service, where the client asks for a WebSocket.
    key: Option<String>,
    /// Whether the path had a fragment, which the engine has cut off.
    fragment: bool,
}

impl Asked {
    /// Takes the head over.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn take(&mut self, limits: &HeadLimits, head: &mut RequestHead) -> Result<(), HeadError> {
        let ended = self.inflow.is_done();
        if self.fragment {
            // As in HTTP/1.1, where it stands in the target; the rest is taken over for the log.
            let _ = heads::request_from(&self.parts, ended, head, limits);
            return Err(HeadError::BadTarget);
        }
        let Some(key) = &self.key else {
            let taken = heads::request_from(&self.parts, ended, head, limits);
            // What was taken over stands in the head; what was not is not kept while the answer is being made.
            self.parts.headers = http::HeaderMap::new();
            return taken;
        };
        heads::websocket_from(&self.parts, head, limits)?;
        head.fields.set(names::SEC_WEBSOCKET_KEY, key.as_bytes());
        head.upgrade = Upgrade::WebSocket;
        self.inflow.hold();
        Ok(())
    }
}

/// Both halves of a stream that a client opened.
pub fn halves(
    request: http::Request<h2::RecvStream>,
    respond: h2::server::SendResponse<Bytes>,
    timers: &Rc<Timers>,
    random: &Random,
    fragment: bool,
) -> (Asked, Rc<Outflow>) {
    let (parts, stream) = request.into_parts();
    let outflow = Rc::new(Outflow::new(respond, timers.timer()));
    let key = heads::asks_for_websocket(&parts).then(|| websocket::key(random));
    (Asked { parts, inflow: Inflow::new(stream, timers.timer()), key, fragment }, outflow)
}

/// How `h2` is to treat clients. `fields` bounds a decoded head, as the limits for HTTP/1.1 do.
pub fn server(limits: &HeadLimits) -> h2::server::Builder {
    let fields = limits.head.saturating_add(limits.start_line);
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(MOST_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(fields).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MOST_LOCAL_RESETS));
    builder
}
