//! One try over HTTP/1.1: the head written anew, both bodies streamed, the connection kept if nothing is left on it.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http1::{CHUNK_END, Fields, Framing, HeadLimits, ResponseHead, Upgrade};

use super::super::connection::Connection;
use super::super::health::attempt::Waiting;
use super::super::local::{InFlight, LocalEndpoint};
use super::super::request;
use super::progress::{Progress, Upload, answer_fault, race};
use super::{Again, Failed, Forward, MOST_INTERIM, Switched, learn};
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::buffer::{give_out, take_out};
use crate::http::client::{ClientConnection, ClientLimits, ClientReader};
use crate::http::http2::websocket;
use crate::http::incoming::Piece;
use crate::http::reshaped::client_fault;
use crate::http::responder::Responder;
use crate::http::socket::Socket;
use crate::http::trust::Trust;

/// Pieces of a body up to this size are collected before they are sent.
const COPIED: usize = 8 * 1024;

impl Forward<'_> {
    /// One try over one connection.
    pub(super) async fn attempt_http1(
        &self,
        (mut connection, endpoint, _in_flight): (Box<Connection>, Rc<LocalEndpoint>, InFlight),
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Option<Switched>, Failed> {
        let mut out = take_out();
        http1::encode_request(&mut out, &exchange.request, true);
        let sent = exchange.record.elapsed();
        exchange.record.sent = Some(sent);
        let repeatable = exchange.request.method.is_idempotent() && request::is_bodyless(exchange);
        let progress = Progress::begin(Waiting::begin(self.service, &endpoint));
        let socket = connection.incoming.socket.clone();
        socket.read_timer.arm(self.again.answer_timeout(self.service));
        if let Some(timeout) = exchange.plan.timeout {
            client.total.arm(timeout.saturating_sub(sent));
        }
        let framing = exchange.request.framing;
        let ended = {
            // Made where they stay: to move them would be to copy a kilobyte.
            let up = pin!(self.upload(&mut client.reader, &client.limits, &socket, out, framing, &progress));
            let down = pin!(self.download(exchange, &mut client.responder, &mut connection, &progress));
            race(up, down, &progress, &client.total).await
        };
        client.total.disarm();
        self.conclude(
            ended,
            (connection, &endpoint, _in_flight),
            exchange,
            (progress.upload.get(), repeatable),
        )
    }

    /// What becomes of the connection after a try.
    pub(super) fn conclude(
        &self,
        ended: Result<bool, Fault>,
        (mut connection, endpoint, _in_flight): (Box<Connection>, &LocalEndpoint, InFlight),
        exchange: &Exchange,
        (upload, repeatable): (Upload, bool),
    ) -> Result<Option<Switched>, Failed> {
        match ended {
            Ok(true) => {
                learn(exchange, endpoint);
                Ok(Some(Switched { connection, timeout: self.service.tunnel_timeout, _in_flight }))
            }
            Ok(false) => {
                learn(exchange, endpoint);
                self.rest(exchange, connection, endpoint, upload);
                Ok(None)
            }
            Err(fault @ Fault::ServiceFailed(_)) => {
                // What has come of the answer is passed over, so that the connection may stay.
                while let Ok(Piece::Data(_)) = connection.incoming.piece() {}
                self.rest(exchange, connection, endpoint, upload);
                Err(Failed { fault, again: Again::Never })
            }
            Err(fault) => {
                let untouched = repeatable && fault == Fault::NoAnswer && !connection.heard;
                Err(Failed { fault, again: if untouched { Again::Fresh } else { Again::Never } })
            }
        }
    }

    /// Keeps the connection for the next exchange if nothing is left on it from this one.
    fn rest(
        &self,
        exchange: &Exchange,
        connection: Box<Connection>,
        endpoint: &LocalEndpoint,
        upload: Upload,
    ) {
        let clean = upload == Upload::Complete
            && exchange.record.connection_stays
            && connection.incoming.is_done()
            && connection.incoming.input.is_empty();
        if clean {
            let told = exchange.response.keep_alive_timeout.map(|seconds| seconds.saturating_sub(1));
            let rest = told.map_or(self.service.pool_idle, |seconds| Duration::from_secs(u64::from(seconds)));
            endpoint.put_idle(connection, rest, self.service.pool_size);
        }
    }

    /// Sends the head and the body, then watches the client. Ends only with what is the client's fault.
    pub(super) async fn upload(
        &self,
        reader: &mut ClientReader,
        limits: &ClientLimits,
        socket: &Socket,
        mut out: Vec<u8>,
        framing: Framing,
        progress: &Progress,
    ) -> Fault {
        // The time for the answer counts from the last byte of the request. After its head the timer is the answer's.
        let await_answer = |is_client_awaited: bool| match (progress.answered.get(), is_client_awaited) {
            (false, true) => socket.read_timer.disarm(),
            (false, false) => socket.read_timer.arm(self.again.answer_timeout(self.service)),
            (true, _) => {}
        };
        let sent = send_body(reader, limits, socket, &mut out, framing, &await_answer, self.trust).await;
        give_out(out);
        match sent {
            Ok(complete) => progress.upload.set(if complete { Upload::Complete } else { Upload::Refused }),
            Err(fault) => return fault,
        }
        // After a refused upload the rest of the body stands in the stream: there is nothing to watch for.
        if progress.upload.get() == Upload::Complete { reader.watch().await } else { pending().await }
    }

    /// Receives the answer and sends it to the client. True when the connection was switched to a tunnel.
    pub(super) async fn download(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        connection: &mut Connection,
        progress: &Progress,
    ) -> Result<bool, Fault> {
        self.final_head(exchange, responder, connection).await?;
        progress.answered(exchange.response.status);
        exchange.record.answered = Some(exchange.record.elapsed());
        let head = &mut exchange.response;
        exchange.record.connection_stays = head.keep_alive && head.framing != Framing::UntilClose;
        connection.incoming.begin(head.framing);
        let switched = head.status == 101;
        if switched
            && (exchange.request.upgrade != Upgrade::WebSocket
                || head.upgrade != Upgrade::WebSocket
                || !websocket::agreed(&exchange.request, &head.fields))
        {
            return Err(Fault::AnswerUnasked);
        }
        if !self.dress(exchange)? {
            // What has come of this answer is passed over, so that the connection may stay.
            while let Ok(Piece::Data(_)) = connection.incoming.piece() {}
            return Ok(false);
        }
        exchange.record.upgraded = switched;
        let judged = match exchange.holds_answers() {
            true if !switched => Box::pin(self.judged_http1(exchange, connection)).await?,
            _ => None,
        };
        // A body that was not read to its end would be taken for the next request.
        responder.keep_alive &= progress.upload.get() == Upload::Complete && !switched && !(self.closing)();
        responder.pass_on(exchange);
        if let Some(whole) = judged {
            responder.data(&whole).await.map_err(client_fault)?;
            responder.end(connection.incoming.trailers()).map_err(client_fault)?;
        } else if !switched {
            self.body(connection, responder).await?;
        }
        responder.flush().await.map_err(client_fault)?;
        Ok(switched)
    }

    /// The head of the final answer; interim ones go to the client at once.
    async fn final_head(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        connection: &mut Connection,
    ) -> Result<(), Fault> {
        let limits = HeadLimits { head: self.service.max_head, ..HeadLimits::default() };
        for _ in 0..=MOST_INTERIM {
            connection.head(exchange.request.method, &limits, &mut exchange.response).await?;
            if !exchange.response.is_interim() {
                return Ok(());
            }
            let head: &mut ResponseHead = &mut exchange.response;
            head.remove_hop_by_hop();
            responder.interim(head).await.map_err(client_fault)?;
        }
        Err(Fault::AnswerUnasked)
    }

    async fn body(&self, connection: &mut Connection, responder: &mut Responder) -> Result<(), Fault> {
        loop {
            match connection.incoming.piece().map_err(Fault::AnswerBody)? {
                Piece::Data(span) => {
                    responder.data(connection.incoming.data(span)).await.map_err(client_fault)?;
                }
                Piece::Done => break,
                Piece::Starved => {
                    responder.flush().await.map_err(client_fault)?;
                    connection.incoming.socket.read_timer.arm(self.service.idle_timeout);
                    connection.incoming.fill().await.map_err(answer_fault)?;
                }
            }
        }
        responder.end(connection.incoming.trailers()).map_err(client_fault)
    }
}

/// Sends what `out` holds and then the body. False when the endpoint takes no more.
async fn send_body(
    reader: &mut ClientReader,
    limits: &ClientLimits,
    socket: &Socket,
    out: &mut Vec<u8>,
    framing: Framing,
    await_answer: &dyn Fn(bool),
    trust: &Trust,
) -> Result<bool, Fault> {
    let chunked = framing == Framing::Chunked;
    loop {
        let piece = reader.piece()?;
        let end: &[u8] = if chunked { CHUNK_END } else { b"" };
        let mut sent = Ok(());
        match piece {
            Piece::Data(span) => {
                let data = reader.data(span);
                if chunked {
                    http1::encode_chunk_line(out, data.len());
                }
                if data.len() <= COPIED && out.len() <= COPIED {
                    out.extend_from_slice(data);
                    out.extend_from_slice(end);
                    continue;
                }
                sent = socket.write_all([out, data, end], limits.write_stall).await;
                out.clear();
            }
            Piece::Done | Piece::Starved => {
                if chunked && piece == Piece::Done {
                    http1::encode_last_chunk(out, trailers(reader, trust));
                }
                if !out.is_empty() {
                    sent = socket.write_all([out], limits.write_stall).await;
                    out.clear();
                }
            }
        }
        // A client that has sent nothing yet may be waiting for the service to say that it may.
        await_answer(piece == Piece::Starved && reader.received() > 0);
        match (sent, piece) {
            (Err(_), _) => return Ok(false),
            (Ok(()), Piece::Done) => return Ok(true),
            (Ok(()), Piece::Starved) => reader.receive(limits).await?,
            (Ok(()), Piece::Data(_)) => {}
        }
    }
}

/// The trailers without those that look like an identity.
pub(super) fn trailers<'r>(reader: &'r mut ClientReader, trust: &Trust) -> &'r Fields {
    let trailers = reader.trailers_mut();
    trust.clean_trailers(trailers);
    trailers
}
