//! `timeout`: the time a request may take until its answer begins.
//!
//! Only writes the time into the plan: the road keeps it, whatever the exchange is waiting for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::values::{Duration, OrOff};

/// The time from the first byte of a request until the head of its answer: after it the client gets 504.
///
/// Connecting, every try and the sending of the body count; the body of the answer does not, so that streams may last.
/// The time-outs of the service hold besides. `off` takes away the limit that `defaults` or a bundle sets.
/// Default: none but those of the service.
///
/// ```yaml
/// timeout: 5s
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Timeout(Spanned<OrOff<Duration>>);

impl Settings for Timeout {
    const NAME: &'static str = "timeout";
    // It is the road that ends the exchange, so `mode: shadow` could not watch.
    const REFUSES: bool = false;

    fn compile(self, _: &Spanned<String>, _: &Context, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        if matches!(*self.0, OrOff::At(time) if time.is_zero()) {
            let fault =
                faults.error(codes::BAD_POLICY, self.0.span(), "a `timeout` of no time ends every request");
            fault.help("write `off` for no limit");
            return None;
        }
        Some(Box::new(self))
    }
}

impl Policy for Timeout {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        exchange.plan.timeout = match *self.0 {
            OrOff::Off => None,
            OrOff::At(time) => Some(time.get()),
        };
        Verdict::Go
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};
    use std::time::Duration;

    #[test]
    fn the_time_is_planned() {
        for (written, time) in
            [("800ms", Some(Duration::from_millis(800))), ("5s", Some(Duration::from_secs(5))), ("off", None)]
        {
            let mut exchange = asked("GET", "/", &[]);
            exchange.plan.timeout = Some(Duration::from_secs(99));
            assert!(run(&format!("timeout: {written}"), &mut exchange).is_none());
            assert_eq!(exchange.plan.timeout, time, "{written}");
        }
    }

    #[test]
    fn no_time_is_a_fault() {
        assert_eq!(
            fault("timeout: 0s"),
            "a `timeout` of no time ends every request: write `off` for no limit"
        );
    }
}
