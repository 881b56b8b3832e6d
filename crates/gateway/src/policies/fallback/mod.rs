//! `fallback`: what stands in for a service that fails.
//!
//! Compiles the steps; the road walks them. Keeps the last good answers of its route, where a step gives them.

mod answer;
mod disk;
mod last_good;
mod settings;
mod store;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Place, Policy, Settings, kept};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::observe::Figure;
use crate::upstream::care::Care;
use crate::upstream::failures::Failures;
use crate::upstream::ladder::{By, Counts, Ladder, StandIn, Step};
use crate::values::{Failure, nearest};
use answer::Answering;
use last_good::LastGood;
use settings::{Kind, StepSettings};

/// Steps of a ladder.
const MOST_STEPS: usize = 8;

/// What stands in when the service of the route fails: a list that is tried in order until one step has an answer.
///
/// A step is the name of another service; `last_good: 1h`, the last good answer to the same request if it is not older; or an
/// answer that is written here, which never fails. The client sees in `Tidegate-Degraded` what it got: `standby`,
/// `last-good` or `answer`. A request that may not be repeated (POST, PATCH) goes to another service only when no service has
/// got anything of it. An answer of the service that no step can replace is passed on.
///
/// Last good answers are kept of GET, for each caller by itself unless `shared: true` says that all get the same; also where
/// HTTP would not let a cache keep them. They carry `Age` and `Cache-Status`, and nobody may keep them further.
///
/// ```yaml
/// fallback: [orders-standby, { last_good: 1h }, { status: 503, json: { error: "orders are busy" } }]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "Written")]
pub struct Fallback {
    /// What counts as failing: `connect`, `reset`, `timeout`, `invalid`, `open_circuit`, `full`, `no_target`, `5xx`, or a status
    /// from 400. Default: all of these faults, and 502, 503, 504.
    pub on: OneOrMany<Failure>,
    /// The steps in order. At most 8.
    pub steps: Vec<Spanned<StepSettings>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum Written {
    /// The steps.
    List(Vec<Spanned<StepSettings>>),
    /// The steps and what they are for.
    Map(WrittenMap),
}

/// The steps and what they are for.
#[derive(Deserialize, JsonSchema)]
struct WrittenMap {
    /// What counts as failing: `connect`, `reset`, `timeout`, `invalid`, `open_circuit`, `full`, `no_target`, `5xx`, or a status
    /// from 400. Default: all of these faults, and 502, 503, 504.
    #[serde(default = "all_faults")]
    on: OneOrMany<Failure>,
    /// The steps in order. At most 8.
    steps: Vec<Spanned<StepSettings>>,
}

impl From<Written> for Fallback {
    fn from(written: Written) -> Self {
        match written {
            Written::List(steps) => Fallback { on: all_faults(), steps },
            Written::Map(WrittenMap { on, steps }) => Fallback { on, steps },
        }
    }
}

fn all_faults() -> OneOrMany<Failure> {
    use Failure::{Connect, Full, Invalid, NoTarget, OpenCircuit, Reset, Status, Timeout};
    let words = [Connect, Reset, Timeout, Invalid, OpenCircuit, Full, NoTarget];
    words.into_iter().chain([502, 503, 504].map(Status)).collect::<Vec<_>>().into()
}

/// Compiled: the steps, and who keeps the last good answers for them.
struct Compiled {
    ladder: Arc<Ladder>,
    keeper: Option<Arc<LastGood>>,
}

impl Settings for Fallback {
    const NAME: &'static str = "fallback";
    // It stands in where the service fails; there is nothing to watch.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        if self.steps.is_empty() || self.steps.len() > MOST_STEPS {
            let fault = format!("`fallback` has {} steps", self.steps.len());
            faults.error(codes::BAD_POLICY, key.span(), fault).help("write between 1 and 8");
            return None;
        }
        let before = faults.errors();
        let (mut steps, mut keeper): (Vec<Step>, Option<Arc<LastGood>>) = (Vec::new(), None);
        let last = self.steps.len().saturating_sub(1);
        for (place, step) in self.steps.into_iter().enumerate() {
            let span = step.span();
            let kind = match step.into_inner().kind() {
                Ok(kind) => kind,
                Err((fault, remedy)) => {
                    faults.error(codes::BAD_POLICY, span, fault).help(remedy);
                    continue;
                }
            };
            if matches!(kind, Kind::Answer(_)) && place != last {
                let fault =
                    "an answer that is written here never fails: the steps after it are never reached";
                faults.error(codes::BAD_POLICY, span, fault).help("put it last");
            }
            match kind {
                Kind::Service(name) => {
                    steps.extend(service_step(&name, context, faults));
                }
                Kind::LastGood { age, .. } if keeper.is_some() || age.is_zero() => {
                    let fault = "`last_good` stands here twice, or for no time";
                    faults
                        .error(codes::BAD_POLICY, span, fault)
                        .help("keep one step with it, as `last_good: 1h`");
                }
                Kind::LastGood { age, shared } => {
                    let bytes = context.disk.last_good.as_ref();
                    let disk = kept::settings(context, ("last-good", disk::FORM.into()), bytes, false);
                    let kept = keeper.insert(Arc::new(LastGood::new(age, shared, disk)));
                    steps.push(here("last_good", "last-good", kept.clone()));
                }
                Kind::Answer(answer) => {
                    steps.push(here("answer", "answer", Arc::new(Answering::new(*answer))))
                }
            }
        }
        if faults.errors() > before {
            return None;
        }
        let (on, counts) = (Failures::of(self.on.iter()), Counts::new(steps.len()));
        Some(Box::new(Compiled { ladder: Arc::new(Ladder { on, steps, counts }), keeper }))
    }
}

fn here(name: &str, word: &'static str, stand_in: Arc<dyn StandIn>) -> Step {
    Step { name: name.into(), word, by: By::Here(stand_in) }
}

/// The step that asks a service.
fn service_step(name: &Spanned<String>, context: &Context, faults: &mut Diagnostics) -> Option<Step> {
    let Some(service) = context.services.get(name.as_str()) else {
        if context.is_whole {
            let fault = faults.error(
                codes::UNKNOWN_NAME,
                name.span(),
                format!("unknown service `{name}` in `fallback`"),
            );
            let meant = nearest(name, context.services.keys().map(String::as_str));
            fault.help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
        }
        return (!context.is_whole).then(|| Step {
            name: name.as_str().into(),
            word: "standby",
            by: By::Service(u32::MAX),
        });
    };
    Some(Step { name: service.name.clone(), word: "standby", by: By::Service(service.index) })
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        if let Some(keeper) = self.keeper.as_ref() {
            keeper.settle(place);
        }
        let Some(ladder) = Arc::get_mut(&mut self.ladder) else { return };
        // A ladder from `defaults` may name the very service of a route; that has failed by then.
        ladder.steps.retain(|step| *step.name != *place.service);
        let steps: Vec<&str> = ladder.steps.iter().map(|step| &*step.name).collect();
        let identity = format!("fallback {} {}", place.route, steps.join(" "));
        let fresh = || Counts::new(steps.len());
        ladder.counts = place.lives.keep(&identity, |known| known.cloned().unwrap_or_else(fresh));
    }

    fn start(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.start();
        }
    }

    fn close(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.close();
        }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        if let Some(keeper) = &self.keeper {
            keeper.figures(tell);
        }
    }

    fn care(&self, care: &mut Care) {
        care.ladder = Some(self.ladder.clone());
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if let Some(keeper) = &self.keeper {
            keeper.name(exchange);
        }
        Verdict::Go
    }

    fn response(&self, exchange: &mut Exchange) {
        if let Some(keeper) = &self.keeper {
            keeper.look(exchange);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bound, fault};
    use super::*;

    #[test]
    fn steps_as_they_are_written() {
        let written = "fallback: [standby, { last_good: 1h }, { status: 503, json: { error: busy } }]";
        let mut care = Care::default();
        bound(written).unwrap().iter().for_each(|bound| bound.policy.care(&mut care));
        let ladder = care.ladder.unwrap();
        assert_eq!(ladder.told(), "when it fails: standby, then last_good, then answer");
        assert!(ladder.on.has_status(503) && !ladder.on.has_status(500));
    }

    #[test]
    fn what_cannot_be() {
        for (written, told) in [
            ("fallback: []", "`fallback` has 0 steps: write between 1 and 8"),
            (
                "fallback: [{ last_good: 1h, status: 503 }]",
                "`last_good` and an answer that is written here are two steps: write them one after the other",
            ),
            (
                "fallback: [{ status: 503 }, { last_good: 1h }]",
                "an answer that is written here never fails: the steps after it are never reached: put it last",
            ),
            (
                "fallback: [{ last_good: 1h }, { last_good: 2h }]",
                "`last_good` stands here twice, or for no time: keep one step with it, as `last_good: 1h`",
            ),
            ("fallback: [{ shared: true }]", "`shared` is about `last_good`: leave it out"),
            (
                "fallback: [{ json: {}, body: x }]",
                "`json`, `body` and `template` are one body: keep one of them",
            ),
            (
                "fallback: [{ status: 204, body: x }]",
                "an answer with status 204 has no body: remove the body or change the status",
            ),
            (
                "fallback: [{ body: x, headers: { Content-Length: 7 } }]",
                "the header `Content-Length` is set by the gateway: leave it out; use `content_type`",
            ),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }
}
