//! The topology once a second, as server-sent events, for as long as somebody looks.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Shared;
use super::api::{Window, seconds, unclear};
use super::topology::Asked;

/// Routes, services and targets of an event, the busiest of each: more than is on a screen at a time, and with what is told
/// of each less than 30 kB in a second.
const MOST: usize = 40;
/// Room for an event.
const LONG: usize = 32 * 1024;

/// The topology of the window, anew each second: as soon as it was kept, when most of what is read is still in the caches.
pub(super) async fn live(State(control): Shared, asked: Result<Query<Window>, QueryRejection>) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return unclear(&error.body_text()),
    };
    let window = match seconds(asked.window.as_deref()) {
        Ok(window) => window,
        Err(what) => return unclear(&what),
    };
    let mut kept = control.telemetry.kept();
    kept.mark_changed();
    // Weak, so that somebody who looks does not keep the gateway from ending.
    let control = Arc::downgrade(&control);
    let stream = stream::unfold(kept, move |mut kept| {
        let control = control.clone();
        async move {
            kept.changed().await.ok()?;
            let mut event = Vec::with_capacity(LONG);
            event.extend_from_slice(b"data: ");
            Asked { seconds: window, most: MOST, full: false }.tell(&*control.upgrade()?, &mut event);
            event.extend_from_slice(b"\n\n");
            Some((Ok::<_, Infallible>(event), kept))
        }
    });
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (head, Body::from_stream(stream)).into_response()
}
