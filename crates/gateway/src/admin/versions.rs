//! The versions of interfaces: until when there is which, and who still calls it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shared;
use crate::observe::page::versions::VersionReading;
use crate::policies::version::report::{Line, Report};
use crate::policies::version::{REPORT, Told};
use crate::snapshot::Snapshot;

/// Callers that are told of one version on one route.
const MOST_CALLERS: usize = 100;
/// Routes that are told.
const MOST_ROUTES: usize = 1_000;

/// All versions by route, each with its callers; who called last comes first.
pub(super) async fn versions(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    let lines = lines(&snapshot);
    let all = snapshot.routes.iter().flat_map(|route| &route.policies);
    let all = all.filter_map(|bound| Some((bound.policy.version()?, bound.shadow)));
    let now = SystemTime::now();
    let told: Vec<Value> =
        all.take(MOST_ROUTES).map(|(told, shadow)| shown(&told, shadow, &lines, now)).collect();
    // What was called before a change of the configuration is no less true after it.
    let running: HashSet<(&str, &str)> = snapshot
        .routes
        .iter()
        .flat_map(|route| &route.policies)
        .filter_map(|bound| bound.policy.version().map(|told| (told.version, told.route)))
        .collect();
    let gone = lines.iter().filter(|line| !running.contains(&(&*line.version, &*line.route)));
    let gone: Vec<Value> = gone.take(MOST_CALLERS).map(of_line).collect();
    Json(json!({ "versions": told, "gone": gone })).into_response()
}

fn shown(told: &Told<'_>, shadow: bool, lines: &[Line], now: SystemTime) -> Value {
    let own = lines.iter().filter(|line| *line.version == *told.version && *line.route == *told.route);
    let count: u64 = own.clone().map(|line| line.count).sum();
    let is_past = |moment: Option<SystemTime>| moment.is_some_and(|moment| moment <= now);
    let state = match () {
        () if is_past(told.sunset) => "ended",
        () if is_past(told.deprecated) => "deprecated",
        () => "current",
    };
    json!({
        "version": told.version,
        "route": told.route,
        "state": state,
        "shadow": shadow,
        "deprecated": told.deprecated.map(time),
        "sunset": told.sunset.map(time),
        "successor": told.successor,
        "count": count,
        "callers": own.take(MOST_CALLERS).map(of_line).collect::<Vec<_>>(),
    })
}

fn of_line(line: &Line) -> Value {
    json!({
        "version": &*line.version,
        "route": &*line.route,
        "consumer": &*line.caller,
        "count": line.count,
        "refused": line.refused,
        "last": time(line.last),
    })
}

fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|at| at.to_string()).unwrap_or_default()
}

/// The report of the process.
pub(super) fn lines(snapshot: &Snapshot) -> Vec<Line> {
    let report: Option<Arc<Report>> = snapshot.lives.get(REPORT);
    report.map(|report| report.lines()).unwrap_or_default()
}

/// The same for the metrics page.
pub(super) fn readings(lines: &[Line]) -> Vec<VersionReading<'_>> {
    lines.iter().map(of_reading).collect()
}

fn of_reading(line: &Line) -> VersionReading<'_> {
    VersionReading {
        version: &line.version,
        route: &line.route,
        consumer: &line.caller,
        counts: [line.count.saturating_sub(line.refused), line.refused],
    }
}
