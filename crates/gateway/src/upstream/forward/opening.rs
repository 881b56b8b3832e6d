//! The way to an endpoint that was chosen: a connection that rested, a place on one that is shared, or a new one.

use std::rc::Rc;
use std::time::{Duration, Instant};

use ::http1::Upgrade;

use super::super::connection::{Connection, Ends};
use super::super::http2::pool::{Pool, Turn};
use super::super::local::LocalEndpoint;
use super::super::request;
use super::super::service::Service;
use super::{Forward, Way};
use crate::config::Protocol;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::observe::histogram::add;

/// What the way to an endpoint depends on, of one request.
#[derive(Clone, Copy)]
pub(super) struct Need {
    started: Instant,
    /// The route's time, from the start.
    timeout: Option<Duration>,
    /// The client for whom alone a connection is, where the service is told of it at the connection's beginning.
    announced: Option<Ends>,
    /// Whether it cannot be sent twice.
    once: bool,
    /// A call of gRPC has trailers, which nothing but HTTP/2 carries.
    is_call: bool,
    is_websocket: bool,
}

impl Need {
    pub(super) fn of(exchange: &Exchange, service: &Service) -> Need {
        Need {
            started: exchange.record.started,
            timeout: exchange.plan.timeout,
            announced: service.proxy_protocol.map(|_| request::ends(&exchange.client)),
            once: !exchange.request.method.is_idempotent() || !request::is_bodyless(exchange),
            is_call: exchange.plan.transcode.is_some(),
            is_websocket: exchange.request.upgrade == Upgrade::WebSocket,
        }
    }
}

impl Forward<'_> {
    /// A connection of HTTP/1.1: one that rested, or a new one.
    pub(super) async fn over_http1(
        &self,
        need: &Need,
        endpoint: &LocalEndpoint,
        fresh: bool,
    ) -> Result<Way, Fault> {
        match rested(need, endpoint, fresh) {
            Some(connection) => Ok(Way::Http1(connection)),
            None => self.connect(need, endpoint, true).await.map(Way::Http1),
        }
    }

    /// A place on a connection of HTTP/2, or a connection of HTTP/1.1 where the endpoint chose that.
    pub(super) async fn over_either(
        &self,
        need: &Need,
        endpoint: &LocalEndpoint,
        pool: &Rc<Pool>,
        fresh: bool,
    ) -> Result<Way, Fault> {
        let settings = &endpoint.shared.settings;
        let is_call = need.is_call;
        if settings.protocol == Protocol::Auto && need.is_websocket && !is_call {
            return self.over_http1(need, endpoint, fresh).await;
        }
        let (within, left) = self.time_to_connect(need);
        let rest = if self.service.pool_size == 0 { Duration::ZERO } else { self.service.pool_idle };
        let turn = pool.turn((self.service.pool_size, rest), within, self.timers, fresh).await;
        let opening = match turn {
            Ok(Turn::Stream(slot)) => return Ok(Way::Http2(slot)),
            Ok(Turn::Open(opening)) => opening,
            Ok(Turn::Plain) if is_call => return Err(Fault::TargetTls),
            Ok(Turn::Plain) => match rested(need, endpoint, fresh) {
                Some(connection) => return Ok(Way::Http1(connection)),
                None => pool.claim(),
            },
            Err(Fault::ServiceFull) if left == Some(within) => return Err(Fault::Timeout),
            Err(fault) => return Err(fault),
        };
        match self.connect(need, endpoint, false).await {
            Ok(connection) if connection.is_http2(settings) => {
                let socket = connection.incoming.socket.clone();
                opening.open(socket, self.service.max_head).await.map(Way::Http2)
            }
            Ok(_) if settings.protocol == Protocol::Http2 => {
                opening.failed(&Fault::TargetTls);
                Err(Fault::TargetTls)
            }
            Ok(connection) => {
                opening.plain();
                if is_call {
                    return Err(Fault::TargetTls);
                }
                Ok(Way::Http1(connection))
            }
            Err(fault) => {
                // How much time the others have is their own matter.
                opening.failed(if fault == Fault::Timeout { &Fault::ConnectTimeout } else { &fault });
                Err(fault)
            }
        }
    }

    /// The time for a connection: the service's, within what is left of the route's, which is told too.
    fn time_to_connect(&self, need: &Need) -> (Duration, Option<Duration>) {
        let left = need.timeout.map(|timeout| timeout.saturating_sub(need.started.elapsed()));
        let within = left.map_or(self.service.connect_timeout, |left| left.min(self.service.connect_timeout));
        (within, left)
    }

    /// A new connection, within the time of the service and what is left of the route's. With `plain` it can only be one
    /// of HTTP/1.1.
    async fn connect(
        &self,
        need: &Need,
        endpoint: &LocalEndpoint,
        plain: bool,
    ) -> Result<Box<Connection>, Fault> {
        if let Some(shard) = endpoint.shard() {
            add(&shard.connects, 1);
        }
        let (within, left) = self.time_to_connect(need);
        let announce = self.service.proxy_protocol.zip(need.announced);
        let settings = &endpoint.shared.settings;
        let opened = Connection::open(settings, plain, within, self.timers, announce).await;
        match opened {
            Err(Fault::ConnectTimeout) if left == Some(within) => Err(Fault::Timeout),
            opened => opened,
        }
    }
}

/// A connection that rested. Where the request cannot be sent twice, asking the kernel as well narrows the race with an
/// origin that is closing.
fn rested(need: &Need, endpoint: &LocalEndpoint, fresh: bool) -> Option<Box<Connection>> {
    if fresh { None } else { endpoint.take_idle(need.once, need.announced) }
}
