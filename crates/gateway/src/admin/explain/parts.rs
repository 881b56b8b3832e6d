//! What is told of the parts of an aggregate: what each would ask, after whom, and what becomes of the whole without it.

use serde::{Deserialize, Serialize};

use super::masked;
use crate::aggregate::text::Known;
use crate::aggregate::{Aggregate, Rule, State, bit};
use crate::exchange::Exchange;
use crate::route::compiled::Action;
use crate::snapshot::Snapshot;

/// A part of an aggregate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The service that it asks.
    pub service: String,
    /// The method.
    pub method: String,
    /// The target, where it does not wait for other answers.
    pub target: Option<String>,
    /// The stable word for why its request could not be made.
    pub fault: Option<String>,
    /// The parts that come before it.
    pub after: Vec<String>,
    /// What becomes of the whole when it fails: `required`, `optional`, `default`.
    pub rule: String,
    /// Whether it is asked for each element of a list.
    pub each: bool,
    /// Its policies, in the order of running, and what is done for its requests besides.
    pub care: Vec<String>,
}

/// All parts, in the order of the file.
pub(super) fn parts(snapshot: &Snapshot, aggregate: &Aggregate, exchange: &Exchange) -> Vec<Part> {
    let states: Vec<State> = aggregate.parts.iter().map(|_| State::Pending).collect();
    let known = Known { exchange, states: &states, item: None };
    let mut path = Vec::new();
    let told = aggregate.parts.iter().map(|part| {
        let waits =
            part.each.is_some() || part.path.text().waits() || part.query.iter().any(|query| query.waits());
        let target = match waits {
            true => Ok(None),
            false => part.path.write(&known, &mut path).and_then(|()| {
                let query = part.query.as_ref().map(|query| query.query(&known)).transpose()?;
                let query = query.map(|query| format!("?{}", masked::query(&query))).unwrap_or_default();
                Ok(Some(masked::text(&path) + &query))
            }),
        };
        let before = aggregate.parts.iter().enumerate().filter(|(place, _)| part.needs & bit(*place) != 0);
        let route = snapshot.route(part.route);
        let policies = route.iter().flat_map(|route| &route.policies).map(|bound| bound.name.to_owned());
        let care = route.and_then(|route| match &route.action {
            Action::Forward(_, Some(care)) => Some(care.told()),
            _ => None,
        });
        Part {
            name: part.name.to_string(),
            service: part.service.to_string(),
            method: masked::text(&part.method),
            fault: target.as_ref().err().map(|unfilled| unfilled.code.to_owned()),
            target: target.unwrap_or_default(),
            after: before.map(|(_, other)| other.name.to_string()).collect(),
            rule: match part.rule {
                Rule::Required => "required",
                Rule::Optional => "optional",
                Rule::Default(_) => "default",
            }
            .to_owned(),
            each: part.each.is_some(),
            care: policies.chain(care.into_iter().flatten()).collect(),
        }
    });
    told.collect()
}
