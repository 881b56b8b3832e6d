//! `request`: makes requests others before the service gets them: headers, query, what stands in the body, its format.
//!
//! Takes the request as the other policies left it. Small bodies are looked at whole before the service hears of them,
//! larger ones as they pass. Must never let a body pass as it was that was to be shaped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::headers::{Changes, Edits, Side};
use super::response::formats::{FormatSettings, Formats};
use super::response::ops::{Ops, Step};
use super::response::shaper::{Other, Shaper};
use super::response::{HELD, limits};
use super::rewrite::QueryChanges;
use super::rewrite::query;
use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::values::Size;

/// Makes requests others before the service gets them: headers, query, members of JSON bodies, formats.
///
/// The steps of `body` are those of `response`. A body that is no good JSON, has a name twice in one object or is nested deeper
/// than 64 gets 400; one that is too large to be held, or unfolds to more than a hundred times its size, 413; one in another
/// format 415, unless `other` lets it pass; one that cannot be said in the format of the service 422. Bodies of up to 64KiB are
/// known to be good before the service hears of them; a larger one that turns out bad is broken off. Bodies that come coded
/// with gzip, br or zstd go on without; digests are left out. Requests without a body stay without.
///
/// ```yaml
/// request:
///   body:
///     - rename: { user_name: username }
///     - set: { tenant: "{header.x-tenant}" }
/// ```
///
/// ```yaml
/// request: { format: { from: xml, to: json, xml: { root: order } } }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "RequestShape")]
pub struct Request {
    /// Changes to headers, as those of `headers`.
    headers: Changes,
    /// Changes to the query, as those of `rewrite`.
    query: QueryChanges,
    /// What is done to bodies, step by step.
    body: Vec<Spanned<Step>>,
    /// The format that the service gets, and those that clients may send: json, xml, form, csv, msgpack, cbor.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatSettings>,
    /// The largest body, or part of one, that is held whole. Default: 1MiB.
    max_size: Size,
    /// What becomes of bodies in other formats: `refuse` (415) or `pass`. Default: refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Other>,
}

impl Default for Request {
    fn default() -> Self {
        let (headers, query, body, format, other) = Default::default();
        Request { headers, query, body, format, max_size: HELD, other }
    }
}

impl Settings for Request {
    const NAME: &'static str = "request";
    // It is the reader of the body that refuses, so `mode: shadow` could not watch.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let plain = self.headers == Changes::default() && self.query == QueryChanges::default();
        if self.body.is_empty() && self.format.is_none() && plain {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`request` changes nothing");
            fault.help("write `headers`, `query`, `body` or `format`");
            return None;
        }
        let headers = self.headers.compile(Side::Request, faults);
        let query = query::Edits::new(&self.query);
        let formats = Formats::new(self.format.as_ref(), false, faults);
        let ops = Ops::new(&self.body, key, faults);
        let (limits, other) = (limits(self.max_size), self.other.unwrap_or(Other::Refuse));
        let shaper = Shaper { ops: ops?, formats: formats?, limits, other };
        Some(Box::new(Compiled { headers, query, shaper }))
    }
}

/// The policy, ready to run.
struct Compiled {
    headers: Edits,
    query: query::Edits,
    shaper: Shaper,
}

impl Policy for Compiled {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        // What is filled in is read before anything is changed.
        self.shaper.request(exchange);
        if let Some(query) = self.query.apply(exchange) {
            exchange.plan.query = Some(query);
        }
        self.headers.apply(exchange, Side::Request);
        Verdict::Go
    }
}
