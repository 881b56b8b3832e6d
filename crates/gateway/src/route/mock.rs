//! Answers made up from an OpenAPI document.
//!
//! Takes a request, finds its operation, and gives one of its examples, a value made from its schema, or what was written for
//! it. The same request gets the same answer.

use std::collections::HashMap;
use std::sync::Arc;

use contract::{Api, Found, Wanted};
use http1::names;

use crate::exchange::{Answer, Body, Exchange};

/// What answers are made from.
pub struct Mock {
    /// The document.
    pub api: Arc<Api>,
    /// What stands before its paths; `None` for the paths of its servers.
    pub base: Option<String>,
    /// The status of all answers.
    pub status: Option<u16>,
    /// Answers that were written, by the place of the operation.
    pub answers: HashMap<usize, Answer>,
}

impl Mock {
    /// The answer to a request.
    pub fn answer(&self, exchange: &Exchange) -> Answer {
        let method = String::from_utf8_lossy(exchange.request.method_text());
        match self.api.find(&method, &exchange.path, self.base.as_deref()) {
            Found::Nothing => Answer::problem(404, "not_documented", "the document has no such path"),
            Found::OtherMethods(methods) => {
                let told = "the document has this path, but not with this method; see the Allow header";
                Answer::problem(405, "not_documented", told).with("Allow", methods.join(", "))
            }
            Found::Operation(place, operation, _) => {
                let prefer = Prefer::of(exchange);
                if let (Some(written), None) = (self.answers.get(&place), prefer.code) {
                    return written.clone();
                }
                let accept = exchange.request.fields.get(names::ACCEPT);
                let accept = accept.and_then(|accept| std::str::from_utf8(accept).ok());
                // A status that is wished for here holds where the document has it; one that the client asks for must.
                let own = self.status.filter(|status| operation.response(*status).is_some());
                let status = prefer.code.or(own);
                let wanted = Wanted { status, example: prefer.example.as_deref(), accept };
                match self.api.mock(operation, wanted) {
                    Some(mocked) => answer(mocked),
                    None => {
                        Answer::problem(501, "no_example", "the document has no such answer for this request")
                    }
                }
            }
        }
    }
}

fn answer(mocked: contract::Mocked) -> Answer {
    let mut answer = Answer::empty(mocked.status, "mock");
    for (name, text) in mocked.headers {
        answer = answer.with(&name, text);
    }
    if !mocked.content_type.is_empty() {
        let bytes = Arc::from(mocked.body);
        answer.body = Body::Bytes { content_type: mocked.content_type.into(), bytes };
    }
    answer
}

/// What a client wants of the answer (RFC 7240).
#[derive(Default)]
struct Prefer {
    code: Option<u16>,
    example: Option<String>,
}

impl Prefer {
    fn of(exchange: &Exchange) -> Prefer {
        let mut prefer = Prefer::default();
        let lines = exchange.request.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"prefer"));
        for line in lines {
            let text = String::from_utf8_lossy(line.value);
            for (name, value) in text.split([',', ';']).filter_map(|one| one.trim().split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "code" => prefer.code = value.parse().ok().filter(|code| (200..600).contains(code)),
                    "example" => prefer.example = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        prefer
    }
}
