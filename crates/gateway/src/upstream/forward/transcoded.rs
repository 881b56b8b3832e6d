//! The answer to a call that came as JSON: its frames become JSON, its status one of HTTP.
//!
//! What is one message is held until the status is known, which comes last; a stream is held until its first message. From
//! there each message goes out as it comes. A stream that ends badly says so in a last line and is cut.

use std::io::ErrorKind;

use ::http1::{Fields, Framing, Name, Version, names};
use serde_json::{Value, json};
use transcode::{Reply, status};

use super::Forward;
use super::call::{self, Call};
use super::judged;
use super::progress::{Progress, Upload, answer_fault};
use crate::exchange::{Answer, Exchange, Problem};
use crate::fault::{Fault, response};
use crate::http::grpc::{self, Form};
use crate::http::http2::inflow::Inflow;
use crate::http::incoming::{Broken, Piece};
use crate::http::reshaped::client_fault;
use crate::http::responder::Responder;

/// The details of an error, as a message of `google.rpc.Status`.
const DETAILS: &[u8] = b"grpc-status-details-bin";
/// What a stream of messages becomes.
const LINES: &[u8] = b"application/x-ndjson";
const JSON: &[u8] = b"application/json";

/// How far an answer is.
enum Begun {
    /// Something may follow.
    Open,
    /// All of it is there, with this status.
    Ended(u16),
}

impl Forward<'_> {
    /// Whether an answer is one to a call at all. One of HTTP alone that is an error passes as it is.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn is_of_call(exchange: &mut Exchange) -> Result<bool, Fault> {
        let head = &exchange.response;
        if head.status == 200 && Form::of_fields(&head.fields) == Some(Form::Native) {
            return Ok(true);
        }
        match head.status {
            400.. => Ok(false),
            _ => Err(invalid(exchange, "the service does not answer as gRPC does".into())),
        }
    }

    /// Receives the answer to a call and sends it as JSON.
    pub(super) async fn download_json(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        mut inflow: Inflow,
        (progress, call): (&Progress, &Call),
    ) -> Result<(), Fault> {
        let Some(asked) = exchange.plan.transcode.clone() else { return Err(Fault::AnswerProtocol) };
        inflow.begin(exchange.response.framing);
        let (mut reply, mut out) = (Reply::new(asked.clone()), Vec::new());
        let begun = self.begin_json(exchange, &mut inflow, call, (&mut reply, &mut out)).await?;
        match begun {
            // The service was told the time and gave up with the gateway: who of them is heard first says nothing.
            Begun::Ended(number) if call::ran_out(exchange, number) => return Err(Fault::Timeout),
            Begun::Ended(number) if number != 0 => out = refuse(exchange, number, inflow.trailers_mut()),
            Begun::Ended(_) => {
                reply.end().map_err(|why| invalid(exchange, why))?;
                accept(exchange, asked.streams(), Framing::Length(out.len() as u64));
            }
            Begun::Open => accept(exchange, asked.streams(), Framing::Chunked),
        }
        progress.answered(exchange.response.status);
        exchange.record.answered = Some(exchange.record.elapsed());
        if !self.dress(exchange)? {
            return Ok(());
        }
        responder.keep_alive &= progress.upload.get() == Upload::Complete && !(self.closing)();
        let is_judged = exchange.judges.as_ref().is_some_and(|judges| !judges.answer.is_empty());
        let mut begun = begun;
        if is_judged {
            if let Begun::Open = begun {
                self.all_json(exchange, &mut inflow, call, (&mut reply, &mut out)).await?;
                begun = Begun::Ended(0);
            }
            out = judged::judge(exchange, out)?;
        }
        responder.pass_on(exchange);
        responder.data(&out).await.map_err(client_fault)?;
        if let Begun::Open = begun {
            self.stream_json(exchange, responder, (&mut inflow, call), (&mut reply, out)).await?;
        }
        let trailers = inflow.trailers_mut();
        clean(trailers);
        responder.end(trailers).map_err(client_fault)?;
        responder.flush().await.map_err(client_fault)
    }

    /// Reads until it is known with which status the answer begins.
    async fn begin_json(
        &self,
        exchange: &mut Exchange,
        inflow: &mut Inflow,
        call: &Call,
        (reply, out): (&mut Reply, &mut Vec<u8>),
    ) -> Result<Begun, Fault> {
        let streams = exchange.plan.transcode.as_ref().is_some_and(|asked| asked.streams());
        loop {
            match inflow.piece() {
                Piece::Data(span) => {
                    call.moved();
                    reply.take(inflow.data(span), out).map_err(|why| invalid(exchange, why))?;
                    if streams && reply.has_begun() {
                        return Ok(Begun::Open);
                    }
                }
                Piece::Done => return told(exchange, inflow.trailers_mut()).map(Begun::Ended),
                Piece::Starved => self.wait_json(inflow, call).await?,
            }
        }
    }

    /// Sends messages as they come, to the end.
    async fn stream_json(
        &self,
        exchange: &mut Exchange,
        responder: &mut Responder,
        (inflow, call): (&mut Inflow, &Call),
        (reply, mut out): (&mut Reply, Vec<u8>),
    ) -> Result<(), Fault> {
        loop {
            match inflow.piece() {
                Piece::Data(span) => {
                    call.moved();
                    out.clear();
                    reply.take(inflow.data(span), &mut out).map_err(|why| invalid(exchange, why))?;
                    responder.data(&out).await.map_err(client_fault)?;
                }
                Piece::Starved => {
                    responder.flush().await.map_err(client_fault)?;
                    self.wait_json(inflow, call).await?;
                }
                Piece::Done => break,
            }
        }
        let number = told(exchange, inflow.trailers_mut())?;
        if number == 0 {
            return reply.end().map_err(|why| invalid(exchange, why));
        }
        let last = last_line(exchange, number, inflow.trailers_mut());
        responder.data(&last).await.map_err(client_fault)?;
        responder.flush().await.map_err(client_fault)?;
        Err(Fault::AnswerCut)
    }

    /// Reads a stream to its end, for those who judge all of it.
    async fn all_json(
        &self,
        exchange: &mut Exchange,
        inflow: &mut Inflow,
        call: &Call,
        (reply, out): (&mut Reply, &mut Vec<u8>),
    ) -> Result<(), Fault> {
        loop {
            match inflow.piece() {
                Piece::Data(span) => {
                    call.moved();
                    reply.take(inflow.data(span), out).map_err(|why| invalid(exchange, why))?;
                    judged::bound(exchange, out.len())?;
                }
                Piece::Starved => self.wait_json(inflow, call).await?,
                Piece::Done => break,
            }
        }
        match told(exchange, inflow.trailers_mut())? {
            0 => reply.end().map_err(|why| invalid(exchange, why)),
            _ => Err(Fault::AnswerCut),
        }
    }

    /// Waits for more of the answer.
    async fn wait_json(&self, inflow: &mut Inflow, call: &Call) -> Result<(), Fault> {
        inflow.timer.arm(self.service.idle_timeout);
        match inflow.fill().await {
            Err(Broken::Io(ErrorKind::TimedOut)) if !call.is_silent() => Ok(()),
            filled => filled.map(|_| ()).map_err(answer_fault),
        }
    }
}

/// The fault of an answer that is not what it must be; logs are told why.
fn invalid(exchange: &mut Exchange, why: String) -> Fault {
    exchange.record.why = why.into();
    Fault::AnswerInvalid
}

/// The status that the service tells, behind the body or in its head.
fn told(exchange: &mut Exchange, trailers: &Fields) -> Result<u16, Fault> {
    let status = grpc::status(trailers).or_else(|| grpc::status(&exchange.response.fields));
    exchange.record.grpc_status = status;
    status.ok_or_else(|| invalid(exchange, "the service tells no grpc-status".into()))
}

/// A field that stands behind the body, or in the head.
fn field<'f>(name: &[u8], trailers: &'f Fields, head: &'f Fields) -> Option<&'f [u8]> {
    let name = Name::new(name).ok()?;
    trailers.get(name).or_else(|| head.get(name))
}

/// Takes out what is about the call of gRPC alone.
fn clean(fields: &mut Fields) {
    fields.retain(|field| {
        let name = field.name.to_ascii_lowercase();
        !matches!(
            name.as_slice(),
            b"grpc-status" | b"grpc-message" | DETAILS | b"grpc-encoding" | b"grpc-accept-encoding"
        )
    });
}

/// Makes the head of a good answer that of JSON.
fn accept(exchange: &mut Exchange, streams: bool, framing: Framing) {
    let head = &mut exchange.response;
    clean(&mut head.fields);
    head.fields.remove(names::CONTENT_ENCODING);
    head.fields.set(names::CONTENT_TYPE, if streams { LINES } else { JSON });
    (head.framing, head.declared_length) = (framing, None);
}

/// What the service tells of an error: its sentence and details.
fn error(exchange: &Exchange, trailers: &Fields) -> (String, Vec<Value>) {
    let head = &exchange.response.fields;
    let sentence = field(grpc::MESSAGE, trailers, head).map(status::message).unwrap_or_default();
    let told = field(DETAILS, trailers, head).zip(exchange.plan.transcode.as_deref());
    (sentence, told.map(|(field, call)| status::details(call, field)).unwrap_or_default())
}

/// Makes a problem of the error that the service tells, and gives its body. What else its head says stays.
fn refuse(exchange: &mut Exchange, number: u16, trailers: &Fields) -> Vec<u8> {
    let (sentence, details) = error(exchange, trailers);
    let known = status::status(number);
    let mut members = vec![("grpc_status", number.into()), ("code", known.name.into())];
    if !details.is_empty() {
        members.push(("details", details.into()));
    }
    // The registry has no words for 499.
    let title = match ::http1::canonical_reason(known.http) {
        "" => known.name,
        title => title,
    };
    let problem = Problem { kind: known.kind, title, detail: sentence, members };
    let mut fields = exchange.response.fields.clone();
    let answer = Answer::typed_problem(known.http, "", problem);
    let refused = exchange.shaping.as_ref().is_some_and(|shaping| shaping.refused);
    let body = response::respond(exchange, &answer);
    // It is the service that says so: what shapes its answers shapes this too.
    if let Some(shaping) = &mut exchange.shaping {
        shaping.refused = refused;
    }
    clean(&mut fields);
    for name in [names::CONTENT_TYPE, names::CONTENT_ENCODING, names::CONTENT_LENGTH, names::CACHE_CONTROL] {
        fields.remove(name);
    }
    for field in fields.iter() {
        if let Ok(name) = Name::new(field.name) {
            exchange.response.fields.push(name, field.value);
        }
    }
    exchange.response.version = Version::Http2;
    body.to_vec()
}

/// The last line of a stream that ends badly.
fn last_line(exchange: &Exchange, number: u16, trailers: &Fields) -> Vec<u8> {
    let (sentence, details) = error(exchange, trailers);
    let known = status::status(number);
    let error = json!({ "code": number, "status": known.name, "message": sentence, "details": details });
    format!("{}\n", json!({ "error": error })).into_bytes()
}
