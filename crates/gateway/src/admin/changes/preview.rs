//! What a change would do to requests that were really there: samples, explained by what runs and by the draft.
//!
//! Sends nothing. Samples are kept without their headers, so what depends on credentials is told as for somebody without.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Denied;
use super::answers::{proposed, refused};
use crate::admin::Shared;
use crate::admin::control::Control;
use crate::admin::explain::{Explanation, Question, explain};
use crate::admin::pages::json_response;
use crate::observe::samples::filter::Filter;
use crate::snapshot::Snapshot;

/// Samples that are replayed, the newest.
const MOST: usize = 500;
/// Kinds of difference that are told.
const MOST_KINDS: usize = 50;
/// Examples of each.
const EXAMPLES: usize = 3;

/// How often something would go another way, and for which requests.
#[derive(Default)]
struct Kind {
    count: u64,
    examples: Vec<Value>,
}

/// Replays the newest samples through what runs and through the draft.
pub(in crate::admin) async fn preview(State(control): Shared, body: String) -> Response {
    let text = match proposed(&control, &body) {
        Ok((_, text)) => text,
        Err(denied) => return refused(denied),
    };
    // Thousands of routes take their time: the admin address goes on answering meanwhile.
    let told = tokio::task::spawn_blocking(move || compared(&control, &text)).await;
    match told {
        Ok(Ok(told)) => json_response(StatusCode::OK, &told),
        Ok(Err(denied)) => refused(denied),
        Err(_) => {
            refused(Denied::Failed("the preview could not be made because of a fault in the gateway".into()))
        }
    }
}

fn compared(control: &Arc<Control>, text: &str) -> Result<Value, Denied> {
    let live = &control.gateway.live;
    let running = live.snapshot();
    let next = running.revision.saturating_add(1);
    let compiled = control.source.compile_draft(text, next, Some(&running), live.workers);
    let (_, draft) = compiled.map_err(|faults| Denied::Faults(Box::new(faults)))?;
    let samples = live.observe.samples.as_ref();
    let samples =
        samples.map(|samples| samples.find(0, &Filter::default(), MOST).samples).unwrap_or_default();
    let (mut same, mut asked) = (0_u64, 0_u64);
    let mut kinds: BTreeMap<(String, String), Kind> = BTreeMap::new();
    for (number, sample) in samples {
        let Some(question) = question(&sample, &running) else { continue };
        let (Ok(before), Ok(after)) = (explain(&running, &question), explain(&draft, &question)) else {
            continue;
        };
        asked = asked.saturating_add(1);
        let (before, after) = (outcome(&before), outcome(&after));
        if before == after {
            same = same.saturating_add(1);
            continue;
        }
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&(before.clone(), after.clone())) {
            continue;
        }
        let kind = kinds.entry((before, after)).or_default();
        kind.count = kind.count.saturating_add(1);
        if kind.examples.len() < EXAMPLES {
            kind.examples.push(json!({ "number": number, "method": question.method, "url": question.url }));
        }
    }
    let mut told: Vec<((String, String), Kind)> = kinds.into_iter().collect();
    told.sort_by_key(|(_, kind)| std::cmp::Reverse(kind.count));
    let different: Vec<Value> = told
        .into_iter()
        .map(|((before, after), kind)| {
            json!({ "count": kind.count, "before": before, "after": after, "examples": kind.examples })
        })
        .collect();
    let summary = match different.first() {
        None => format!("{same} of {asked} sampled requests would go the same way"),
        Some(first) => format!(
            "{same} of {asked} sampled requests would go the same way; {} others, most of them now: {}",
            asked.saturating_sub(same),
            first.get("after").and_then(Value::as_str).unwrap_or_default()
        ),
    };
    Ok(json!({ "asked": asked, "same": same, "different": different, "summary": summary }))
}

/// The request of a sample, as far as it is kept.
fn question(sample: &Value, running: &Snapshot) -> Option<Question> {
    let text = |name: &str| sample.get(name).and_then(Value::as_str);
    let mut url = text("path")?.to_owned();
    if let Some(query) = text("query") {
        url.push('?');
        url.push_str(query);
    }
    let mut question = Question::new(text("method")?, url);
    question.headers.extend(text("host").map(|host| ("Host".to_owned(), host.to_owned())));
    if let Some(from) = text("client").and_then(|client| client.parse().ok()) {
        question.from = from;
    }
    question.body_size = sample.get("bytes_in").and_then(Value::as_u64).filter(|bytes| *bytes > 0);
    question.listener = text("listener").filter(|name| running.listener(name).is_some()).map(str::to_owned);
    Some(question)
}

/// Where it goes, and how it ends.
fn outcome(told: &Explanation) -> String {
    match &told.route {
        Some(route) => format!("{} (route {})", told.verdict, route.key),
        None => told.verdict.clone(),
    }
}
