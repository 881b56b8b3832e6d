//! What the admin address answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::control::{Control, Refused, Reloaded};
use super::explain::{self, Question};
use super::{Shared, problem, versions};
use crate::identity::failures;
use crate::observe::Connections;
use crate::observe::Figure;
use crate::observe::page::circuits::{CircuitReading, TargetCircuit};
use crate::observe::page::fallback::FallbackReading;
use crate::observe::page::retries::{DoorReading, HedgeReading, RetryReading};
use crate::observe::page::{self, PageInput, RouteEntry, SecuredReading, TargetReading};
use crate::snapshot::Snapshot;
use crate::upstream::health::Rank;
use crate::upstream::pace::Quantile;
use crate::upstream::service::{Endpoint, Service};

pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Ready while the gateway takes requests and is not ending. `?verbose` says what is known.
pub(super) async fn ready(State(control): Shared, RawQuery(query): RawQuery) -> Response {
    let draining = control.is_draining();
    let status = if control.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if draining { "draining" } else { "ready" };
    if !query.is_some_and(|query| query.contains("verbose")) {
        return (status, format!("{word}\n")).into_response();
    }
    let mut text = format!("{word}\nrevision {}\n", control.gateway.live.snapshot().revision);
    for (name, address, _) in control.gateway.listeners() {
        text.push_str(&format!("listener {name} {address}\n"));
    }
    match control.refused() {
        Some(refused) => text.push_str(&format!("the last reload was refused:\n{refused}\n")),
        None => text.push_str("the configuration on disk is the one that runs\n"),
    }
    (status, text).into_response()
}

/// The keys by which services verify the gateway's word on who calls.
pub(super) async fn keys(State(control): Shared) -> Response {
    let keys = control.gateway.live.snapshot().callers.published_keys();
    ([(header::CACHE_CONTROL, "max-age=300")], axum::Json(keys)).into_response()
}

/// Who has used how much of which quota, in the periods that run.
pub(super) async fn quotas(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    // It waits for what is being written down.
    let told = tokio::task::spawn_blocking(move || {
        let policies = snapshot.routes.iter().flat_map(|route| &route.policies);
        let mut told: Vec<Value> = Vec::new();
        for account in policies.flat_map(|bound| bound.policy.usage()) {
            // All quotas of a gateway have one ledger.
            if !told.contains(&account) {
                told.push(account);
            }
        }
        told
    });
    axum::Json(json!({ "quotas": told.await.unwrap_or_default() })).into_response()
}

pub(super) async fn metrics(State(control): Shared) -> Response {
    let text = metrics_text(&control);
    ([(header::CONTENT_TYPE, page::CONTENT_TYPE)], text).into_response()
}

fn metrics_text(control: &Control) -> String {
    let snapshot = control.gateway.live.snapshot();
    let mut routes: Vec<RouteEntry<'_>> = snapshot
        .routes
        .iter()
        .map(|route| RouteEntry {
            route: &route.key,
            service: snapshot.service_of(route),
            stats: &route.stats,
        })
        .collect();
    routes.push(RouteEntry { route: "none", service: "", stats: &snapshot.unrouted });
    let listeners = control.gateway.listeners();
    let listeners: Vec<(&str, &Connections)> =
        listeners.iter().map(|(name, _, connections)| (&**name, &**connections)).collect();
    let endpoints: Vec<_> =
        snapshot.services.iter().map(|service| (service, service.live.endpoints())).collect();
    let targets: Vec<TargetReading<'_>> = endpoints
        .iter()
        .flat_map(|(service, endpoints)| endpoints.iter().map(|endpoint| target(&service.name, endpoint)))
        .collect();
    let mut figures: Vec<Figure> = control.telemetry.figures();
    figures.push(control.access.figure());
    figures.extend(control.notices.figures());
    figures.extend(control.gateway.live.observe.samples.iter().map(|samples| samples.figure()));
    for bound in snapshot.routes.iter().flat_map(|route| &route.policies) {
        bound.policy.figures(&mut |figure| {
            if !figures.iter().any(|known| known.name == figure.name) {
                figures.push(figure);
            }
        });
    }
    page::page(&PageInput {
        figures: &figures,
        auth_failures: &failures::told(),
        shared: &control.gateway.live.observe,
        routes: &routes,
        targets: &targets,
        circuits: &endpoints
            .iter()
            .filter_map(|(service, known)| circuit(service, known))
            .collect::<Vec<_>>(),
        retries: &snapshot.services.iter().filter_map(|service| retries(service)).collect::<Vec<_>>(),
        hedges: &snapshot.services.iter().filter_map(|service| hedges(service)).collect::<Vec<_>>(),
        doors: &snapshot.services.iter().filter_map(|service| door(service)).collect::<Vec<_>>(),
        fallback: &fallbacks(&snapshot),
        versions: &versions::readings(&versions::lines(&snapshot)),
        splits: &super::splits::readings(&snapshot),
        mirrors: &super::mirrors::readings(&snapshot),
        listeners: &listeners,
        tls: &secured(&snapshot),
        most_series: page::MOST_SERIES,
    })
}

/// Reads TLS of all listeners that have it.
fn secured(snapshot: &Snapshot) -> Vec<SecuredReading<'_>> {
    let secured = snapshot.listeners.iter().filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    secured
        .map(|(listener, tls)| SecuredReading {
            listener: &listener.name,
            handshakes: &tls.handshakes,
            certificates: tls
                .certificates
                .told()
                .into_iter()
                .map(|told| (told.name, told.subject, told.not_after))
                .collect(),
        })
        .collect()
}

/// Reads the counters of an endpoint.
fn target<'a>(service: &'a str, endpoint: &'a Endpoint) -> TargetReading<'a> {
    let mut reading =
        TargetReading { service, target: &endpoint.settings.authority, ..TargetReading::default() };
    for shard in endpoint.shards() {
        shard.answered.read(&mut reading.answered);
        reading.faults = reading.faults.wrapping_add(shard.faults.load(Ordering::Relaxed));
        reading.connects = reading.connects.wrapping_add(shard.connects.load(Ordering::Relaxed));
    }
    reading.in_flight = u64::from(endpoint.in_flight());
    let health = &endpoint.health;
    reading.well = u64::from(health.is_well());
    reading.drained = u64::from(health.is_drained());
    reading.ejections = health.ejections.load(Ordering::Relaxed);
    reading.checks = [&health.checks_good, &health.checks_failed].map(|count| count.load(Ordering::Relaxed));
    reading
}

/// Reads the door of a service, if it has one.
fn door(service: &Service) -> Option<DoorReading<'_>> {
    Some(DoorReading { service: &service.name, counts: service.door.as_ref()?.counts() })
}

/// Reads what was sent again to a service; none where nothing was asked to be.
fn retries(service: &Service) -> Option<RetryReading<'_>> {
    let [sent, refused] = service.budget.counts();
    let told = service.retry.is_some() || sent > 0 || refused > 0;
    told.then(|| RetryReading { service: &service.name, sent, lost: service.budget.lost(), refused })
}

/// Reads what was hedged of a service's requests, where any may be.
fn hedges(service: &Service) -> Option<HedgeReading<'_>> {
    service.pace.get()?;
    Some(HedgeReading { service: &service.name, counts: service.budget.hedges() })
}

/// Reads what stood in for services that failed, route by route.
fn fallbacks(snapshot: &Snapshot) -> Vec<FallbackReading<'_>> {
    let ladders = snapshot.routes.iter().filter_map(|route| {
        // The services of a split share theirs.
        let (_, care) = route.action.asks().into_iter().next()?;
        Some((&*route.key, care?.ladder.as_deref()?))
    });
    ladders
        .flat_map(|(route, ladder)| {
            ladder.counted().into_iter().map(move |(step, count)| FallbackReading { route, step, count })
        })
        .collect()
}

/// Reads the circuits of a service's targets; the endpoints of one count together.
fn circuits_of_targets(endpoints: &[Arc<Endpoint>]) -> Vec<TargetCircuit<'_>> {
    let mut told: BTreeMap<&str, TargetCircuit<'_>> = BTreeMap::new();
    for endpoint in endpoints {
        let Some(circuit) = endpoint.health.circuit() else { continue };
        let target = &*endpoint.settings.authority;
        let one = told.entry(target).or_insert(TargetCircuit { target, state: 0, opened: 0, passed_over: 0 });
        one.state = one.state.max(circuit.state() as u8);
        one.opened = one.opened.wrapping_add(circuit.opened.load(Ordering::Relaxed));
        one.passed_over = one.passed_over.wrapping_add(circuit.refused.load(Ordering::Relaxed));
    }
    told.into_values().collect()
}

/// Reads the circuit breaker of a service.
fn circuit<'a>(service: &'a Service, endpoints: &'a [Arc<Endpoint>]) -> Option<CircuitReading<'a>> {
    let breaker = service.breaker.as_ref()?;
    Some(CircuitReading {
        service: &service.name,
        state: breaker.state() as u8,
        opened: breaker.opened.load(Ordering::Relaxed),
        refused: breaker.refused.load(Ordering::Relaxed),
        targets: circuits_of_targets(endpoints),
    })
}

pub(super) async fn schema() -> Response {
    (
        [(header::CONTENT_TYPE, "application/schema+json")],
        crate::config::schema(crate::policies::schemas).to_string(),
    )
        .into_response()
}

/// What runs: version, revision, listeners, services with their endpoints.
pub(super) async fn status(State(control): Shared) -> Response {
    let snapshot = control.gateway.live.snapshot();
    let listeners: serde_json::Map<String, Value> = control
        .gateway
        .listeners()
        .into_iter()
        .map(|(name, address, connections)| {
            let active = connections.active.load(Ordering::Relaxed);
            (name.to_string(), json!({ "address": address.to_string(), "connections": active }))
        })
        .collect();
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": if control.is_draining() { "draining" } else { "ready" },
        "revision": snapshot.revision,
        "longest_window_seconds": control.telemetry.longest(),
        "uptime_seconds": control.started.elapsed().as_secs(),
        "workers": control.gateway.live.workers,
        "routes": snapshot.written,
        "listeners": listeners,
        "services": services(&snapshot),
        "splits": super::splits::told(&snapshot),
        "last_reload_refused": control.refused(),
        "audit_last_hash": control.audit.last().1,
    });
    json_response(StatusCode::OK, &body)
}

fn services(snapshot: &Snapshot) -> Value {
    let services = snapshot.services.iter().map(|service| {
        let endpoints: Vec<Value> = service
            .live
            .endpoints()
            .iter()
            .map(|endpoint| {
                json!({
                    "target": &*endpoint.settings.authority,
                    "address": endpoint.settings.address.to_string(),
                    "in_flight": endpoint.in_flight(),
                    "share": endpoint.health.share(),
                    "backup": endpoint.settings.rank == Rank::Backup,
                    "far": endpoint.settings.rank == Rank::Far,
                    "ailment": endpoint.health.ailment(),
                    "circuit": endpoint.health.circuit().map(|circuit| circuit.state().word()),
                })
            })
            .collect();
        let circuit = service.breaker.as_ref().map(|breaker| breaker.state().word());
        let mut told = json!({ "endpoints": endpoints, "circuit": circuit });
        if let (Some(pace), Some(told)) = (service.pace.get(), told.as_object_mut()) {
            let millis = |quantile| pace.of(quantile).map(|time: Duration| time.as_secs_f64() * 1000.0);
            let each = Quantile::ALL.map(|quantile| (quantile.word().to_owned(), json!(millis(quantile))));
            told.insert("pace_ms".to_owned(), Value::Object(each.into_iter().collect()));
        }
        (service.name.to_string(), told)
    });
    Value::Object(services.collect())
}

/// Reads the configuration again.
pub(super) async fn reload(State(control): Shared) -> Response {
    match reload_and_tell(&control).await {
        Ok(Reloaded::Applied(revision)) => {
            json_response(StatusCode::OK, &json!({ "revision": revision, "changed": true }))
        }
        Ok(Reloaded::Unchanged(revision)) => {
            json_response(StatusCode::OK, &json!({ "revision": revision, "changed": false }))
        }
        Err(refused @ Refused::Faults(_)) => {
            problem(StatusCode::UNPROCESSABLE_ENTITY, "configuration_refused", &refused.to_string())
        }
        Err(refused) => problem(StatusCode::CONFLICT, "configuration_refused", &refused.to_string()),
    }
}

/// Reloads and says in the log what came of it.
pub(super) async fn reload_and_tell(control: &Arc<Control>) -> Result<Reloaded, Refused> {
    let started = std::time::Instant::now();
    control.notify.reloading();
    let outcome = control.reload().await;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &outcome {
        Ok(Reloaded::Applied(revision)) => {
            if let Ok(text) = control.source.text() {
                control.changes.note(&text, "the file", "");
            }
            tracing::info!(revision, millis, "configuration applied");
        }
        Ok(Reloaded::Unchanged(revision)) => tracing::info!(revision, "configuration unchanged"),
        Err(refused) => {
            let running = control.gateway.live.snapshot().revision;
            tracing::error!("configuration refused; revision {running} keeps running\n{refused}");
        }
    }
    // Ready in any case: a refused configuration leaves the one before.
    control.notify.ready(&control.summary());
    outcome
}

/// What would become of a request: a question as JSON, its explanation as JSON.
pub(super) async fn explain(State(control): Shared, body: String) -> Response {
    let question: Question = match serde_json::from_str(&body) {
        Ok(question) => question,
        Err(error) => return problem(StatusCode::BAD_REQUEST, "question_unclear", &error.to_string()),
    };
    match explain::explain(&control.gateway.live.snapshot(), &question) {
        Ok(told) => json_response(StatusCode::OK, &json!(told)),
        Err(unclear) => problem(StatusCode::BAD_REQUEST, "question_unclear", &unclear.to_string()),
    }
}

/// What is not as usual, and since when.
pub(super) async fn insights(State(control): Shared) -> Response {
    json_response(StatusCode::OK, &json!({ "insights": *control.telemetry.insights() }))
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    json_text(status, format!("{body}\n"))
}

/// A text that is JSON already.
pub(super) fn json_text(status: StatusCode, text: impl IntoResponse) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
