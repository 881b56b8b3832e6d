//! What the admin API can be asked: one list from which the router, the rights and the description are made.
//!
//! An endpoint that is not in the list does not exist; one that is has a role, so none can be open by oversight.

use axum::Router;
use axum::routing::{MethodRouter, delete, get, post, put};
use schemars::{Schema, SchemaGenerator};
use std::sync::Arc;

use super::changes::{Proposal, answers, canary, preview};
use super::control::Control;
use super::{
    api, bans, cache, drain, guarding, live, mirrors, openapi, pages, policies, routes, samples, session,
    splits, topology, versions,
};
use crate::config::Role;

/// A method of the admin API.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// Its name in lower case.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Delete => "delete",
        }
    }
}

/// One thing that may be asked.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) method: Verb,
    /// Who may ask; `None` for everybody.
    pub(super) role: Option<Role>,
    /// Whether it changes something: not where the admin address is read only.
    pub(super) changes: bool,
    pub(super) summary: &'static str,
    /// Names and meanings of what may stand in the query.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Schema>,
    answer: fn() -> MethodRouter<Arc<Control>>,
}

const WINDOW: (&str, &str) = ("window", "A duration from 1s to 1d; without it 5m.");
const CURVE_WINDOW: (&str, &str) =
    ("window", "A duration from 1s to 1d, or to what `admin.rollups` keeps; without it 5m.");
const CURVE: &[(&str, &str)] = &[
    ("kind", "`gateway` (without it), `listener`, `route`, `service`, `target`, `policy` or `group`."),
    ("name", "The name of the thing; none for the gateway."),
    ("service", "The service that a target is of."),
    ("outcome", "What a policy made of requests: `refused`, `would_refuse`, or of a cache such as `hit`."),
    ("route", "The route on which it did; without it, all."),
    CURVE_WINDOW,
];
const FILTER: (&str, &str) = ("filter", "Terms that must all hold, such as `status>=500 route:/orders/*`.");
const SAMPLES: &[(&str, &str)] =
    &[FILTER, ("after", "Only samples after this number."), ("limit", "At most so many; without it 100.")];

impl Endpoint {
    const fn new(
        method: Verb,
        path: &'static str,
        role: Option<Role>,
        summary: &'static str,
        answer: fn() -> MethodRouter<Arc<Control>>,
    ) -> Endpoint {
        Endpoint { path, method, role, changes: false, summary, query: &[], body: None, answer }
    }

    /// Something to look at.
    const fn look(
        path: &'static str,
        role: Role,
        summary: &'static str,
        answer: fn() -> MethodRouter<Arc<Control>>,
    ) -> Endpoint {
        Endpoint::new(Verb::Get, path, Some(role), summary, answer)
    }

    /// Something that changes what runs.
    const fn work(
        path: &'static str,
        role: Role,
        summary: &'static str,
        answer: fn() -> MethodRouter<Arc<Control>>,
    ) -> Endpoint {
        Endpoint { changes: true, ..Endpoint::new(Verb::Post, path, Some(role), summary, answer) }
    }

    /// A question with a body that changes nothing.
    const fn question(
        path: &'static str,
        role: Role,
        summary: &'static str,
        answer: fn() -> MethodRouter<Arc<Control>>,
    ) -> Endpoint {
        Endpoint::new(Verb::Post, path, Some(role), summary, answer)
    }

    const fn with(self, query: &'static [(&'static str, &'static str)]) -> Endpoint {
        Endpoint { query, ..self }
    }

    const fn taking(self, body: fn(&mut SchemaGenerator) -> Schema) -> Endpoint {
        Endpoint { body: Some(body), ..self }
    }
}

/// All of the admin API.
pub(super) static ENDPOINTS: [Endpoint; 44] = {
    use Role::{Admin, Operator, Viewer};
    [
        Endpoint::look(
            "/api/v1/status",
            Viewer,
            "How the gateway is: version, revision, listeners, services.",
            || get(pages::status),
        ),
        Endpoint::look(
            "/api/v1/topology",
            Viewer,
            "Listeners, routes, services and targets, with what happened at each.",
            || get(topology::topology),
        )
        .with(&[WINDOW]),
        Endpoint::look("/api/v1/live", Viewer, "The topology once a second, as server-sent events.", || {
            get(live::live)
        })
        .with(&[WINDOW]),
        Endpoint::look("/api/v1/routes", Viewer, "The routes that run, with their policies.", || {
            get(routes::routes)
        }),
        Endpoint::look(
            "/api/v1/policies",
            Viewer,
            "All kinds of policies in the order of running, and what they refused or kept on which route.",
            || get(policies::policies),
        )
        .with(&[WINDOW]),
        Endpoint::look("/api/v1/groups", Viewer, "What callers did, by their groups.", || {
            get(policies::groups)
        })
        .with(&[WINDOW]),
        Endpoint::look("/api/v1/insights", Viewer, "What is not as usual, in words.", || {
            get(pages::insights)
        }),
        Endpoint::look("/api/v1/series", Viewer, "The curves of one thing.", || get(api::series)).with(CURVE),
        Endpoint::look(
            "/api/v1/heatmap",
            Viewer,
            "How the durations of one thing were spread over time.",
            || get(api::heatmap),
        )
        .with(CURVE),
        Endpoint::look("/api/v1/samples", Viewer, "Single requests that are kept.", || get(samples::samples))
            .with(SAMPLES),
        Endpoint::look(
            "/api/v1/events",
            Viewer,
            "Single requests as they come, as server-sent events.",
            || get(samples::events),
        )
        .with(SAMPLES),
        Endpoint::look(
            "/api/v1/audit",
            Operator,
            "The last changes that were asked for, and by whom.",
            || get(session::audit),
        ),
        Endpoint::look("/api/v1/session", Viewer, "Who the caller is and what they may do.", || {
            get(session::who)
        }),
        Endpoint::look(
            "/api/v1/config",
            Operator,
            "The text of the configuration, and its fingerprint.",
            || get(answers::standing),
        ),
        Endpoint::look(
            "/api/v1/config/history",
            Operator,
            "The last 50 changes of the configuration.",
            || get(answers::history),
        ),
        Endpoint::look(
            "/api/v1/config/history/{number}",
            Operator,
            "One change: its text and its difference.",
            || get(answers::remembered),
        ),
        Endpoint::question("/api/v1/config/check", Operator, "All faults of a text or of edits.", || {
            post(answers::checked)
        })
        .taking(|generator| generator.subschema_for::<Proposal>()),
        Endpoint::question("/api/v1/config/diff", Operator, "What a text or edits would change.", || {
            post(answers::difference)
        })
        .taking(|generator| generator.subschema_for::<Proposal>()),
        Endpoint::question(
            "/api/v1/config/preview",
            Operator,
            "What a text or edits would do to sampled requests.",
            || post(preview::preview),
        )
        .taking(|generator| generator.subschema_for::<Proposal>()),
        Endpoint {
            changes: true,
            ..Endpoint::new(
                Verb::Put,
                "/api/v1/config",
                Some(Admin),
                "Put a text or edits in force. Needs `If-Match` with the `ETag` of the configuration.",
                || put(answers::put),
            )
        }
        .taking(|generator| generator.subschema_for::<Proposal>()),
        Endpoint::look(
            "/api/v1/config/canary",
            Operator,
            "What is on trial, with the counts of both configurations, and what came of the last trial.",
            || get(canary::told),
        ),
        Endpoint::work("/api/v1/config/canary", Admin, "Promote what is on trial now, or end it.", || {
            post(canary::ended)
        })
        .taking(|generator| generator.subschema_for::<canary::End>()),
        Endpoint::work(
            "/api/v1/config/confirm",
            Admin,
            "Keep the change that waits for its confirmation.",
            || post(answers::confirmed),
        ),
        Endpoint::work(
            "/api/v1/config/rollback",
            Admin,
            "Go back to an earlier change, or the one before.",
            || post(answers::rolled_back),
        )
        .taking(|generator| generator.subschema_for::<answers::Back>()),
        Endpoint::work("/api/v1/reload", Operator, "Read the configuration again.", || post(pages::reload)),
        Endpoint::work("/api/v1/drain", Operator, "Take a target out of use.", || post(drain::drain)),
        Endpoint::work("/api/v1/undrain", Operator, "Take a target back in.", || post(drain::undrain)),
        Endpoint::work("/api/v1/weight", Operator, "Give a target another weight.", || post(drain::weigh)),
        Endpoint::look("/api/v1/splits", Viewer, "Routes that are spread over services, and how.", || {
            get(splits::show)
        }),
        Endpoint::work(
            "/api/v1/split",
            Operator,
            "Give a split other weights, or stop its progress.",
            || post(splits::change),
        )
        .taking(|generator| generator.subschema_for::<splits::Change>()),
        Endpoint::look("/api/v1/mirrors", Viewer, "Copies of requests, and where answers differ.", || {
            get(mirrors::show)
        }),
        Endpoint::look("/api/v1/cache", Viewer, "What the cache holds.", || get(cache::show)),
        Endpoint::work("/api/v1/cache/purge", Operator, "Take answers out of the cache.", || {
            post(cache::purge)
        }),
        Endpoint::look("/api/v1/bans", Viewer, "The addresses that are kept out by hand.", || {
            get(bans::bans)
        }),
        Endpoint::work("/api/v1/ban", Operator, "Keep an address out for a time.", || post(bans::ban))
            .taking(|generator| generator.subschema_for::<bans::Question>()),
        Endpoint::work("/api/v1/unban", Operator, "Let an address in again.", || post(bans::unban))
            .taking(|generator| generator.subschema_for::<bans::Question>()),
        Endpoint::look("/api/v1/guard", Viewer, "The clients that the guard watches, and why.", || {
            get(guarding::show)
        }),
        Endpoint::work(
            "/api/v1/guard/forgive",
            Operator,
            "Forget what a client did, and leave it alone for a time.",
            || post(guarding::forgive),
        )
        .taking(|generator| generator.subschema_for::<guarding::Question>()),
        Endpoint::look("/api/v1/quotas", Viewer, "Who has used how much of which quota.", || {
            get(pages::quotas)
        }),
        Endpoint::look("/api/v1/versions", Viewer, "Who still calls which version of an interface.", || {
            get(versions::versions)
        }),
        Endpoint::question("/api/v1/explain", Viewer, "What would become of a request.", || {
            post(pages::explain)
        }),
        Endpoint::new(Verb::Post, "/api/v1/session", None, "Begin a browser's session with a token.", || {
            post(session::begin)
        })
        .taking(|generator| generator.subschema_for::<session::Login>()),
        Endpoint::new(Verb::Delete, "/api/v1/session", None, "End a browser's session.", || {
            delete(session::end)
        }),
        Endpoint::look("/api/v1/openapi.json", Viewer, "This description, as OpenAPI 3.1.", || {
            get(openapi::page)
        }),
    ]
};

/// The router of all of them.
pub(super) fn router() -> Router<Arc<Control>> {
    ENDPOINTS.iter().fold(Router::new(), |router, endpoint| router.route(endpoint.path, (endpoint.answer)()))
}

/// The endpoint of a path as the router knows it. HEAD asks what GET asks.
pub(super) fn find(path: &str, method: &http::Method) -> Option<&'static Endpoint> {
    let asked = if *method == http::Method::HEAD { "GET" } else { method.as_str() };
    let mut all = ENDPOINTS.iter();
    all.find(|endpoint| endpoint.path == path && endpoint.method.word().eq_ignore_ascii_case(asked))
}
