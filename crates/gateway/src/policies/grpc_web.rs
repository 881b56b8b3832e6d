//! `grpc_web`: calls of gRPC from browsers, which see no trailers.
//!
//! Takes a call in the form of gRPC-Web and makes it one of gRPC; the road translates bodies and trailers as the plan says.

use http1::{Framing, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Span, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::http::grpc::Form;

/// Translates gRPC-Web, binary and text, to gRPC and back, so that pages can call services of gRPC.
///
/// Calls are known by their `Content-Type`; those of gRPC itself and all other requests pass as they are. The service must be
/// one that speaks HTTP/2. Pages of other origins need `cors` besides, with `expose: [grpc-status, grpc-message]`.
/// Default: false.
///
/// ```yaml
/// grpc_web: true
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct GrpcWeb(bool);

impl Settings for GrpcWeb {
    const NAME: &'static str = "grpc_web";
    // It refuses nothing.
    const REFUSES: bool = false;

    fn compile(self, key: &Spanned<String>, _: &Context, _: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        Some(Box::new(Compiled { on: self.0, span: key.span() }))
    }
}

/// The policy, ready to run.
struct Compiled {
    on: bool,
    span: Span,
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        if self.on && !place.http2 {
            let what = "`grpc_web` needs a service that speaks HTTP/2, as gRPC does";
            let fault = place.faults.error(codes::BAD_POLICY, self.span, what);
            fault.help("write `protocol: http2` at the service of this route");
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let kind = exchange.request.fields.get(names::CONTENT_TYPE).filter(|_| self.on);
        let Some((form, rest)) = kind.and_then(Form::of).filter(|(form, _)| *form != Form::Native) else {
            return Verdict::Go;
        };
        let native = Form::Native.content_type(rest);
        exchange.request.fields.set(names::CONTENT_TYPE, &native);
        exchange.plan.grpc_web = Some(form);
        // A text is longer than what it says.
        if form == Form::WebText && matches!(exchange.request.framing, Framing::Length(length) if length > 0)
        {
            exchange.request.framing = Framing::Chunked;
        }
        Verdict::Go
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, run};
    use super::*;

    #[test]
    fn a_call_becomes_one_of_grpc() {
        for (kind, native, form) in [
            ("application/grpc-web+proto", "application/grpc+proto", Some(Form::Web)),
            ("application/grpc-web-text", "application/grpc", Some(Form::WebText)),
            ("application/grpc+proto", "application/grpc+proto", None),
            ("application/json", "application/json", None),
        ] {
            let mut exchange = asked("POST", "/a.B/C", &[("Content-Type", kind)]);
            exchange.request.framing = Framing::Length(8);
            assert!(run("grpc_web: true", &mut exchange).is_none());
            assert_eq!(exchange.request.fields.get(names::CONTENT_TYPE), Some(native.as_bytes()));
            assert_eq!(exchange.plan.grpc_web, form);
            assert_eq!(exchange.request.framing == Framing::Chunked, form == Some(Form::WebText));
        }
    }

    #[test]
    fn switched_off_it_does_nothing() {
        let mut exchange = asked("POST", "/", &[("Content-Type", "application/grpc-web")]);
        assert!(run("grpc_web: false", &mut exchange).is_none());
        assert_eq!(exchange.plan.grpc_web, None);
    }
}
