//! One try over a stream of HTTP/2: the head said anew, both bodies within the windows of both sides.

use std::future::pending;
use std::io::ErrorKind;
use std::pin::pin;

use ::http1::{Fields, Framing, HeadError, HeadLimits, Method, names};
use h2::client::ResponseFuture;

use super::super::health::attempt::Waiting;
use super::super::http2::heads;
use super::super::http2::pool::Slot;
use super::super::local::{InFlight, LocalEndpoint};
use super::super::request;
use super::call::{self, Call};
use super::http1::trailers;
use super::progress::{Progress, Upload, answer_fault, race};
use super::stream::{Stream, Waits};
use super::{Again, Failed, Forward, MOST_INTERIM, learn};
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::{ClientConnection, ClientLimits, ClientReader};
use crate::http::grpc::{self, Form, web};
use crate::http::http2::inflow::Inflow;
use crate::http::http2::outflow::Outflow;
use crate::http::incoming::{Broken, Piece};
use crate::http::reshaped::client_fault;
use crate::http::responder::Responder;
use crate::http::timer::Timer;
use crate::http::trust::Trust;

/// Most bytes of a body that are kept to be sent again.
const REPLAYED: usize = 16 * 1024;

/// What a body in base64 becomes; any other passes as it is.
#[derive(Default)]
struct Decoding {
    decoder: Option<web::Decoder>,
    decoded: Vec<u8>,
}

impl Decoding {
    fn of(call: Option<&Call>) -> Decoding {
        let is_text = call.is_some_and(|call| call.form == Form::WebText);
        Decoding { decoder: is_text.then(web::Decoder::default), decoded: Vec::new() }
    }

    /// What is to be sent for a piece of the body.
    fn take<'d>(&'d mut self, data: &'d [u8]) -> Result<&'d [u8], Fault> {
        let Some(decoder) = &mut self.decoder else { return Ok(data) };
        self.decoded.clear();
        decoder.decode(data, &mut self.decoded).map_err(|_| Fault::NotBase64)?;
        Ok(&self.decoded)
    }

    /// Whether the body may end here.
    fn end(&self) -> Result<(), Fault> {
        let is_whole = self.decoder.as_ref().is_none_or(web::Decoder::is_whole);
        if is_whole { Ok(()) } else { Err(Fault::NotBase64) }
    }
}

impl Forward<'_> {
    /// One try over a place on a connection.
    pub(super) async fn attempt_http2(
        &self,
        (slot, endpoint, _in_flight): (Slot, std::rc::Rc<LocalEndpoint>, InFlight),
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<(), Failed> {
        let call = call::form(exchange).map(|form| Call::begin(form, self.timers, self.service.idle_timeout));
        if call.is_some() {
            call::pass_deadline(exchange);
        }
        let settings = &endpoint.shared.settings;
        let (secure, is_call) = (settings.peer.is_some(), call.is_some());
        let Some(head) = head(exchange, secure, &settings.authority, is_call) else {
            return Err(Failed { fault: Fault::Head(HeadError::BadTarget), again: Again::Never });
        };
        let whole = request::is_bodyless(exchange);
        // Until the service has looked at it, little of a body can be sent again.
        let kept = (!whole).then(|| client.reader.keep(REPLAYED));
        exchange.record.sent = Some(exchange.record.elapsed());
        let mut stream = self.begin_stream(slot, head, whole)?;
        let progress = Progress::begin(Waiting::begin(self.service, &endpoint));
        let ended = pin!(self.carry(&mut stream, exchange, client, whole, (&progress, call.as_ref()))).await;
        match ended {
            Ok(()) => {
                learn(exchange, &endpoint);
                Ok(())
            }
            Err(fault) => {
                let kept = kept.is_none_or(|whole| whole.get());
                let repeatable = whole && exchange.request.method.is_idempotent();
                Err(stream.failed(fault, kept, repeatable))
            }
        }
    }

    /// Opens a stream with the head of a request, after which nothing comes when it is `whole`.
    pub(super) fn begin_stream(
        &self,
        slot: Slot,
        head: http::Request<()>,
        whole: bool,
    ) -> Result<Stream, Failed> {
        let Ok(asked) = slot.ask(head, whole) else {
            return Err(Failed { fault: Fault::NoAnswer, again: Again::Unprocessed });
        };
        let (timer, stall) = (self.timers.timer(), self.timers.timer());
        timer.arm(self.again.answer_timeout(self.service));
        Ok(Stream::new(asked, timer, stall, slot))
    }

    /// Carries an exchange over its stream, both directions, to the end of the answer.
    pub(super) async fn carry(
        &self,
        stream: &mut Stream,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
        whole: bool,
        (progress, call): (&Progress, Option<&Call>),
    ) -> Result<(), Fault> {
        if let Some(timeout) = exchange.plan.timeout {
            client.total.arm(timeout.saturating_sub(exchange.record.elapsed()));
        }
        let (answer, outflow, waits) = stream.parts();
        let ended = {
            let sides = (outflow, waits.timer);
            let (reader, limits) = (&mut client.reader, &client.limits);
            let up = pin!(self.upload_http2(reader, limits, sides, whole, (progress, call)));
            let responder = &mut client.responder;
            let down = pin!(self.download_http2(exchange, responder, (answer, waits), (progress, call)));
            race(up, down, progress, &client.total).await
        };
        client.total.disarm();
        ended
    }

    /// Sends the body, then watches the client. Ends only with what is the client's fault.
    async fn upload_http2(
        &self,
        reader: &mut ClientReader,
        limits: &ClientLimits,
        (outflow, timer): (&Outflow, &Timer),
        whole: bool,
        (progress, call): (&Progress, Option<&Call>),
    ) -> Fault {
        let await_answer = |is_client_awaited: bool| match (progress.answered.get(), is_client_awaited) {
            (false, true) => timer.disarm(),
            (false, false) => timer.arm(self.again.answer_timeout(self.service)),
            (true, _) => {}
        };
        let sent = match whole {
            true => Ok(true),
            false => send_body(reader, limits, outflow, (&await_answer, call), self.trust).await,
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
        (progress, call): (&Progress, Option<&Call>),
    ) -> Result<(), Fault> {
        let mut inflow = self.final_head_http2(exchange, responder, (answer, waits)).await?;
        if let Some(call) = call.filter(|_| exchange.plan.transcode.is_some())
            && Self::is_of_call(exchange)?
        {
            return Box::pin(self.download_json(exchange, responder, inflow, (progress, call))).await;
        }
        progress.answered(exchange.response.status);
        exchange.record.answered = Some(exchange.record.elapsed());
        inflow.begin(exchange.response.framing);
        if let Some(call) = call {
            translate(exchange, call.form);
        }
        if !self.dress(exchange)? {
            // The stream is given up with what is left of this answer.
            return Ok(());
        }
        let judged = match exchange.holds_answers() {
            true if call.is_none() => Box::pin(self.judged_http2(exchange, &mut inflow)).await?,
            _ => None,
        };
        // A body that was not read to its end would be taken for the next request.
        responder.keep_alive &= progress.upload.get() == Upload::Complete && !(self.closing)();
        responder.pass_on(exchange);
        match judged {
            Some(whole) => {
                responder.data(&whole).await.map_err(client_fault)?;
                responder.end(inflow.trailers_mut()).map_err(client_fault)?;
            }
            None => self.body_http2(exchange, responder, &mut inflow, call).await?,
        }
        responder.flush().await.map_err(client_fault)
    }

    /// The body of the answer, in the form that the client of a call speaks.
    async fn body_http2(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        inflow: &mut Inflow,
        call: Option<&Call>,
    ) -> Result<(), Fault> {
        let form = call.filter(|_| translated(exchange)).map_or(Form::Native, |call| call.form);
        let mut text = String::new();
        loop {
            match inflow.piece() {
                Piece::Data(span) => {
                    call.inspect(|call| call.moved());
                    let data = as_form(form, inflow.data(span), &mut text);
                    responder.data(data).await.map_err(client_fault)?;
                }
                Piece::Done => break,
                Piece::Starved => {
                    responder.flush().await.map_err(client_fault)?;
                    inflow.timer.arm(self.service.idle_timeout);
                    match inflow.fill().await {
                        Err(Broken::Io(ErrorKind::TimedOut))
                            if call.is_some_and(|call| !call.is_silent()) => {}
                        filled => {
                            filled.map_err(answer_fault)?;
                        }
                    }
                }
            }
        }
        let trailers = inflow.trailers_mut();
        if call.is_some() {
            let status = grpc::status(trailers).or_else(|| grpc::status(&exchange.response.fields));
            exchange.record.grpc_status = status;
        }
        if form == Form::Native {
            return responder.end(trailers).map_err(client_fault);
        }
        if !trailers.is_empty() {
            let frame = web::trailers(trailers);
            responder.data(as_form(form, &frame, &mut text)).await.map_err(client_fault)?;
        }
        responder.end(&Fields::new()).map_err(client_fault)
    }

    /// The head of the final answer, and what follows it; interim ones go to the client at once.
    async fn final_head_http2(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        (answer, waits): (&mut ResponseFuture, Waits<'_>),
    ) -> Result<Inflow, Fault> {
        let limits = HeadLimits { head: self.service.max_head, ..HeadLimits::default() };
        let is_call = exchange.plan.transcode.is_some();
        let method = if is_call { Method::Post } else { exchange.request.method };
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

/// The head of the request for a service.
pub(super) fn head(
    exchange: &Exchange,
    secure: bool,
    authority: &str,
    is_call: bool,
) -> Option<http::Request<()>> {
    let mut head = heads::request(&exchange.request, secure, authority, is_call)?;
    // The exchange keeps the client's, which says whether it may be sent again.
    if exchange.plan.transcode.is_some() {
        *head.method_mut() = http::Method::POST;
    }
    Some(head)
}

/// Makes the head of an answer to a call one of the form that its client speaks.
fn translate(exchange: &mut Exchange, form: Form) {
    let head = &mut exchange.response;
    let kind = head.fields.get(names::CONTENT_TYPE).and_then(Form::of);
    let Some((Form::Native, rest)) = kind.filter(|_| form != Form::Native) else { return };
    let kind = form.content_type(rest);
    head.fields.set(names::CONTENT_TYPE, &kind);
    if head.framing != Framing::None {
        head.framing = Framing::Chunked;
    }
}

/// Whether the body of an answer is to be translated: what is no answer of gRPC is passed on as it is.
fn translated(exchange: &Exchange) -> bool {
    Form::of_fields(&exchange.response.fields).is_some_and(|form| form != Form::Native)
}

/// A piece in the form that the client speaks.
fn as_form<'d>(form: Form, data: &'d [u8], text: &'d mut String) -> &'d [u8] {
    if form != Form::WebText {
        return data;
    }
    web::encode(data, text);
    text.as_bytes()
}

/// Sends the body as the windows allow. False when the endpoint takes no more.
async fn send_body(
    reader: &mut ClientReader,
    limits: &ClientLimits,
    outflow: &Outflow,
    (await_answer, call): (&dyn Fn(bool), Option<&Call>),
    trust: &Trust,
) -> Result<bool, Fault> {
    let mut decoding = Decoding::of(call);
    loop {
        let piece = reader.piece()?;
        let sent = match piece {
            Piece::Data(span) => {
                call.inspect(|call| call.moved());
                outflow.send(decoding.take(reader.data(span))?, limits.write_stall).await
            }
            Piece::Done => {
                decoding.end()?;
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
            (Ok(()), Piece::Starved) => match reader.receive(limits).await {
                // The other side may be speaking.
                Err(Fault::BodyTimeout) if call.is_some_and(|call| !call.is_silent()) => {}
                received => received?,
            },
            (Ok(()), Piece::Data(_)) => {}
        }
    }
}
