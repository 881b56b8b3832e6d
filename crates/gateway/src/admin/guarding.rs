//! Lets the guard look at the clients once a second, tells what it found, and undoes it when it was wrong.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::Control;
use super::notices::Notice;
use super::{Shared, problem};
use crate::config::NoticeKind;
use crate::policies::guard::ladder::{CHALLENGE, LEVELS, LIMIT};
use crate::policies::guard::{Change, LIVE, Live};
use crate::policies::lists::{self, Registry};
use crate::values;

/// Time between two looks.
const STEP: Duration = Duration::from_secs(1);
/// Clients that are told at once.
const MOST: usize = 500;

/// Who is forgiven.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Forgive")]
pub(super) struct Question {
    /// The client as the list names it: an address, of IPv6 any of its /64, or the name of a consumer.
    client: String,
    /// For how long it is left alone. Default: 1h.
    #[serde(default = "an_hour", rename = "for")]
    time: values::Duration,
}

fn an_hour() -> values::Duration {
    values::Duration::from_secs(3_600)
}

fn live(control: &Control) -> Option<Arc<Live>> {
    control.gateway.live.snapshot().lives.get(LIVE)
}

/// Keeps the lists of others fresh, as long as there are any.
pub(super) async fn keep_lists(control: Arc<Control>) {
    loop {
        let registry: Option<Arc<Registry>> = control.gateway.live.snapshot().lives.get(lists::LIVE);
        if let Some(registry) = registry {
            registry.refresh().await;
            let _ = tokio::task::spawn_blocking(move || registry.reread()).await;
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Looks once a second, as long as there is a guard.
pub(super) async fn run(control: Arc<Control>) {
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        steps.tick().await;
        let Some(live) = live(&control) else { continue };
        let Ok(second) = tokio::task::spawn_blocking(move || live.second_by_clock()).await else { continue };
        second.changes.iter().for_each(|change| tell(&control, change));
        if second.more > 0 {
            tracing::warn!("{} more clients changed their level", second.more);
        }
    }
}

fn tell(control: &Control, change: &Change) {
    let level = |level: u8| LEVELS.get(usize::from(level)).copied().unwrap_or_default();
    let (from, to, shadow) = (level(change.from), level(change.to), change.shadow);
    let (client, guard, score) = (&change.client, &change.watch, change.score.to_string());
    if change.to > change.from && change.to >= LIMIT {
        let mode = if shadow { "shadow" } else { "enforce" };
        let title = format!("{client} behaves abnormally and is on the level {to}");
        let facts = vec![
            ("client", client.clone()),
            ("guard", guard.clone()),
            ("from", from.to_owned()),
            ("level", to.to_owned()),
            ("mode", mode.to_owned()),
            ("why", score.clone()),
        ];
        control.notices.tell(Notice::new(NoticeKind::Guard, change.to >= CHALLENGE, title, facts));
    }
    if change.to > change.from && change.to >= CHALLENGE {
        tracing::warn!(client, guard, from, to, shadow, score, "a client behaves abnormally");
    } else {
        tracing::info!(client, guard, from, to, shadow, score, "a client changed its level");
    }
}

pub(super) async fn show(State(control): Shared) -> Response {
    let nobody =
        || json!({ "watches": [], "clients": [], "more": 0, "tracked": 0, "dropped": 0, "uncounted": 0 });
    let told: Value = live(&control).map_or_else(nobody, |live| live.list(MOST));
    Json(told).into_response()
}

pub(super) async fn forgive(State(control): Shared, body: String) -> Response {
    let Question { client, time } = match serde_json::from_str(&body) {
        Ok(question) => question,
        Err(error) => {
            return problem(
                StatusCode::BAD_REQUEST,
                "question_unclear",
                &error.to_string().replace('\n', ": "),
            );
        }
    };
    let seconds = u32::try_from(time.get().as_secs()).unwrap_or(u32::MAX);
    let forgiven = live(&control).map_or(0, |live| {
        let address: Option<IpAddr> = client.trim_end_matches("/64").parse().ok();
        live.forgive(address.map_or_else(|| live.consumer(&client), Live::who), seconds)
    });
    if forgiven == 0 {
        let what = format!("no guard has seen {client} lately");
        return problem(StatusCode::NOT_FOUND, "not_watched", &what);
    }
    tracing::info!(client, seconds, "forgiven by command");
    Json(json!({ "client": client, "forgiven": forgiven, "seconds": seconds })).into_response()
}
