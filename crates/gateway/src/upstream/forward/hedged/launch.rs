//! One of several tries for a request: up to the head of an answer, over whichever version its endpoint speaks.
//!
//! Takes what it needs of the exchange along, which the others use meanwhile. It never gives anything to the client.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::http1::{HeadError, HeadLimits, Method};

use super::super::super::connection::Connection;
use super::super::super::local::LocalEndpoint;
use super::super::super::service::Service;
use super::super::http2;
use super::super::opening::Need;
use super::super::stream::Stream;
use super::super::{Again, Failed, Forward, Way};
use crate::exchange::Exchange;
use crate::fault::Fault;

/// What a try up to the head of an answer gives: where that head waits, and its status.
pub(super) type Heard = Result<(Answering, u16), Fault>;

/// Where the head of an answer waits to be received.
pub(super) enum Answering {
    /// In the connection's buffer.
    Http1(Box<Connection>),
    /// In the stream.
    Http2(Box<Stream>),
}

impl Answering {
    /// Whether its connection carried an exchange before.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Answering::Http1(connection) => connection.reused,
            Answering::Http2(stream) => stream.is_reused(),
        }
    }
}

/// What a try needs to know of the request.
pub(super) struct Launch {
    /// The head for HTTP/1.1.
    bytes: Vec<u8>,
    /// The head for HTTP/2, where the endpoint may speak that and it can be said so.
    head: Option<http::Request<()>>,
    method: Method,
    need: Need,
    write_stall: Duration,
    started: Instant,
    /// When it was handed over, from the start.
    pub(super) sent: Rc<Cell<Option<Duration>>>,
}

impl Launch {
    /// Of the request as it is now, for this endpoint.
    pub(super) fn new(
        service: &Service,
        endpoint: &LocalEndpoint,
        exchange: &Exchange,
        write_stall: Duration,
    ) -> Launch {
        let settings = &endpoint.shared.settings;
        let mut bytes = Vec::new();
        ::http1::encode_request(&mut bytes, &exchange.request, true);
        let head = endpoint.http2.as_ref();
        Launch {
            bytes,
            head: head
                .and_then(|_| http2::head(exchange, settings.peer.is_some(), &settings.authority, false)),
            method: exchange.request.method,
            need: Need::of(exchange, service),
            write_stall,
            started: exchange.record.started,
            sent: Rc::default(),
        }
    }
}

impl Forward<'_> {
    /// One try up to the head of an answer. It is made once more where that does no harm: when a rested connection turns out
    /// dead, or the endpoint has not looked at the request.
    pub(super) async fn up_to_head(&self, endpoint: Rc<LocalEndpoint>, launch: Launch) -> Heard {
        let (mut fresh, mut refusals) = (false, 0);
        loop {
            let way = match &endpoint.http2 {
                None => self.over_http1(&launch.need, &endpoint, fresh).await?,
                Some(pool) => self.over_either(&launch.need, &endpoint, pool, fresh).await?,
            };
            launch.sent.set(Some(launch.started.elapsed()));
            let reused = way.is_reused();
            match self.head_over(way, &launch).await {
                Ok(heard) => return Ok(heard),
                Err(failed) if failed.again.is_harmless(reused, &mut fresh, &mut refusals) => {}
                Err(failed) => return Err(failed.fault),
            }
        }
    }

    /// Sends the request and waits for the head of the final answer.
    async fn head_over(&self, way: Way, launch: &Launch) -> Result<(Answering, u16), Failed> {
        let limits = HeadLimits { head: self.service.max_head, ..HeadLimits::default() };
        match way {
            Way::Http1(mut connection) => {
                let socket = connection.incoming.socket.clone();
                // An endpoint that takes no more may have answered all the same.
                let _ = socket.write_all([&launch.bytes], launch.write_stall).await;
                socket.read_timer.arm(self.again.answer_timeout(self.service));
                let awaited = connection.await_head(launch.method, &limits).await;
                awaited
                    .map_err(|fault| {
                        let untouched = fault == Fault::NoAnswer && !connection.heard;
                        Failed { fault, again: if untouched { Again::Fresh } else { Again::Never } }
                    })
                    .map(|status| (Answering::Http1(connection), status))
            }
            Way::Http2(slot) => {
                let Some(head) = launch.head.clone() else {
                    let fault = Fault::Head(HeadError::BadTarget);
                    return Err(Failed { fault, again: Again::Never });
                };
                let mut stream = Box::new(self.begin_stream(slot, head, true)?);
                match stream.await_head(launch.method, &limits).await {
                    Ok(status) => Ok((Answering::Http2(stream), status)),
                    Err(fault) => Err(stream.failed(fault, true, true)),
                }
            }
        }
    }
}
