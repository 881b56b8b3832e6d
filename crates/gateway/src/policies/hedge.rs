//! `hedge`: a request goes to a second target when the first is slow to answer.
//!
//! Only says when; the road does it, within the budget of the service.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::upstream::care::Care;
use crate::upstream::hedge::{After, Hedge as Compiled};
use crate::upstream::pace::Quantile;
use crate::values::{Duration, Invalid, Percent, text_value};

/// Most further targets for one request.
const MOST: u32 = 3;

/// Sends a request to another target as well when the first is slow to begin its answer; the first usable answer goes to the
/// client, and the other try is given up.
///
/// That happens for GET, HEAD and OPTIONS without a body only, never for calls of gRPC. An answer of 500 or above waits for what
/// the other target says. The budget is the one of `retry`: `budget` is the share of the service's requests that may be
/// repetitions of both kinds. Targets that are ill or stand in for others are not asked, nor is anybody when `max_in_flight` is
/// reached. A try that is given up does not speak against its target. The second request carries `Tidegate-Attempt: 2`; one that
/// came with this header is not hedged.
///
/// `true` stands for the defaults, `false` for none.
///
/// ```yaml
/// hedge: { after: p95 }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
pub enum Hedge {
    /// `true` or `false`.
    Bool(bool),
    /// When.
    Map(Hedging),
}

/// Sends a request to another target as well when the first is slow to begin its answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Hedging {
    /// How long the head of an answer is waited for: a time such as 50ms, or `p90`, `p95` or `p99`: as long as that share of the
    /// service's answers took to begin over the last 30s. While fewer than 20 answers came in that time nothing is hedged. Default
    /// `p95`.
    pub after: Patience,
    /// How many further targets are asked, one after the other, each after the same time: 1 to 3. Default 1.
    #[schemars(range(min = 1, max = 3))]
    pub max: u32,
    /// The share of requests to the service that may be repetitions, those of `retry` included, over the last 2s and over all
    /// workers and routes; 3 of them are always free. Default 20%.
    pub budget: Percent,
}

impl Default for Hedging {
    fn default() -> Self {
        Self { after: Patience(After::Quantile(Quantile::P95)), max: 1, budget: Percent::whole(20) }
    }
}

impl Serialize for Hedge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Hedge::Bool(on) => on.serialize(serializer),
            Hedge::Map(written) => written.serialize(serializer),
        }
    }
}

/// How long the head of an answer is waited for, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(After);

impl FromStr for Patience {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(quantile) = Quantile::ALL.into_iter().find(|quantile| quantile.word() == text) {
            return Ok(Self(After::Quantile(quantile)));
        }
        let time: Duration = text.parse().map_err(|Invalid { what, .. }| {
            Invalid::new(what, "write a time such as 50ms, or p90, p95 or p99")
        })?;
        Ok(Self(After::Time(time.get())))
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            After::Quantile(quantile) => f.write_str(quantile.word()),
            After::Time(time) => {
                Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).fmt(f)
            }
        }
    }
}

text_value!(Patience, "HedgeAfter", "a time such as 50ms, or p90, p95 or p99", {
    "type": "string",
    "pattern": r"^([0-9]+(ms|s|m|h|d)|p90|p95|p99|.*\$\{.*)$",
    "description": "How long an answer is waited for: a time, or `p90`, `p95` or `p99` of the service's own times.",
    "examples": ["50ms", "p95"]
});

/// Ready to run: when, or never.
struct Ready(Option<Compiled>);

impl Settings for Hedge {
    const NAME: &'static str = "hedge";
    // It is the road that sends, so `mode: shadow` could not watch.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let written = match self {
            Hedge::Bool(false) => return Some(Box::new(Ready(None))),
            Hedge::Bool(true) => Hedging::default(),
            Hedge::Map(written) => written,
        };
        let Hedging { after: Patience(after), max, budget } = written;
        let fault = match after {
            After::Time(time) if time.is_zero() => {
                ("`after: 0s` of `hedge` sends every request twice".to_owned(), "write a time, or p95")
            }
            _ if !(1..=MOST).contains(&max) => {
                (format!("`max: {max}` of `hedge` is not between 1 and {MOST}"), "write 1, or `hedge: false`")
            }
            _ if budget == Percent::ZERO => {
                ("a `budget` of nothing hedges nothing".to_owned(), "write `hedge: false`, or leave it out")
            }
            _ => {
                let hedge = Compiled { after, most: max, share: budget.parts_per_million() };
                return Some(Box::new(Ready(Some(hedge))));
            }
        };
        faults.error(codes::BAD_POLICY, key.span(), fault.0).help(fault.1);
        None
    }
}

impl Policy for Ready {
    fn care(&self, care: &mut Care) {
        care.hedge = self.0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bound, fault};
    use super::*;

    fn care(lines: &str) -> Care {
        let mut care = Care::default();
        bound(lines).unwrap().iter().for_each(|bound| bound.policy.care(&mut care));
        care
    }

    #[test]
    fn what_is_written_is_what_is_done() {
        for (written, told) in [
            (
                "hedge: true",
                "another target is asked as well when no answer has begun after the p95 of the service",
            ),
            (
                "hedge: { after: p99 }",
                "another target is asked as well when no answer has begun after the p99 of the service",
            ),
            (
                "hedge: { after: 50ms, max: 2 }",
                "up to 2 others are asked as well when no answer has begun after 50 ms",
            ),
        ] {
            let care = care(written).boxed().unwrap();
            assert_eq!(care.told(), [told], "{written}");
            assert_eq!(care.retry.unwrap().attempts, 1, "nothing is sent again after a failure");
        }
        assert!(care("hedge: false").boxed().is_none());
        let both = care("hedge: true\nretry: { attempts: 3 }").boxed().unwrap().retry.unwrap();
        assert_eq!((both.attempts, both.hedge.is_some()), (3, true));
    }

    #[test]
    fn what_cannot_be() {
        for (written, told) in [
            (
                "hedge: { after: 0s }",
                "`after: 0s` of `hedge` sends every request twice: write a time, or p95",
            ),
            ("hedge: { max: 0 }", "`max: 0` of `hedge` is not between 1 and 3: write 1, or `hedge: false`"),
            ("hedge: { max: 4 }", "`max: 4` of `hedge` is not between 1 and 3: write 1, or `hedge: false`"),
            (
                "hedge: { budget: 0% }",
                "a `budget` of nothing hedges nothing: write `hedge: false`, or leave it out",
            ),
            (
                "hedge: { after: p42 }",
                "`hedge.after`: `p42` is not a duration: write a time such as 50ms, or p90, p95 or p99",
            ),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }

    #[test]
    fn times_are_written_back_as_they_were_read() {
        for text in ["p90", "p95", "p99", "50ms", "2s"] {
            assert_eq!(text.parse::<Patience>().unwrap().to_string(), text);
        }
    }
}
