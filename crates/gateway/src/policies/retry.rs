//! `retry`: sends a request again when a target fails.
//!
//! Only says when; the road does it, whatever the exchange is waiting for, within the budget of the service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Context, Policy, Settings};
use crate::config::{self, Diagnostics, Spanned, codes};
use crate::upstream::care::Care;
use crate::upstream::retry;

/// Sends a request again when a target fails it: to another target, where there is one.
///
/// That happens only where it does no harm. GET, HEAD, OPTIONS, PUT and DELETE may be repeated; POST and PATCH only where
/// `methods` names them and the request has an `Idempotency-Key`; and any request of which the service has got nothing. Once
/// the head of an answer has gone to the client nothing is sent again. A share of the service's requests (`budget`) may be
/// repetitions, so that a service that fails is not drowned by them.
///
/// It stands on a route, in a bundle, in `defaults` or on a service, for all routes to it; what stands on the route holds.
/// `false` sends nothing again. A repeated request says so in `Tidegate-Attempt`; a gateway that gets this header does not
/// send again itself.
///
/// ```yaml
/// retry: { attempts: 3, on: [connect, reset, 503], per_try_timeout: 2s }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
pub enum Retry {
    /// `false`: nothing is sent again.
    Bool(bool),
    /// When.
    Map(config::Retry),
}

impl Serialize for Retry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Retry::Bool(again) => again.serialize(serializer),
            Retry::Map(written) => written.serialize(serializer),
        }
    }
}

/// Compiled: when, or never.
struct Compiled(Option<retry::Retry>);

impl Settings for Retry {
    const NAME: &'static str = "retry";
    // It is the road that sends again, so `mode: shadow` could not watch.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let written = match self {
            Retry::Bool(false) => return Some(Box::new(Compiled(None))),
            Retry::Bool(true) => config::Retry::default(),
            Retry::Map(written) => written,
        };
        if let Some((fault, remedy)) = written.fault() {
            faults.error(codes::BAD_POLICY, key.span(), fault).help(remedy);
            return None;
        }
        Some(Box::new(Compiled(Some(retry::Retry::new(&written)))))
    }
}

impl Policy for Compiled {
    fn care(&self, care: &mut Care) {
        care.retry.clone_from(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bound, fault};
    use super::*;

    fn care(lines: &str) -> Care {
        let retry = Some(retry::Retry::new(&config::Retry::default()));
        let mut care = Care { retry, ..Care::default() };
        bound(lines).unwrap().iter().for_each(|bound| bound.policy.care(&mut care));
        care
    }

    #[test]
    fn the_route_has_the_last_word() {
        assert_eq!(care("retry: false").retry, None);
        assert_eq!(care("retry: true").retry.unwrap().attempts, 2);
        assert_eq!(care("retry: { attempts: 3 }").retry.unwrap().attempts, 3);
    }

    #[test]
    fn what_cannot_be() {
        for (written, told) in [
            (
                "retry: { attempts: 1 }",
                "`attempts: 1` is not between 2 and 10: the first time counts: 2 sends a request once more",
            ),
            (
                "retry: { on: [open_circuit] }",
                "`open_circuit` is no reason to send a request again: the service was not even asked: \
                 `fallback` is for that",
            ),
            ("retry: { on: [conect] }", "`retry.on[0]`: `conect` is no way to fail: did you mean `connect`?"),
            ("retry: { budget: 0% }", "a `budget` of nothing lets nothing be sent again: leave `retry` out"),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }
}
