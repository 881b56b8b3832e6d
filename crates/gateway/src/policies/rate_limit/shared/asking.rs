//! How Redis is asked about limits: one round trip for all limits of a request.
//!
//! Takes what a request asks; gives what the limits say, or nothing when there is no answer in time. Keys are written as
//! digests, so that nobody reads credentials in Redis.

use std::sync::Arc;

use super::Ask;
use crate::policies::rate_limit::gcra::Level;
use crate::policies::shared::{About, Link, Question, Remote};

/// What is taken from one limit: what is asked, and the least and the most of it.
pub(super) type Part = (Ask, i64, i64);

/// Takes of all parts, or of none where one cannot give its least; with `force` whatever room there is. In a cluster each
/// key is asked where it lies, and what one gave is given back when another refuses. What each gives, and its level;
/// nothing when there is no answer in time.
pub(super) async fn ask(remote: &Arc<Remote>, force: bool, parts: &[Part]) -> Option<Vec<(i64, Level)>> {
    let link = Link::of(remote);
    let groups: Vec<&[Part]> = if remote.settings.cluster.is_empty() {
        vec![parts]
    } else {
        parts.chunk_by(|(one, ..), (other, ..)| one.slot == other.slot).collect()
    };
    let mut told: Vec<(i64, Level)> = Vec::with_capacity(parts.len());
    for group in groups {
        let answer = link.ask(remote, &question(remote, force, group)).await.ok()?;
        let levels = answer.chunks_exact(3).filter_map(|three| match three {
            [gives, left, wait] => Some((*gives, level(*left, *wait))),
            _ => None,
        });
        let levels: Vec<(i64, Level)> = levels.collect();
        if levels.len() != group.len() {
            return None;
        }
        let refused = !force && levels.iter().zip(group).any(|((gives, _), (_, least, _))| gives < least);
        if refused {
            give_back(remote, &link, parts, &told).await;
        }
        told.extend(levels);
        if refused {
            // Those that were not asked any more say nothing against it.
            let rest = parts.get(told.len()..).unwrap_or_default();
            told.extend(rest.iter().map(|(_, least, _)| (*least, Level::NONE)));
            break;
        }
    }
    Some(told)
}

async fn give_back(remote: &Remote, link: &Link, parts: &[Part], told: &[(i64, Level)]) {
    let back = parts.iter().zip(told).map(|((ask, ..), (gives, _))| (*ask, 0, gives.saturating_neg()));
    let back: Vec<Part> = back.collect();
    for group in back.chunk_by(|(one, ..), (other, ..)| one.slot == other.slot) {
        // When that fails, the request has cost something at these limits, which is on the safe side.
        let _ = link.ask(remote, &question(remote, true, group)).await;
    }
}

/// A call of the script: whether to charge whatever room there is, and of each limit the requests given back in a
/// microsecond, its room, the least and the most to take.
fn question(remote: &Remote, force: bool, parts: &[Part]) -> Question {
    let mut keys = Vec::with_capacity(parts.len());
    let mut numbers = vec![u8::from(force).to_string()];
    for (ask, least, most) in parts {
        keys.push(remote.key(&format!("{{{:032x}}}:{:016x}", ask.slot, ask.limit)));
        let limit =
            [format!("{:e}", ask.per_micro), ask.burst.to_string(), least.to_string(), most.to_string()];
        numbers.extend(limit);
    }
    Question::new(About::Limits, keys, numbers)
}

fn level(left: i64, wait: i64) -> Level {
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    Level { remaining: positive(left), wait: positive(wait).saturating_mul(1000) }
}
