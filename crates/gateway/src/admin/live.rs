//! The topology once a second, as server-sent events, for as long as somebody looks.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Shared;
use super::api::{Window, seconds, unclear};
use super::topology::told_topology;

/// Time between two events.
const STEP: Duration = Duration::from_secs(1);
/// Routes, services and targets of an event, the busiest of each: more than is on a screen at a time, and with what is told
/// of each less than 30 kB in a second.
const MOST: usize = 40;

/// The topology of the window, anew each second.
pub(super) async fn live(State(control): Shared, asked: Result<Query<Window>, QueryRejection>) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return unclear(&error.body_text()),
    };
    let window = match seconds(asked.window.as_deref()) {
        Ok(window) => window,
        Err(what) => return unclear(&what),
    };
    // Weak, so that somebody who looks does not keep the gateway from ending.
    let control = std::sync::Arc::downgrade(&control);
    let stream = stream::unfold(false, move |waited| {
        let control = control.clone();
        async move {
            if waited {
                tokio::time::sleep(STEP).await;
            }
            let control = control.upgrade()?;
            let told = told_topology(&control, window, MOST, false);
            Some((Ok::<_, Infallible>(Event::default().data(told)), true))
        }
    });
    Sse::new(stream).into_response()
}
