//! Changes of the configuration while it runs: checked, compared, written, confirmed or rolled back.
//!
//! The file is the truth: a change is a text that takes the place of the file's in one step, and then is read like
//! any other change of the file. One at a time. What asks for confirmation and does not get it in time goes back to
//! the text before, unless somebody has changed the file meanwhile.

pub mod answers;
pub mod canary;
mod history;
pub mod preview;
mod semantic;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Caller;
use super::control::{Control, Refused, Reloaded};
use super::notices::Notice;
use super::pages::reload_and_tell;
use crate::config::patch::{self, Edit};
use crate::config::{Diagnostics, Loaded, NoticeKind};
use crate::snapshot::Snapshot;
use crate::values::Moment;
use canary::{Share, Trials};
use history::{History, Revision};
pub use semantic::{Change, compare, summary};

/// The longest time that a change may wait for its confirmation.
const LONGEST_CONFIRM: u64 = 3_600;
/// Characters of a message.
const LONGEST_MESSAGE: usize = 500;

/// A change that is asked for: a whole text, or edits of the text that stands there.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proposal {
    /// The text that is to take the place of the file's.
    pub text: Option<String>,
    /// Edits of the file's text, or of `text`: `{"op": "set", "path": [..], "value": ..}` or `{"op": "remove", "path": [..]}`.
    #[schemars(with = "Option<Vec<Value>>")]
    pub edits: Option<Vec<Edit>>,
    /// Why, for the history.
    pub message: Option<String>,
    /// Seconds within which the change must be confirmed, or it is rolled back. None: it stays.
    pub confirm_seconds: Option<u64>,
    /// Let it serve a share of the requests first, and put it in force only if that goes well.
    pub canary: Option<Share>,
    /// Only say what would come of it.
    pub dry_run: bool,
}

/// Why a change was refused.
#[derive(Debug)]
pub enum Denied {
    /// The text was changed since the caller read it: its fingerprint and the text now.
    Stale(String, Arc<str>),
    /// Another change waits for its confirmation.
    Pending,
    /// Another change is on trial.
    OnTrial,
    /// No change waits for confirmation, or there is no such revision.
    Nothing(String),
    /// The question makes no sense.
    Unclear(String),
    /// The text has faults.
    Faults(Box<Diagnostics>),
    /// The text is good and could not be put in force: everything is as before.
    Failed(String),
    /// The file cannot be written: the new text, to be brought there by hand.
    ReadOnly(String),
}

/// What a change did, or would do.
#[derive(Debug)]
pub struct Outcome {
    /// The fingerprint of the text now.
    pub etag: String,
    /// The text before.
    pub before: Arc<str>,
    /// The text.
    pub after: Arc<str>,
    /// What it means.
    pub changes: Vec<Change>,
    /// The number of the configuration that runs.
    pub revision: u64,
    /// The number in the history; 0 for what was only tried.
    pub number: u64,
    /// What the configuration may be warned of.
    pub warnings: Value,
    /// Seconds left to confirm it.
    pub confirm_within: Option<u64>,
}

/// A change that waits for its confirmation.
#[derive(Clone, Debug)]
struct Pending {
    number: u64,
    etag: String,
    before: Arc<str>,
    until: Moment,
}

/// What was changed, and what waits.
pub struct Changes {
    gate: tokio::sync::Mutex<()>,
    history: Mutex<History>,
    pending: Mutex<Option<Pending>>,
    trials: Mutex<Trials>,
}

impl Changes {
    /// Takes up the history that is kept in this folder.
    pub fn open(state: Option<&Path>) -> Changes {
        Changes {
            gate: tokio::sync::Mutex::default(),
            history: Mutex::new(History::open(state)),
            pending: Mutex::default(),
            trials: Mutex::default(),
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trials(&self) -> MutexGuard<'_, Trials> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Option<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the text that runs, if it is not the one that ran last: at the start, and after the file was changed by
    /// other hands.
    pub fn note(&self, text: &str, author: &str, message: &str) {
        let mut history = self.history();
        let etag = etag(text);
        if history.last().is_some_and(|last| last.etag == etag) {
            return;
        }
        history.push(fresh(text, author, message, ""));
    }
}

fn fresh(text: &str, author: &str, message: &str, summary: &str) -> Revision {
    Revision {
        number: 0,
        time: Moment::now().to_string(),
        author: author.to_owned(),
        message: message.to_owned(),
        summary: summary.to_owned(),
        etag: etag(text),
        text: text.into(),
    }
}

/// The fingerprint of a text.
pub fn etag(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The text that is proposed, on the ground of the one that stands there.
///
/// # Errors
/// [`Denied::Unclear`] when it makes no sense.
pub fn draft(standing: &str, proposal: &Proposal) -> Result<String, Denied> {
    let text = proposal.text.as_deref().unwrap_or(standing);
    match &proposal.edits {
        Some(edits) => patch::patch(text, edits).map_err(|why| Denied::Unclear(why.to_string())),
        None if proposal.text.is_none() => Err(Denied::Unclear("give a `text` or `edits`".into())),
        None => Ok(text.to_owned()),
    }
}

/// Reads and compiles a text as if it stood in the file.
///
/// # Errors
/// All its faults.
pub async fn check(control: &Arc<Control>, text: Arc<str>) -> Result<Loaded, Denied> {
    compiled(control, text).await.map(|(loaded, _)| loaded)
}

async fn compiled(control: &Arc<Control>, text: Arc<str>) -> Result<(Loaded, Snapshot), Denied> {
    let control = control.clone();
    let compiled = tokio::task::spawn_blocking(move || {
        let live = &control.gateway.live;
        let running = live.snapshot();
        control.source.compile_draft(&text, running.revision.saturating_add(1), Some(&running), live.workers)
    });
    match compiled.await {
        Ok(Ok(compiled)) => Ok(compiled),
        Ok(Err(faults)) => Err(Denied::Faults(Box::new(faults))),
        Err(_) => Err(Denied::Failed(
            "the configuration could not be compiled because of a fault in the gateway".into(),
        )),
    }
}

/// Puts a text in force, if the one that stands there is still the one the caller saw.
///
/// # Errors
/// Why not; then everything is as before.
pub async fn apply(
    control: &Arc<Control>,
    caller: &Caller,
    seen: &str,
    proposal: &Proposal,
) -> Result<Outcome, Denied> {
    let message = proposal.message.as_deref().unwrap_or_default();
    if message.chars().count() > LONGEST_MESSAGE {
        return Err(Denied::Unclear(format!("a message has at most {LONGEST_MESSAGE} characters")));
    }
    if proposal.confirm_seconds.is_some_and(|seconds| !(1..=LONGEST_CONFIRM).contains(&seconds)) {
        return Err(Denied::Unclear(format!("`confirm_seconds` is between 1 and {LONGEST_CONFIRM}")));
    }
    let _alone = control.changes.gate.lock().await;
    let standing: Arc<str> = control.source.text().map_err(Denied::Unclear)?.into();
    if etag(&standing) != seen {
        return Err(Denied::Stale(etag(&standing), standing));
    }
    let text: Arc<str> = draft(&standing, proposal)?.into();
    let loaded = check(control, text.clone()).await?;
    let changes = compare(&control.config(), &loaded.config);
    let mut outcome = Outcome {
        etag: etag(&text),
        before: standing.clone(),
        after: text.clone(),
        revision: control.gateway.live.snapshot().revision,
        number: 0,
        warnings: loaded.diagnostics.to_json(),
        confirm_within: proposal.confirm_seconds,
        changes,
    };
    if proposal.dry_run {
        return Ok(outcome);
    }
    if control.changes.pending().is_some() {
        return Err(Denied::Pending);
    }
    if control.changes.trials().is_running() {
        return Err(Denied::OnTrial);
    }
    control.changes.note(&standing, "the file", "");
    outcome.revision = put(control, &standing, &text).await?;
    outcome.number = record(control, &text, &caller.name, message, &summary(&outcome.changes));
    if let Some(seconds) = proposal.confirm_seconds {
        await_confirmation(control, &outcome, standing, seconds);
    }
    Ok(outcome)
}

/// Writes a text and lets it run; gives the revision. When it cannot run, the text before is put back.
async fn put(control: &Arc<Control>, before: &str, text: &str) -> Result<u64, Denied> {
    control.source.write(text).map_err(|why| Denied::ReadOnly(format!("{why}")))?;
    match reload_and_tell(control).await {
        Ok(Reloaded::Applied(revision) | Reloaded::Unchanged(revision)) => Ok(revision),
        Err(refused) => {
            let mut why = refused.to_string();
            if let Err(error) = control.source.write(before) {
                why.push_str(&format!("; and the text before could not be put back: {error}"));
            }
            let _ = reload_and_tell(control).await;
            Err(match refused {
                Refused::Faults(faults) => Denied::Faults(faults),
                Refused::Bind(_) | Refused::Broken => Denied::Failed(why),
            })
        }
    }
}

fn record(control: &Control, text: &str, author: &str, message: &str, summary: &str) -> u64 {
    let mut history = control.changes.history();
    // The reload has noted the text already, as one that others put there.
    let fresh = fresh(text, author, message, summary);
    let number = history.claim(&fresh).unwrap_or_else(|| history.push(fresh));
    if let Err(error) = history.keep() {
        tracing::warn!("the history of the configuration cannot be kept: {error}");
    }
    number
}

fn await_confirmation(control: &Arc<Control>, outcome: &Outcome, before: Arc<str>, seconds: u64) {
    let until = Moment::now().plus(Duration::from_secs(seconds));
    let pending = Pending { number: outcome.number, etag: outcome.etag.clone(), before, until };
    *control.changes.pending() = Some(pending);
    let (control, number) = (Arc::downgrade(control), outcome.number);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let Some(control) = control.upgrade() else { return };
        let _alone = control.changes.gate.lock().await;
        let taken = {
            let mut pending = control.changes.pending();
            if pending.as_ref().is_some_and(|pending| pending.number == number) {
                pending.take()
            } else {
                None
            }
        };
        if let Some(pending) = taken {
            go_back(&control, &pending).await;
        }
    });
}

/// Nobody confirmed: the text before comes back, unless others have changed the file.
async fn go_back(control: &Arc<Control>, pending: &Pending) {
    let who = Caller::gateway();
    let about = json!({ "number": pending.number });
    let standing = control.source.text().unwrap_or_default();
    let result = if etag(&standing) != pending.etag {
        "left: the file was changed meanwhile".to_owned()
    } else {
        match put(control, &standing, &pending.before).await {
            Ok(revision) => {
                let message = format!("change {} was not confirmed in time", pending.number);
                record(control, &pending.before, &who.name, &message, "rolled back");
                format!("rolled back, revision {revision}")
            }
            Err(denied) => format!("failed: {}", denied.text()),
        }
    };
    tracing::warn!(number = pending.number, "the change was not confirmed in time: {result}");
    tell(control, &who.name, &format!("the change {} was not confirmed in time: {result}", pending.number));
    control.note_done(&who, "not confirmed", about, &result);
}

/// Confirms the change that waits; gives its number.
///
/// # Errors
/// [`Denied::Nothing`] when none waits.
pub async fn confirm(control: &Arc<Control>) -> Result<u64, Denied> {
    let _alone = control.changes.gate.lock().await;
    let taken = control.changes.pending().take();
    taken
        .map(|pending| pending.number)
        .ok_or_else(|| Denied::Nothing("no change waits for confirmation".into()))
}

/// Lets an earlier text run again: the one of this number, else the one before the last.
///
/// # Errors
/// Why not; then everything is as before.
pub async fn roll_back(control: &Arc<Control>, caller: &Caller, to: Option<u64>) -> Result<Outcome, Denied> {
    let _alone = control.changes.gate.lock().await;
    let standing: Arc<str> = control.source.text().map_err(Denied::Unclear)?.into();
    let waiting = control.changes.pending().take();
    let target = {
        let history = control.changes.history();
        let found = match (to, &waiting) {
            (Some(number), _) => history.get(number).cloned(),
            (None, Some(waiting)) => Some(fresh(&waiting.before, "", "", "")),
            (None, None) => history.iter().rev().find(|known| known.etag != etag(&standing)).cloned(),
        };
        let missing = || match to {
            Some(number) => format!("there is no change {number} in the history"),
            None => "there is no change before this one in the history".to_owned(),
        };
        found.ok_or_else(|| Denied::Nothing(missing()))?
    };
    let loaded = check(control, target.text.clone()).await?;
    let changes = compare(&control.config(), &loaded.config);
    control.changes.note(&standing, "the file", "");
    let revision = put(control, &standing, &target.text).await?;
    let message = match target.number {
        0 => "rolled back".to_owned(),
        number => format!("rolled back to change {number}"),
    };
    let number = record(control, &target.text, &caller.name, &message, &summary(&changes));
    tell(control, &caller.name, &format!("the configuration was {message}, revision {revision}"));
    Ok(Outcome {
        etag: target.etag.clone(),
        before: standing,
        after: target.text.clone(),
        changes,
        revision,
        number,
        warnings: loaded.diagnostics.to_json(),
        confirm_within: None,
    })
}

/// Tells people that a change was rolled back.
fn tell(control: &Control, who: &str, what: &str) {
    let facts = vec![("by", who.to_owned())];
    control.notices.tell(Notice::new(NoticeKind::Configuration, true, what.to_owned(), facts));
}

impl Denied {
    /// Why, in words.
    pub fn text(&self) -> String {
        match self {
            Denied::Stale(..) => "the configuration was changed since you read it".into(),
            Denied::Pending => {
                "another change waits for its confirmation: confirm it or roll it back first".into()
            }
            Denied::OnTrial => "another change is on trial: promote it or end it first".into(),
            Denied::Faults(faults) => faults.render(false).trim_end().to_owned(),
            Denied::Nothing(why) | Denied::Unclear(why) | Denied::Failed(why) => why.clone(),
            Denied::ReadOnly(why) => format!("the file cannot be written: {why}"),
        }
    }
}
