//! `body_limit`: the largest body of a request.
//!
//! Only writes the limit into the plan: the reader of the body keeps it, so that a body without a length is bounded
//! as well as one that says its length.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned};
use crate::exchange::{Exchange, Verdict};
use crate::values::{OrOff, Size};

/// The largest body of a request, in bytes: a larger one gets 413.
///
/// A body that says its length is refused before the service hears of it; one of unknown length when it passes the limit.
/// `0` allows no body at all. `off` takes away every limit, also that of the listener: for uploads that the service
/// itself bounds. Default: the listener's, 10MiB unless changed.
///
/// ```yaml
/// body_limit: 1MiB
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct BodyLimit(OrOff<Size>);

impl Settings for BodyLimit {
    const NAME: &'static str = "body_limit";
    // It is the reader of the body that refuses, so `mode: shadow` could not watch.
    const REFUSES: bool = false;

    fn compile(self, _: &Spanned<String>, _: &Context, _: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        Some(Box::new(self))
    }
}

impl Policy for BodyLimit {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        exchange.plan.body_limit = Some(match self.0 {
            OrOff::Off => u64::MAX,
            OrOff::At(size) => size.bytes(),
        });
        Verdict::Go
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};

    #[test]
    fn the_limit_is_planned() {
        for (written, bytes) in [("1MiB", 1 << 20), ("0", 0), ("0B", 0), ("1000", 1000), ("off", u64::MAX)] {
            let mut exchange = asked("POST", "/", &[]);
            assert!(run(&format!("body_limit: {written}"), &mut exchange).is_none());
            assert_eq!(exchange.plan.body_limit, Some(bytes), "{written}");
        }
    }

    #[test]
    fn what_is_no_size_is_a_fault() {
        assert_eq!(
            fault("body_limit: 1MB"),
            "`body_limit`: `1MB` is not a size: units are powers of two: write `1MiB`; or `off`"
        );
    }
}
