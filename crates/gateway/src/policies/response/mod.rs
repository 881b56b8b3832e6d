//! `response`: makes answers others: their headers, what stands in their bodies, and the format of these.
//!
//! Takes the head of a service's answer; says what becomes of its body as it passes. What is shared with `request` and
//! `filter`, which do the same in other places, stands in this folder. Must never let a body pass as it was that was to
//! be shaped: it is refused instead.

pub(in crate::policies) mod formats;
pub(in crate::policies) mod ops;
pub(in crate::policies) mod shaper;

use http1::names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shape::{Format, Limits};

use super::headers::{Changes, Edits, Side};
use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::values::Size;
use formats::{FormatSettings, Formats};
use ops::{Ops, Step};
use shaper::{Other, Shaper, vary_by_accept};

/// Makes answers others: headers, members of JSON bodies, formats.
///
/// The steps of `body` run in their order over bodies of JSON. `remove`, `keep`, `rename`, `mask`, `case`, `wrap`, and whatever
/// stands below a `*`, run as the body passes, whatever its size; `move`, `set`, `default` and `flatten` at other places hold
/// the body whole, up to `max_size`. Numbers and texts that are not touched keep their bytes.
///
/// A body that is no good JSON, has a name twice in one object, is nested deeper than 64, or is too large to be held, is
/// refused with 502 (`answer_unfit`); once a part of a large one has gone out, the answer is cut. Answers that come coded with
/// gzip, br or zstd are taken apart; `compress` codes them anew. `Range` is not asked of the service. `ETag` becomes a weak one,
/// digests are left out. What the gateway itself answers stays as it is.
///
/// ```yaml
/// response:
///   body:
///     - remove: [internal_id, orders.*.card.cvv]
///     - rename: { user_name: username }
///     - mask: { fields: orders.*.card.number, with: last4 }
///     - set: { region: eu }
/// ```
///
/// ```yaml
/// response: { format: { to: [json, xml, csv], xml: { root: orders } } }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "ResponseShape")]
pub struct Response {
    /// Changes to headers, as those of `headers`.
    headers: Changes,
    /// What is done to bodies, step by step.
    body: Vec<Spanned<Step>>,
    /// The format of bodies, or formats from which the client's `Accept` chooses: json, xml, form, csv, msgpack, cbor.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatSettings>,
    /// The largest body, or part of one, that is held whole. Default: 1MiB.
    max_size: Size,
    /// What becomes of bodies in other formats, such as pages and pictures: `pass` or `refuse` (502). Default: pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Other>,
}

impl Settings for Response {
    const NAME: &'static str = "response";
    // It refuses answers, not requests.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        if self.body.is_empty() && self.format.is_none() && self.headers == Changes::default() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`response` changes nothing");
            fault.help("write `headers`, `body` or `format`");
            return None;
        }
        let shape = serde_json::to_string(&self).unwrap_or_default();
        let headers = self.headers.compile(Side::Response, faults);
        let formats = Formats::new(self.format.as_ref(), true, faults);
        let ops = Ops::new(&self.body, key, faults);
        let (limits, other) = (limits(self.max_size), self.other.unwrap_or(Other::Pass));
        let shaper = Shaper { ops: ops?, formats: formats?, limits, other };
        Some(Box::new(Compiled { headers, shaper, shape }))
    }
}

impl Default for Response {
    fn default() -> Self {
        let (headers, body, format, other) = Default::default();
        Response { headers, body, format, max_size: HELD, other }
    }
}

/// The largest body that is held whole unless something else is said.
pub(super) const HELD: Size = Size::from_kib(1024);

/// The limits of bodies, of which so much is held whole.
pub(super) fn limits(size: Size) -> Limits {
    Limits { size: usize::try_from(size.bytes()).unwrap_or(usize::MAX), ..Limits::default() }
}

/// Whether a list that may be left out is not there.
fn is_nothing<T>(list: &OneOrMany<T>) -> bool {
    list.iter().next().is_none()
}

/// The policy, ready to run.
struct Compiled {
    headers: Edits,
    shaper: Shaper,
    /// Its settings.
    shape: String,
}

/// What the answer becomes, as the client wished before anything was changed.
struct Target(Format);

impl Policy for Compiled {
    fn shape(&self) -> Option<&str> {
        Some(&self.shape)
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if self.shaper.is_idle() {
            return Verdict::Go;
        }
        Shaper::ask_whole(exchange);
        if let Some(target) = self.shaper.formats.target(&exchange.request.fields).cloned() {
            exchange.notes.put(Target(target));
            // The service says it in its own words.
            exchange.request.fields.set(names::ACCEPT, b"application/json, */*;q=0.5");
        }
        Verdict::Go
    }

    fn response(&self, exchange: &mut Exchange) {
        let to = exchange.notes.get::<Target>().map(|Target(format)| format.clone());
        self.shaper.answer(exchange, to.as_ref());
        if self.shaper.formats.choose() {
            vary_by_accept(&mut exchange.response.fields);
        }
        self.headers.apply(exchange, Side::Response);
    }
}
