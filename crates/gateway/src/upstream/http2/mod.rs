//! HTTP/2 towards services (RFC 9113): many exchanges over one connection.
//!
//! `pool` says which connection an exchange takes and lets the others wait in order, `connection` keeps one alive and
//! ends it, `once` asks without either, `wire` stands between `h2` and the socket, `heads` are what is said. All of it belongs to one worker.

pub mod connection;
pub mod heads;
pub mod once;
pub mod pool;
mod wire;

use crate::fault::Fault;

/// Streams that the gateway opens at a time on one connection, if the service allows as many.
pub const MOST_STREAMS: usize = 100;

/// What an error of a stream means, and whether the service has said that it never looked at the request: it may be
/// sent again then, whatever it is (RFC 9113 section 8.7).
pub fn fault_of(error: &h2::Error) -> (Fault, bool) {
    // The crate gives a GOAWAY to those streams alone that are above the last one it names.
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let unprocessed = error.is_remote() && (error.is_go_away() || refused);
    let fault = if error.is_library() { Fault::AnswerProtocol } else { Fault::NoAnswer };
    (fault, unprocessed)
}
