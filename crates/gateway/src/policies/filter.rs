//! `filter`: takes named members out of every answer, wherever they stand in it.
//!
//! Takes a service's answer as it gave it, before any other policy. Must never let one pass that it could not read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shape::Limits;

use super::response::formats::Formats;
use super::response::ops::Ops;
use super::response::shaper::{Other, Shaper};
use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::{Exchange, Verdict};

/// Takes sensitive members out of every JSON answer of a route, at any depth, whatever its status and size.
///
/// Names are compared whole and without regard to case, however they are escaped. An answer that is not good JSON though it says
/// so, comes as a part, or is coded in a way that cannot be taken apart, is refused with 502 (`answer_unfit`). One without a
/// `Content-Type` is taken for JSON. Other kinds of answers (pages, pictures, XML, events) pass, unless `other` refuses them.
/// The service is never asked for a `Range`. Answers of earlier days that stand in for the service are filtered too.
///
/// ```yaml
/// filter: { sensitive: [password, card_number, cvv] }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Filter {
    /// Names of members that go, with all that is in them.
    sensitive: OneOrMany<Spanned<String>>,
    /// What becomes of answers that are no JSON: `pass` or `refuse` (502). Default: pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other: Option<Other>,
}

impl Settings for Filter {
    const NAME: &'static str = "filter";
    // It refuses answers, not requests.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let names: Vec<&str> = self.sensitive.iter().map(|name| name.as_str()).collect();
        if names.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`filter` takes nothing out");
            fault.help("write the names of members: `sensitive: [password, card_number]`");
            return None;
        }
        if let Some(name) = self.sensitive.iter().find(|name| name.contains(['.', '*'])) {
            let what = format!("`{}` of `filter` is a path: it takes names, which go at any depth", **name);
            faults
                .error(codes::BAD_VALUE, name.span(), what)
                .help("write the last name, or `response: { body: .. }`");
            return None;
        }
        let ops = match Ops::removing(&names) {
            Ok(ops) => ops,
            Err(why) => {
                faults
                    .error(codes::BAD_POLICY, key.span(), format!("`filter` cannot be done: {why}"))
                    .help("name fewer");
                return None;
            }
        };
        let shape = serde_json::to_string(&self).unwrap_or_default();
        let other = self.other.unwrap_or(Other::Pass);
        let shaper = Shaper { ops, formats: Formats::json(), limits: Limits::default(), other };
        Some(Box::new(Compiled { shaper, shape }))
    }
}

/// The policy, ready to run.
struct Compiled {
    shaper: Shaper,
    /// Its settings.
    shape: String,
}

impl Policy for Compiled {
    fn shape(&self) -> Option<&str> {
        Some(&self.shape)
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        Shaper::ask_whole(exchange);
        Verdict::Go
    }

    fn response(&self, exchange: &mut Exchange) {
        self.shaper.answer(exchange, None);
    }
}
