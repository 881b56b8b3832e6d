//! From what a route says of several services to the choice among them.
//!
//! Weights that were changed while the gateway ran, and how far a progress is, stay with a split that is written as before.

use std::sync::Arc;

use super::pattern;
use crate::config::{self, Diagnostics, Spanned, StickyBy, StickyCookie, To};
use crate::policies::Lives;
use crate::route::split::{Arm, Live, Plan, Preference, Split, Sticky, Worse};

/// Compiles a split; `place` gives the place of a service in the snapshot.
pub(super) fn compile(
    (key, written): (&Spanned<String>, &config::Split),
    mut place: impl FnMut(&Spanned<To>, &mut Diagnostics) -> u32,
    (lives, workers): (&mut Lives<'_>, usize),
    faults: &mut Diagnostics,
) -> Split {
    let names: Vec<String> = written.to.iter().map(|(to, _)| to.to_string()).collect();
    let find = |name: &str| names.iter().position(|known| known == name).unwrap_or(0);
    let arms: Vec<Arm> = written
        .to
        .iter()
        .zip(&names)
        .map(|((to, _), name)| Arm { service: place(to, faults), name: name.as_str().into(), care: None })
        .collect();
    let preferences = written.prefer.iter().map(|(name, preference)| {
        let tests = pattern::named(&preference.headers, &preference.cookies);
        let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        Preference {
            arm: find(name),
            conditions: pattern::compiled(key, tests.into_iter(), faults).unwrap_or_default(),
            groups: texts(&preference.groups),
            consumers: texts(&preference.consumers),
        }
    });
    let preferences = preferences.collect();
    let last = names.len().saturating_sub(1);
    let plan = written.progress.as_deref().map(|progress| Plan {
        arm: progress.to.as_ref().map_or(last, |name| find(name)),
        step: progress.step.fraction(),
        every: progress.every.get(),
        until: progress.until.fraction(),
        max_error: progress.max_error.fraction(),
        max_p99: progress.max_p99.thousandths(),
        min_requests: u64::from(progress.min_requests),
        when_worse: match progress.when_worse {
            config::WhenWorse::Hold => Worse::Hold,
            config::WhenWorse::Start => Worse::Start,
            config::WhenWorse::Zero => Worse::Zero,
        },
    });
    let weights: Vec<(&str, u32)> =
        names.iter().zip(&written.to).map(|(name, (_, weight))| (name.as_str(), *weight)).collect();
    // What decides about weights; whoever stays where may be written otherwise without starting anew.
    let identity = format!("split {key} {weights:?} {plan:?}");
    let live = lives
        .keep(&identity, |known| known.cloned().unwrap_or_else(|| Arc::new(Live::new(&weights, workers))));
    Split { arms, sticky: sticky(&written.sticky), preferences, plan, live }
}

fn sticky(written: &config::Sticky) -> Sticky {
    match written {
        config::Sticky::Text(StickyBy::Off) => Sticky::Nobody,
        config::Sticky::Text(StickyBy::Source(source)) => Sticky::By(vec![source.clone()]),
        config::Sticky::List(sources) => Sticky::By(sources.clone()),
        config::Sticky::Map(StickyCookie { cookie, max_age }) => {
            Sticky::Cookie { name: cookie.as_str().into(), max_age: max_age.get().as_secs() }
        }
    }
}
