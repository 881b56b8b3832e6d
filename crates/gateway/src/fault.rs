//! Every way an exchange fails: status, blame, and whether the request may be sent again.
//!
//! One line of the table in [`Fault::facts`] for each fault. Making a response of it is in `fault/response.rs`, the
//! only place that does.

mod call;
pub mod response;

use std::borrow::Cow;

use http1::{BodyError, HeadError, Method};
use shape::Misfit;
use shape::misfit::Refusal;

use crate::http::target::TargetError;

/// Who is to blame for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client sent what may not be sent, or went away.
    Client,
    /// The service could not be reached or answered wrongly.
    Service,
    /// This gateway.
    Gateway,
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The head of the request breaks a rule of HTTP/1.1.
    Head(HeadError),
    /// The target's path or host breaks a rule.
    Target(TargetError),
    /// The body of the request breaks a rule of HTTP/1.1.
    Body(BodyError),
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body stalled, or came slower than the least rate.
    BodyTimeout,
    /// The body is larger than the route takes.
    BodyTooLarge(u64),
    /// The client went away.
    ClientGone,
    /// The client does not take the answer.
    ClientStalled,
    /// A method that a gateway does not forward (CONNECT, TRACE).
    MethodRefused(Method),
    /// Somebody has banned the client's address.
    Banned,
    /// No route matches.
    NoRoute,
    /// A route matches but for its method; these would do.
    MethodNotAllowed(String),
    /// With and without `;parameters` the path leads to different routes.
    AmbiguousPath,
    /// The service has no endpoint: its name does not resolve, or all are gone.
    NoEndpoint,
    /// Too many requests to the service fail, so that none is sent for a while: for so many seconds at least.
    CircuitOpen(u32),
    /// The endpoint refused the connection, or cannot be reached.
    ConnectRefused,
    /// The endpoint's certificate is not believed: of an unknown authority, expired, for another name.
    TargetCertificate,
    /// The endpoint and the gateway agree on no TLS connection.
    TargetTls,
    /// The endpoint did not accept a connection in time.
    ConnectTimeout,
    /// The connection ended before an answer.
    NoAnswer,
    /// The head of the answer did not come in time.
    AnswerTimeout,
    /// The answer's head breaks a rule of HTTP/1.1.
    AnswerHead(HeadError),
    /// The answer's body breaks a rule of HTTP/1.1.
    AnswerBody(BodyError),
    /// The answer ended, or stalled, before it was whole.
    AnswerCut,
    /// The answer stalled.
    AnswerStalled,
    /// The answer switches protocols though nobody asked for that, or sends interim answers without end.
    AnswerUnasked,
    /// The answer is not what the route says that it must be.
    AnswerInvalid,
    /// The body of a call is not the base64 that its type says.
    NotBase64,
    /// The body of the request cannot be made the one for the service.
    BodyUnfit(Misfit),
    /// The body of the answer cannot be made the one for the client.
    AnswerUnfit(Misfit),
    /// The service breaks the rules of HTTP/2.
    AnswerProtocol,
    /// The service takes no more requests, and no place for another one came free in time.
    ServiceFull,
    /// The service answered with a status for which something else was to stand in, and nothing did.
    ServiceFailed(u16),
    /// The whole exchange took longer than the route allows.
    Timeout,
    /// The request came in clear to a port for TLS.
    PlainHttp,
    /// The request is for another host than the one the client asked for when it showed its certificate.
    Misdirected,
    /// The gateway has more connections than it takes.
    Overloaded,
    /// A part of the gateway panicked on this exchange.
    Panic,
}

/// What is known of a fault: the columns of the table.
pub struct Facts {
    /// Status for the client.
    pub status: u16,
    /// Stable word for logs, metrics and the problem type.
    pub code: &'static str,
    /// Who is to blame.
    pub blame: Blame,
    /// Error type of RFC 9209 section 2.3 for `Proxy-Status`; empty where the client alone is to blame.
    pub proxy_error: &'static str,
    /// One sentence for the client. Names nothing inside.
    pub detail: Cow<'static, str>,
}

impl Fault {
    /// The table of all faults.
    pub fn facts(&self) -> Facts {
        use Blame::{Client, Gateway, Service};
        let line = |status, code, blame, proxy_error, detail: &'static str| Facts {
            status,
            code,
            blame,
            proxy_error,
            detail: Cow::Borrowed(detail),
        };
        match self {
            Fault::Head(error) => {
                line(error.status(), error.code(), Client, "http_request_error", error.reason())
            }
            Fault::Target(error) => line(400, error.code(), Client, "http_request_error", error.reason()),
            Fault::Body(error) => line(400, error.code(), Client, "http_request_error", error.reason()),
            Fault::HeadTimeout => line(408, "head_timeout", Client, "", "the request did not arrive in time"),
            Fault::BodyTimeout => {
                line(408, "body_timeout", Client, "", "the request body arrived too slowly")
            }
            Fault::BodyTooLarge(limit) => Facts {
                detail: Cow::Owned(format!("the request body is larger than {limit} bytes")),
                ..line(413, "body_too_large", Client, "http_request_denied", "")
            },
            Fault::ClientGone => line(499, "client_gone", Client, "", "the client went away"),
            Fault::ClientStalled => line(499, "client_stalled", Client, "", "the client stopped reading"),
            Fault::MethodRefused(_) => line(
                405,
                "method_refused",
                Client,
                "http_request_denied",
                "this gateway does not take this method",
            ),
            Fault::NoRoute => {
                line(404, "no_route", Client, "http_request_denied", "no route matches this host and path")
            }
            Fault::MethodNotAllowed(_) => line(
                405,
                "method_not_allowed",
                Client,
                "http_request_denied",
                "the path exists, but not with this method; see the Allow header",
            ),
            Fault::AmbiguousPath => line(
                400,
                "ambiguous_path",
                Client,
                "http_request_denied",
                "with and without its ;parameters the path means different things",
            ),
            Fault::NoEndpoint => {
                line(503, "no_endpoint", Service, "destination_unavailable", "the service is not available")
            }
            Fault::CircuitOpen(_) => line(
                503,
                "circuit_open",
                Service,
                "destination_unavailable",
                "the service fails too often and gets a rest",
            ),
            Fault::ConnectRefused => {
                line(502, "connect_refused", Service, "connection_refused", "the service cannot be reached")
            }
            Fault::TargetCertificate => line(
                502,
                "target_certificate",
                Service,
                "tls_certificate_error",
                "the service cannot prove who it is",
            ),
            Fault::TargetTls => {
                line(502, "target_tls", Service, "tls_protocol_error", "no TLS connection to the service")
            }
            Fault::ConnectTimeout => line(
                504,
                "connect_timeout",
                Service,
                "connection_timeout",
                "the service did not accept in time",
            ),
            Fault::NoAnswer => line(
                502,
                "no_answer",
                Service,
                "connection_terminated",
                "the service ended without an answer",
            ),
            Fault::AnswerTimeout => line(
                504,
                "answer_timeout",
                Service,
                "http_response_timeout",
                "the service did not answer in time",
            ),
            Fault::AnswerHead(error) => Facts {
                detail: Cow::Borrowed("the service's answer breaks the rules of HTTP"),
                ..line(502, error.code(), Service, "http_protocol_error", "")
            },
            Fault::AnswerBody(error) => Facts {
                detail: Cow::Borrowed("the service's answer breaks the rules of HTTP"),
                ..line(502, error.code(), Service, "http_protocol_error", "")
            },
            Fault::AnswerCut => {
                line(502, "answer_cut", Service, "http_response_incomplete", "the service's answer was cut")
            }
            Fault::AnswerStalled => line(
                504,
                "answer_stalled",
                Service,
                "connection_read_timeout",
                "the service's answer stalled",
            ),
            Fault::AnswerInvalid => line(
                502,
                "answer_invalid",
                Service,
                "http_protocol_error",
                "the service's answer is not what it must be",
            ),
            Fault::AnswerUnasked => line(
                502,
                "answer_unasked",
                Service,
                "http_protocol_error",
                "the service answered what nobody asked",
            ),
            Fault::NotBase64 => line(
                400,
                "not_base64",
                Client,
                "http_request_error",
                "the body of a call of gRPC-Web is not base64",
            ),
            Fault::BodyUnfit(misfit) => {
                let told = line(status_of(misfit), misfit.code(), blamed(misfit), "http_request_error", "");
                Facts { detail: Cow::Owned(misfit.to_string()), ..told }
            }
            Fault::AnswerUnfit(_) => line(
                502,
                "answer_unfit",
                Service,
                "http_protocol_error",
                "the service's answer cannot be made the one for the client",
            ),
            Fault::AnswerProtocol => line(
                502,
                "answer_protocol",
                Service,
                "http_protocol_error",
                "the service breaks the rules of HTTP/2",
            ),
            Fault::ServiceFull => line(
                503,
                "service_full",
                Service,
                "connection_limit_reached",
                "the service takes no more requests at the moment",
            ),
            Fault::ServiceFailed(status) => {
                line(*status, "service_failed", Service, "destination_unavailable", "the service failed")
            }
            Fault::Timeout => {
                line(504, "timeout", Service, "http_response_timeout", "the request took too long")
            }
            Fault::Banned => {
                line(403, "banned", Client, "http_request_denied", "this address may not come for a while")
            }
            Fault::PlainHttp => {
                line(400, "plain_http", Client, "http_request_denied", "this port speaks TLS: use https")
            }
            Fault::Misdirected => line(
                421,
                "misdirected",
                Client,
                "http_request_denied",
                "the connection was made for another host",
            ),
            Fault::Overloaded => line(
                503,
                "overloaded",
                Gateway,
                "connection_limit_reached",
                "the gateway takes no more connections at the moment",
            ),
            Fault::Panic => line(
                500,
                "internal_error",
                Gateway,
                "proxy_internal_error",
                "the gateway failed on this request",
            ),
        }
    }

    /// Whether the client's connection ends with this fault: where its next request begins cannot be known, or a client
    /// that sends such things is not to be believed about it.
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Fault::Head(_)
                | Fault::Target(_)
                | Fault::Body(_)
                | Fault::MethodRefused(_)
                | Fault::PlainHttp
                | Fault::HeadTimeout
                | Fault::BodyTimeout
                | Fault::ClientGone
                | Fault::ClientStalled
                | Fault::Panic
                | Fault::Overloaded
        )
    }
}

/// Whose doing it is that a body was not made another one.
fn blamed(misfit: &Misfit) -> Blame {
    if *misfit == Misfit::Busy { Blame::Gateway } else { Blame::Client }
}

/// The status for a request whose body does not fit.
fn status_of(misfit: &Misfit) -> u16 {
    match misfit.refusal() {
        Refusal::Bad => 400,
        Refusal::Large => 413,
        Refusal::Kind => 415,
        Refusal::Undoable => 422,
        Refusal::Later => 503,
    }
}
