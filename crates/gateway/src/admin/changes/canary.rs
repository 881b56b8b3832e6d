//! Canaries: a changed configuration serves a share of the requests beside the one that runs, and is put in force or let
//! go by how it does.
//!
//! Takes a proposal and a share; compares error rate and latency of the two each second. The file is written only when the
//! change is promoted. Whoever changes the configuration meanwhile ends the trial.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::refused;
use super::{Denied, Proposal, compare, compiled, draft, etag, put, record, summary};
use crate::admin::Shared;
use crate::admin::access::Caller;
use crate::admin::control::Control;
use crate::admin::pages::json_response;
use crate::config::Config;
use crate::observe::telemetry::Counts;
use crate::snapshot::Snapshot;
use crate::snapshot::canary::Canary;
use crate::values::{Moment, Percent};

/// The longest trial, in seconds.
const LONGEST: u64 = 86_400;
/// Time between two looks.
const STEP: Duration = Duration::from_secs(1);
/// Requests of the canary without which nothing is said of it.
const LEAST: u64 = 30;
/// Failures, how many times the share of the other, and how much more, from which on it is worse.
const ERRORS: (u64, f64, f64) = (5, 2.0, 0.02);
/// How many times slower, and by how many milliseconds, it is worse.
const SLOWER: (f64, f64) = (2.0, 25.0);

/// For how many requests, and how long.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The share of requests that it serves, such as `10%`.
    pub share: Percent,
    /// Seconds after which it is put in force, if it did well. Default 300.
    #[serde(default = "usual_seconds")]
    pub seconds: u64,
}

fn usual_seconds() -> u64 {
    300
}

/// How to end a trial.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EndOfTrial")]
pub(in crate::admin) struct End {
    /// Whether the change is put in force; else it is let go.
    promote: bool,
}

/// The trial that runs, and what came of the last one.
#[derive(Default)]
pub(super) struct Trials {
    running: Option<Trial>,
    last: Value,
}

#[derive(Clone)]
struct Trial {
    canary: Arc<Canary>,
    text: Arc<str>,
    /// The fingerprint of the text that it changes.
    ground: String,
    who: Caller,
    message: String,
    summary: String,
    since: Moment,
    until: Moment,
}

impl Trials {
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

/// How a trial goes.
#[derive(Debug, PartialEq)]
enum Verdict {
    TooFew,
    Well,
    Worse(String),
}

/// Begins a trial and says so.
pub(super) async fn begun(
    control: &Arc<Control>,
    caller: &Caller,
    seen: &str,
    proposal: &Proposal,
    share: &Share,
) -> Response {
    let what = "try a change on a share of requests";
    let about = json!({ "share": share.share.to_string(), "seconds": share.seconds });
    match begin(control, caller, seen, proposal, share).await {
        Ok(()) => {
            control.note_done(caller, what, about, "begun");
            json_response(StatusCode::ACCEPTED, &state(control))
        }
        Err(denied) => {
            control.note_done(caller, what, about, &format!("refused: {}", denied.text()));
            refused(denied)
        }
    }
}

async fn begin(
    control: &Arc<Control>,
    caller: &Caller,
    seen: &str,
    proposal: &Proposal,
    share: &Share,
) -> Result<(), Denied> {
    let whole = Percent::whole(100).parts_per_million();
    if !(1..whole).contains(&share.share.parts_per_million()) || !(1..=LONGEST).contains(&share.seconds) {
        let told = format!("a canary has a `share` above 0% and below 100%, and 1 to {LONGEST} `seconds`");
        return Err(Denied::Unclear(told));
    }
    let _alone = control.changes.gate.lock().await;
    let standing: Arc<str> = control.source.text().map_err(Denied::Unclear)?.into();
    if etag(&standing) != seen {
        return Err(Denied::Stale(etag(&standing), standing));
    }
    if control.changes.pending().is_some() {
        return Err(Denied::Pending);
    }
    if control.changes.trials().is_running() {
        return Err(Denied::OnTrial);
    }
    let text: Arc<str> = draft(&standing, proposal)?.into();
    let (loaded, snapshot) = compiled(control, text.clone()).await?;
    let changes = compare(&control.config(), &loaded.config);
    fits(&control.config(), &loaded.config, &control.gateway.live.snapshot(), &snapshot)?;
    let canary = Arc::new(Canary::new(Arc::new(snapshot), share.share));
    control.try_out(Some(canary.clone()));
    let since = Moment::now();
    let trial = Trial {
        canary: canary.clone(),
        text,
        ground: seen.to_owned(),
        who: caller.clone(),
        message: proposal.message.clone().unwrap_or_default(),
        summary: summary(&changes),
        since,
        until: since.plus(Duration::from_secs(share.seconds)),
    };
    control.changes.trials().running = Some(trial);
    tracing::info!(share = %share.share, seconds = share.seconds, "a change is on trial");
    tokio::spawn(watch(Arc::downgrade(control), canary, Duration::from_secs(share.seconds)));
    Ok(())
}

/// Both configurations use the same services, listeners and process: only what is done with a request may differ.
fn fits(running: &Config, next: &Config, now: &Snapshot, then: &Snapshot) -> Result<(), Denied> {
    let mut alike = next.clone();
    alike.routes.clone_from(&running.routes);
    alike.policies.clone_from(&running.policies);
    alike.defaults.clone_from(&running.defaults);
    alike.consumers.clone_from(&running.consumers);
    let known = |id: u64| now.services.iter().any(|service| service.live.id == id);
    if alike != *running || !then.services.iter().all(|service| known(service.live.id)) {
        let told = "a canary may change routes, policies, defaults and consumers; services, listeners and settings of \
                    the process are the same for all requests: apply them without one";
        return Err(Denied::Unclear(told.to_owned()));
    }
    if next == running {
        return Err(Denied::Unclear("nothing would change".to_owned()));
    }
    Ok(())
}

/// Looks at it each second until it is over.
async fn watch(control: Weak<Control>, canary: Arc<Canary>, time: Duration) {
    let end = tokio::time::Instant::now() + time;
    loop {
        tokio::time::sleep_until(end.min(tokio::time::Instant::now() + STEP)).await;
        let Some(control) = control.upgrade() else { return };
        let over = tokio::time::Instant::now() >= end;
        let (promote, why) = match judge(&canary.told()) {
            Verdict::Worse(why) => (false, why),
            Verdict::Well if over => (true, "it did as well as the one that ran".to_owned()),
            Verdict::TooFew if over => (false, format!("fewer than {LEAST} requests came to judge it by")),
            Verdict::Well | Verdict::TooFew if is_current(&control, &canary) => continue,
            Verdict::Well | Verdict::TooFew => (false, "the configuration was changed meanwhile".to_owned()),
        };
        // It may have been ended by hand in this very moment.
        let _ = finish(&control, &Caller::gateway(), Some(&canary), promote, &why).await;
        return;
    }
}

fn is_current(control: &Control, canary: &Arc<Canary>) -> bool {
    control.gateway.live.canary().is_some_and(|current| Arc::ptr_eq(&current, canary))
}

/// Whether the second of the two does worse than the first.
fn judge([running, trial]: &[Counts; 2]) -> Verdict {
    let share = |counts: &Counts| counts.failed().0 as f64 / counts.calls.max(1) as f64;
    if trial.calls < LEAST {
        return Verdict::TooFew;
    }
    let (least, times, more) = ERRORS;
    if trial.failed().0 >= least && share(trial) > share(running) * times + more {
        return Verdict::Worse(format!(
            "{:.1} % of its answers were 5xx, of the others {:.1} %",
            share(trial) * 100.0,
            share(running) * 100.0
        ));
    }
    let slow = |counts: &Counts| Some((counts.quantile_ms(0.9)?, counts.average_ms()?));
    let (times, more) = SLOWER;
    if running.calls >= LEAST
        && let (Some((p90, average)), Some((usual_p90, usual_average))) = (slow(trial), slow(running))
        && p90 > usual_p90 * times
        && p90 > usual_p90 + more
        && average > usual_average * times
    {
        return Verdict::Worse(format!(
            "9 of 10 answers took up to {p90:.0} ms, of the others {usual_p90:.0} ms"
        ));
    }
    Verdict::Well
}

/// Ends the trial: puts its text in force, or lets it go.
///
/// # Errors
/// [`Denied::Nothing`] when it was over already, or why the text could not be put in force.
async fn finish(
    control: &Arc<Control>,
    who: &Caller,
    of: Option<&Arc<Canary>>,
    promote: bool,
    why: &str,
) -> Result<(), Denied> {
    let _alone = control.changes.gate.lock().await;
    let running = control.changes.trials().running.clone();
    let asked = running.filter(|trial| of.is_none_or(|canary| Arc::ptr_eq(&trial.canary, canary)));
    let Some(trial) = asked else {
        return Err(Denied::Nothing("nothing is on trial".into()));
    };
    let standing: Arc<str> = control.source.text().unwrap_or_default().into();
    let [running, tried] = trial.canary.told();
    let (mut word, mut why) = (if promote { "promoted" } else { "let go" }, why.to_owned());
    if promote && (etag(&standing) != trial.ground || !is_current(control, &trial.canary)) {
        (word, why) = ("let go", "the configuration was changed meanwhile".to_owned());
    }
    let mut failed = None;
    if word == "promoted" {
        control.changes.note(&standing, "the file", "");
        match put(control, &standing, &trial.text).await {
            Ok(_) => {
                let share = trial.canary.share;
                let message = format!("{} (tried on {share} of requests)", trial.message);
                record(control, &trial.text, &trial.who.name, message.trim(), &trial.summary);
            }
            Err(denied) => {
                (word, why) = ("let go", denied.text());
                failed = Some(denied);
            }
        }
    }
    // A promotion has done so by its swap.
    if is_current(control, &trial.canary) {
        control.try_out(None);
    }
    tracing::info!("the change on trial is {word}: {why}");
    control.note_done(who, "end a trial", json!({ "summary": trial.summary, "why": why }), word);
    // Both in one step, so that nobody sees the one without the other.
    let mut trials = control.changes.trials();
    trials.running = None;
    trials.last = json!({
        "result": word,
        "why": why,
        "time": Moment::now().to_string(),
        "author": &*trial.who.name,
        "summary": trial.summary,
        "running": arm(&running),
        "canary": arm(&tried),
    });
    drop(trials);
    failed.map_or(Ok(()), Err)
}

/// What is on trial, and what came of the last trial.
pub(in crate::admin) async fn told(State(control): Shared) -> Response {
    json_response(StatusCode::OK, &state(&control))
}

/// Ends the trial as somebody says.
pub(in crate::admin) async fn ended(
    State(control): Shared,
    Extension(caller): Extension<Caller>,
    body: String,
) -> Response {
    let End { promote } = match serde_json::from_str(&body) {
        Ok(end) => end,
        Err(error) => return refused(Denied::Unclear(error.to_string())),
    };
    match finish(&control, &caller, None, promote, &format!("by {}", caller.name)).await {
        Ok(()) => json_response(StatusCode::OK, &state(&control)),
        Err(denied) => refused(denied),
    }
}

fn state(control: &Control) -> Value {
    let trials = control.changes.trials();
    let running = trials.running.as_ref().map(|trial| {
        let [running, canary] = trial.canary.told();
        json!({
            "share": trial.canary.share.to_string(),
            "since": trial.since.to_string(),
            "until": trial.until.to_string(),
            "author": &*trial.who.name,
            "message": trial.message,
            "summary": trial.summary,
            "running": arm(&running),
            "canary": arm(&canary),
        })
    });
    json!({ "on_trial": running, "last": trials.last })
}

fn arm(counts: &Counts) -> Value {
    let (failed, of) = counts.failed();
    let [_, _, _, client, _] = counts.classes;
    let millis = |value: Option<f64>| value.map(|value| (value * 1000.0).round() / 1000.0);
    json!({
        "calls": counts.calls,
        "errors": failed,
        "error_rate": failed as f64 / of.max(1) as f64,
        "refused": client,
        "average_ms": millis(counts.average_ms()),
        "p50_ms": millis(counts.quantile_ms(0.5)),
        "p90_ms": millis(counts.quantile_ms(0.9)),
        "p99_ms": millis(counts.quantile_ms(0.99)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many answers that took as long as the bucket, some of which failed.
    fn counts(calls: u64, bucket: usize, failed: u64) -> Counts {
        let mut counts = Counts { calls, classes: [0, calls - failed, 0, 0, failed], ..Counts::default() };
        counts.latency.buckets[bucket] = calls;
        counts.latency.sum_micros = crate::observe::histogram::BOUNDS_MICROS[bucket] * calls;
        counts
    }

    #[test]
    fn a_trial_is_judged_by_errors_and_times() {
        let cases = [
            (counts(1_000, 3, 0), counts(29, 3, 29), "too few"),
            (counts(1_000, 3, 0), counts(30, 3, 0), "well"),
            (counts(1_000, 3, 0), counts(100, 3, 4), "well"),
            (counts(1_000, 3, 0), counts(100, 3, 5), "worse"),
            (counts(1_000, 3, 50), counts(1_000, 3, 110), "well"),
            (counts(1_000, 3, 50), counts(1_000, 3, 130), "worse"),
            (counts(1_000, 3, 0), counts(100, 11, 0), "worse"),
            (counts(10, 3, 0), counts(100, 11, 0), "well"),
            (counts(1_000, 1, 0), counts(100, 3, 0), "well"),
        ];
        for (running, trial, wanted) in cases {
            let verdict = judge(&[running.clone(), trial.clone()]);
            let word = match &verdict {
                Verdict::TooFew => "too few",
                Verdict::Well => "well",
                Verdict::Worse(_) => "worse",
            };
            assert_eq!(word, wanted, "{verdict:?} of {trial:?} beside {running:?}");
        }
    }
}
