//! Splits of routes: told, given other weights by command, and moved along as their `progress` says.
//!
//! The workers count and choose; here the control side reads and decides, once a second.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::control::Control;
use super::pages::json_response;
use super::{Shared, problem};
use crate::observe::page::splits::SplitReading;
use crate::route::compiled::Action;
use crate::route::split::{PARTS, Split, percent};
use crate::snapshot::Snapshot;
use crate::values::nearest;

/// How often splits are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Splits that are told.
const MOST_TOLD: usize = 1_000;
/// The largest weight, as in the configuration.
const MOST_WEIGHT: f64 = 1_000.0;

/// Moves the weights of splits along, until the process ends.
pub(super) async fn run(control: Weak<Control>) {
    let mut known: (u64, Vec<(Arc<str>, Arc<Split>)>) = (0, Vec::new());
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(control) = control.upgrade() else { return };
        let snapshot = control.gateway.live.snapshot();
        if known.0 != snapshot.revision {
            let planned = splits(&snapshot).filter(|(_, split)| split.plan.is_some());
            known = (snapshot.revision, planned.map(|(key, split)| (key.clone(), split.clone())).collect());
        }
        for (route, split) in &known.1 {
            let Some(plan) = &split.plan else { continue };
            let Some(told) = split.live.look(plan, Instant::now()) else { continue };
            let (stage, _) = split.live.progress().stage();
            let service = split.arm(plan.arm).map_or("", |arm| &*arm.name);
            match stage.word() {
                "stopped" => {
                    tracing::warn!(route = %route, service, why = %told, "progress of a split has stopped")
                }
                word => tracing::info!(route = %route, service, stage = word, "split: {told}"),
            }
        }
    }
}

/// The splits of a snapshot, with the keys of their routes.
fn splits(snapshot: &Snapshot) -> impl Iterator<Item = (&Arc<str>, &Arc<Split>)> {
    snapshot.routes.iter().filter_map(|route| match &route.action {
        Action::Split(split) => Some((&route.key, split)),
        _ => None,
    })
}

/// What the metrics page tells of them.
pub(super) fn readings(snapshot: &Snapshot) -> Vec<SplitReading<'_>> {
    let mut told = Vec::new();
    for (route, split) in splits(snapshot) {
        let read = split.live.read();
        for (place, arm) in split.arms.iter().enumerate() {
            let had = read.get(place).cloned().unwrap_or_default();
            told.push(SplitReading {
                route,
                service: &arm.name,
                share: split.live.share(place),
                requests: had.requests,
                failed: had.failed,
                stage: split
                    .plan
                    .as_ref()
                    .filter(|plan| plan.arm == place)
                    .map(|_| split.live.progress().stage().0.word()),
            });
        }
    }
    told
}

/// All splits, as the API tells them.
pub(super) fn told(snapshot: &Snapshot) -> Vec<Value> {
    splits(snapshot).take(MOST_TOLD).map(|(route, split)| one(route, split)).collect()
}

fn one(route: &str, split: &Split) -> Value {
    let (weights, read) = (split.live.weights(), split.live.read());
    let arms: Map<String, Value> = split
        .arms
        .iter()
        .enumerate()
        .map(|(place, arm)| {
            let had = read.get(place).cloned().unwrap_or_default();
            let weight =
                |weights: &[u32]| f64::from(weights.get(place).copied().unwrap_or(0)) / f64::from(PARTS);
            let told = json!({
                "weight": weight(&weights),
                "configured": weight(split.live.written()),
                "share": percent(split.live.share(place)),
                "requests": had.requests,
                "failed": had.failed,
                "p99_ms": had.times.p99().map(|p99| p99.as_secs_f64() * 1_000.0),
            });
            (arm.name.to_string(), told)
        })
        .collect();
    let progress = split.plan.as_ref().map(|plan| {
        let (stage, steps) = split.live.progress().stage();
        let why = match &stage {
            crate::route::split::Stage::Stopped(why) => Some(why.clone()),
            _ => None,
        };
        json!({
            "to": split.arm(plan.arm).map(|arm| &*arm.name),
            "stage": stage.word(),
            "steps": steps,
            "why": why,
        })
    });
    json!({ "route": route, "services": arms, "progress": progress })
}

pub(super) async fn show(State(control): Shared) -> Response {
    json_response(StatusCode::OK, &json!({ "splits": told(&control.gateway.live.snapshot()) }))
}

/// What is to become of a split.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// The key of the route.
    route: String,
    /// Weights by service, 0 to 1000, as in the configuration; who is not named keeps its own. `{}` lets those of the
    /// configuration hold again.
    weights: Option<Map<String, Value>>,
    /// `pause` or `resume`: stops the progress, or lets it go on from the weights that hold now.
    progress: Option<String>,
}

pub(super) async fn change(State(control): Shared, body: String) -> Response {
    let unclear = |told: &str| problem(StatusCode::BAD_REQUEST, "question_unclear", told);
    let change: Change = match serde_json::from_str(&body) {
        Ok(change) => change,
        Err(error) => return unclear(&error.to_string()),
    };
    let snapshot = control.gateway.live.snapshot();
    let Some((route, split)) = splits(&snapshot).find(|(route, _)| ***route == *change.route) else {
        let meant = nearest(&change.route, splits(&snapshot).map(|(route, _)| &**route));
        let meant = meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
        let told = format!("no route `{}` has a split{meant}", change.route);
        return problem(StatusCode::NOT_FOUND, "split_unknown", &told);
    };
    if change.weights.is_none() && change.progress.is_none() {
        return unclear("say `weights` or `progress`");
    }
    let pause = match change.progress.as_deref() {
        None => None,
        Some(_) if split.plan.is_none() => return unclear("this split has no `progress`"),
        Some("pause") => Some(true),
        Some("resume") => Some(false),
        Some(_) => return unclear("`progress` is `pause` or `resume`"),
    };
    if let Some(weights) = &change.weights {
        let wanted = match wanted(split, weights) {
            Ok(wanted) => wanted,
            Err(told) => return unclear(&told),
        };
        split.live.weigh(&wanted);
        // Who takes a hand in it does not want it moved on.
        if split.plan.is_some() && pause.is_none() {
            split.live.progress().pause(true);
        }
        tracing::info!(route = %route, weights = %json!(weights), "split has other weights by command");
    }
    if let Some(pause) = pause {
        split.live.progress().pause(pause);
        tracing::info!(route = %route, pause, "progress of a split by command");
    }
    json_response(StatusCode::OK, &one(route, split))
}

/// The weights that a command means, in parts; none at all for those of the configuration.
fn wanted(split: &Split, weights: &Map<String, Value>) -> Result<Vec<u32>, String> {
    if weights.is_empty() {
        return Ok(Vec::new());
    }
    let mut wanted = split.live.weights();
    for (name, weight) in weights {
        let names = || split.arms.iter().map(|arm| &*arm.name);
        let Some(place) = names().position(|known| known == name) else {
            let meant = nearest(name, names()).map(|meant| format!(": did you mean `{meant}`?"));
            return Err(format!("the split has no service `{name}`{}", meant.unwrap_or_default()));
        };
        let weight = weight.as_f64().filter(|weight| (0.0..=MOST_WEIGHT).contains(weight));
        let weight =
            weight.ok_or_else(|| format!("the weight of `{name}` is a number between 0 and 1000"))?;
        if let Some(own) = wanted.get_mut(place) {
            *own = (weight * f64::from(PARTS)).round() as u32;
        }
    }
    if wanted.iter().all(|weight| *weight == 0) {
        return Err("at least one service needs a weight of more than 0".into());
    }
    Ok(wanted)
}
