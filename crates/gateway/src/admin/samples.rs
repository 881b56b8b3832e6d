//! Single exchanges on the admin address: those that are kept, and those that come, as a stream.
//!
//! They show who asked for what; secrets are masked before they are kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::Control;
use super::pages::json_response;
use super::{Shared, problem};
use crate::observe::samples::filter::Filter;
use crate::observe::samples::{Found, Samples};

/// Samples told where no number is asked for, and in one step of a stream.
const USUAL: usize = 100;
/// Most samples of an answer.
const MOST: usize = 3_000;
/// Time between two looks of a stream.
const STEP: Duration = Duration::from_millis(500);

/// What may be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    filter: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
}

/// What was asked for, or the answer that refuses it.
type Answered<T> = Result<T, Box<Response>>;

/// The newest samples after a number, the oldest of them first.
pub(super) async fn samples(State(control): Shared, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let told = admit(&control, asked).map(|(samples, filter, asked)| {
        let limit = asked.limit.unwrap_or(USUAL).min(MOST);
        let found = samples.find(asked.after.unwrap_or(0), &filter, limit);
        let list: Vec<Value> =
            found.samples.into_iter().map(|(number, sample)| numbered(number, sample)).collect();
        let body = json!({ "last": found.last, "dropped": samples.dropped(), "samples": list });
        json_response(StatusCode::OK, &body)
    });
    told.unwrap_or_else(|refused| *refused)
}

/// Samples as they come, as server-sent events; after a break, from the last one that was seen.
pub(super) async fn events(
    State(control): Shared,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let (samples, filter, asked) = match admit(&control, asked) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = seen.or(asked.after).unwrap_or_else(|| samples.find(u64::MAX, &filter, 0).last);
    let waiting: VecDeque<(u64, Value)> = VecDeque::new();
    let stream = stream::unfold((after, waiting), move |(mut after, mut waiting)| {
        let (samples, filter) = (samples.clone(), filter.clone());
        async move {
            while waiting.is_empty() {
                tokio::time::sleep(STEP).await;
                let Found { last, samples } = samples.find(after, &filter, USUAL);
                (after, waiting) = (last, samples.into());
            }
            let (number, sample) = waiting.pop_front()?;
            let event = Event::default().id(number.to_string()).data(numbered(number, sample).to_string());
            Some((Ok::<_, std::convert::Infallible>(event), (after, waiting)))
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

fn admit(
    control: &Control,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answered<(Arc<Samples>, Filter, Asked)> {
    let unclear = |what: &str| Box::new(problem(StatusCode::BAD_REQUEST, "question_unclear", what));
    let Query(asked) = asked.map_err(|error| unclear(&error.body_text()))?;
    let filter = asked.filter.as_deref().unwrap_or_default().parse();
    let filter: Filter = filter.map_err(|what: String| unclear(&format!("filter: {what}")))?;
    let samples = control.gateway.live.observe.samples.clone();
    let samples = samples
        .ok_or_else(|| Box::new(problem(StatusCode::NOT_FOUND, "no_samples", "no samples are taken")))?;
    Ok((samples, filter, asked))
}

fn numbered(number: u64, mut sample: Value) -> Value {
    if let Some(fields) = sample.as_object_mut() {
        fields.insert("number".into(), number.into());
    }
    sample
}
