//! One try over a stream of HTTP/2: the head said anew, both bodies within the windows of both sides.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use ::http1::HeadLimits;
use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::Response;

use super::super::health::attempt::Waiting;
use super::super::http2::pool::Slot;
use super::super::http2::{fault_of, heads};
use super::super::local::{InFlight, LocalEndpoint};
use super::super::request;
use super::http1::trailers;
use super::progress::{Progress, Upload, answer_fault, client_fault, race};
use super::{Again, Failed, Forward, MOST_INTERIM, learn};
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::{ClientConnection, ClientLimits, ClientReader};
use crate::http::http2::inflow::Inflow;
use crate::http::http2::outflow::Outflow;
use crate::http::incoming::Piece;
use crate::http::responder::Responder;
use crate::http::timer::Timer;
use crate::http::trust::Trust;

/// Most bytes of a body that are kept to be sent again.
const REPLAYED: usize = 16 * 1024;

/// A stream that was opened for an exchange.
struct Stream {
    answer: ResponseFuture,
    outflow: Outflow,
    /// Deadline of the answer's head.
    timer: Timer,
    /// Whether something of an answer has come.
    heard: Cell<bool>,
    /// Whether the service said that it never looked at the request.
    unprocessed: Cell<bool>,
    // Dropped last: its place is free once the stream is no more.
    slot: Slot,
}

/// What was sent of a body, as long as it is little: until the service has looked at it, it can be sent again.
#[derive(Default)]
pub(super) struct Replay {
    bytes: Vec<u8>,
    /// More was sent than is kept.
    over: bool,
}

impl Replay {
    fn keep(&mut self, data: &[u8]) {
        self.over |= self.bytes.len().saturating_add(data.len()) > REPLAYED;
        if self.over {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(data);
        }
    }
}

impl Forward<'_> {
    /// One try over a place on a connection.
    pub(super) async fn attempt_http2(
        &self,
        (slot, endpoint, _in_flight): (Slot, std::rc::Rc<LocalEndpoint>, InFlight),
        exchange: &mut Exchange,
        client: &mut ClientConnection,
        replay: &mut Replay,
    ) -> Result<(), Failed> {
        let settings = &endpoint.shared.settings;
        let head = heads::request(&exchange.request, settings.peer.is_some(), &settings.authority, false);
        let Some(head) = head else {
            return Err(Failed { fault: Fault::AnswerUnasked, again: Again::Never });
        };
        let whole = request::is_bodyless(exchange);
        let sent = exchange.record.elapsed();
        exchange.record.sent = Some(sent);
        let Ok((answer, sending)) = slot.ask(head, whole) else {
            return Err(Failed { fault: Fault::NoAnswer, again: Again::Unprocessed });
        };
        let mut stream = Stream::new(answer, sending, self.timers.timer(), self.timers.timer(), slot);
        let progress = Progress::begin(Waiting::begin(self.service, &endpoint));
        stream.timer.arm(self.service.answer_timeout);
        if let Some(timeout) = exchange.plan.timeout {
            client.total.arm(timeout.saturating_sub(sent));
        }
        let ended = {
            let Stream { answer, outflow, timer, heard, unprocessed, .. } = &mut stream;
            let waits = Waits { timer, heard, unprocessed };
            let up = pin!(self.upload_http2(
                (&mut client.reader, replay),
                &client.limits,
                (outflow, timer),
                whole,
                &progress
            ));
            let down = pin!(self.download_http2(exchange, &mut client.responder, (answer, waits), &progress));
            race(up, down, &progress, &client.total).await
        };
        client.total.disarm();
        match ended {
            Ok(()) => {
                learn(exchange, &endpoint);
                Ok(())
            }
            Err(fault) => {
                if matches!(fault, Fault::AnswerTimeout | Fault::AnswerStalled | Fault::Timeout) {
                    stream.slot.doubt();
                }
                let untaken = !replay.over && !stream.heard.get();
                let repeatable = whole && exchange.request.method.is_idempotent();
                let again = match fault {
                    Fault::NoAnswer if untaken && stream.unprocessed.get() => Again::Unprocessed,
                    Fault::NoAnswer if untaken && repeatable => Again::Fresh,
                    _ => Again::Never,
                };
                Err(Failed { fault, again })
            }
        }
    }

    /// Sends the body, then watches the client. Ends only with what is the client's fault.
    async fn upload_http2(
        &self,
        (reader, replay): (&mut ClientReader, &mut Replay),
        limits: &ClientLimits,
        (outflow, timer): (&Outflow, &Timer),
        whole: bool,
        progress: &Progress,
    ) -> Fault {
        let await_answer = |is_client_awaited: bool| match (progress.answered.get(), is_client_awaited) {
            (false, true) => timer.disarm(),
            (false, false) => timer.arm(self.service.answer_timeout),
            (true, _) => {}
        };
        let sent = match whole {
            true => Ok(true),
            false => send_body((reader, replay), limits, outflow, &await_answer, self.trust).await,
        };
        match sent {
            Ok(complete) => progress.upload.set(if complete { Upload::Complete } else { Upload::Refused }),
            Err(fault) => return fault,
        }
        // After a refused upload the rest of the body stands in the stream: there is nothing to watch for.
        if progress.upload.get() == Upload::Complete { reader.watch().await } else { pending().await }
    }

    /// Receives the answer and sends it to the client.
    async fn download_http2(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        (answer, waits): (&mut ResponseFuture, Waits<'_>),
        progress: &Progress,
    ) -> Result<(), Fault> {
        let mut inflow = self.final_head_http2(exchange, responder, (answer, waits)).await?;
        progress.answered(exchange.response.status);
        exchange.record.answered = Some(exchange.record.elapsed());
        inflow.begin(exchange.response.framing);
        if !self.dress(exchange) {
            // The stream is given up with what is left of this answer.
            return Ok(());
        }
        // A body that was not read to its end would be taken for the next request.
        responder.keep_alive &= progress.upload.get() == Upload::Complete && !(self.closing)();
        responder.pass_on(exchange);
        loop {
            match inflow.piece() {
                Piece::Data(span) => responder.data(inflow.data(span)).await.map_err(client_fault)?,
                Piece::Done => break,
                Piece::Starved => {
                    responder.flush().await.map_err(client_fault)?;
                    inflow.timer.arm(self.service.idle_timeout);
                    inflow.fill().await.map_err(answer_fault)?;
                }
            }
        }
        responder.end(inflow.trailers_mut());
        responder.flush().await.map_err(client_fault)
    }

    /// The head of the final answer, and what follows it; interim ones go to the client at once.
    async fn final_head_http2(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        (answer, waits): (&mut ResponseFuture, Waits<'_>),
    ) -> Result<Inflow, Fault> {
        let limits = HeadLimits { head: self.service.max_head, ..HeadLimits::default() };
        let method = exchange.request.method;
        for _ in 0..=MOST_INTERIM {
            let (parts, body) = waits.head(answer).await?;
            let ended = body.as_ref().is_some_and(h2::RecvStream::is_end_stream);
            let head = &mut exchange.response;
            heads::answer(&parts, ended, method, &limits, head).map_err(Fault::AnswerHead)?;
            match body {
                // An interim status in the place of the final one.
                Some(_) if head.is_interim() => break,
                Some(body) => return Ok(Inflow::new(body, self.timers.timer())),
                None => {
                    head.remove_hop_by_hop();
                    responder.interim(head).await.map_err(client_fault)?;
                }
            }
        }
        Err(Fault::AnswerUnasked)
    }
}

impl Stream {
    fn new(
        answer: ResponseFuture,
        sending: SendStream<Bytes>,
        timer: Timer,
        stall: Timer,
        slot: Slot,
    ) -> Stream {
        Stream {
            answer,
            outflow: Outflow::of_request(sending, stall),
            timer,
            heard: Cell::new(false),
            unprocessed: Cell::new(false),
            slot,
        }
    }
}

/// What waiting for the head of an answer learns.
#[derive(Clone, Copy)]
struct Waits<'s> {
    timer: &'s Timer,
    heard: &'s Cell<bool>,
    unprocessed: &'s Cell<bool>,
}

/// A head, and what follows the final one.
type Head = (http::response::Parts, Option<h2::RecvStream>);

impl Waits<'_> {
    /// The next head, interim or final.
    async fn head(&self, answer: &mut ResponseFuture) -> Result<Head, Fault> {
        let head = poll_fn(|cx| {
            let polled = match answer.poll_informational(cx) {
                Poll::Ready(Some(interim)) => {
                    Poll::Ready(interim.map(|interim| (interim.into_parts().0, None)))
                }
                Poll::Ready(None) => Pin::new(&mut *answer).poll(cx).map_ok(|answer: Response<_>| {
                    let (parts, body) = answer.into_parts();
                    (parts, Some(body))
                }),
                Poll::Pending => Poll::Pending,
            };
            match polled {
                Poll::Ready(head) => Poll::Ready(head.map_err(Some)),
                Poll::Pending if self.timer.expired(cx) => Poll::Ready(Err(None)),
                Poll::Pending => Poll::Pending,
            }
        });
        match head.await {
            Ok(head) => {
                self.heard.set(true);
                Ok(head)
            }
            Err(None) => Err(Fault::AnswerTimeout),
            Err(Some(error)) => {
                let (fault, unprocessed) = fault_of(&error);
                self.unprocessed.set(unprocessed);
                Err(fault)
            }
        }
    }
}

/// Sends the body as the windows allow. False when the endpoint takes no more.
async fn send_body(
    (reader, replay): (&mut ClientReader, &mut Replay),
    limits: &ClientLimits,
    outflow: &Outflow,
    await_answer: &dyn Fn(bool),
    trust: &Trust,
) -> Result<bool, Fault> {
    if !replay.bytes.is_empty() && outflow.send(&replay.bytes, limits.write_stall).await.is_err() {
        return Ok(false);
    }
    loop {
        let piece = reader.piece()?;
        let sent = match piece {
            Piece::Data(span) => {
                replay.keep(reader.data(span));
                outflow.send(reader.data(span), limits.write_stall).await
            }
            Piece::Done => {
                outflow.end(trailers(reader, trust));
                outflow.send(b"", limits.write_stall).await
            }
            Piece::Starved => Ok(()),
        };
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
