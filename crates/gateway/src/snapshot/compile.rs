//! Makes a snapshot of a configuration: the only place that may refuse one, and it tells all reasons at once.
//!
//! References are resolved, patterns and policies built, and the live part of whatever stays is carried over from the
//! snapshot before. Reads no files but those of TLS (`secure`); nothing that runs is touched until the snapshot is
//! applied.

use std::sync::Arc;

use http1::{HeadLimits, NameBuf};

use super::aggregate::Parts;
use super::secure;
use super::services::{Services, sendings};
use super::stats::{self, Stats};
use super::{Listener, Snapshot};
use super::{mock, split};
use crate::config::{self, Config, Diagnostics, Named, Node, Spanned, To, Use, codes};
use crate::exchange::{Answer, Body};
use crate::http::client::ClientLimits;
use crate::http::trust::Trust;
use crate::identity::{Callers, Shelf};
use crate::observe::RouteStats;
use crate::policies::rate_limit::OfConsumers;
use crate::policies::validate::Contracts;
use crate::policies::{self, Bound, Context, Lives, Place};
use crate::route::compiled::{Action, Route};
use crate::route::table::Builder;
use crate::upstream::request::Forwarding;

/// Bytes of body a route takes that says nothing.
const BODY_LIMIT: u64 = 10 * 1024 * 1024;

/// Compiles a configuration. `None` when there are faults, which then stand in `faults`.
pub fn compile(
    config: &Config,
    revision: u64,
    previous: Option<&Snapshot>,
    workers: usize,
    faults: &mut Diagnostics,
) -> Option<Snapshot> {
    let (context, mut services) = beside(config, previous, workers, faults);
    let mut stats = Stats::new(previous, workers);
    let mut lives = Lives::after(previous.map(|previous| &previous.lives));
    let limits = OfConsumers::new(config, &context, &mut lives, faults);
    let (mut table, mut routes) = (Builder::new(), Vec::with_capacity(config.routes.len()));
    let mut keys: Vec<&Spanned<String>> = Vec::with_capacity(config.routes.len());
    let mut parts = Parts::behind(config.routes.len(), workers);
    for (key, route) in &config.routes {
        let place = u32::try_from(routes.len()).unwrap_or(u32::MAX);
        faults.within(format!("route `{key}`"), |faults| {
            enter((&mut table, &mut keys), config, (key, route), place, faults);
            let mut policies = bind(config, route, &context, faults);
            limits.iter().for_each(|limits| limits.join(&mut policies));
            let live = (&mut services, &mut stats, &mut lives);
            let mut action = parts.action((config, &context), (key, route), live, &mut policies, faults);
            services.take_care(&mut action, &policies);
            let (service, http2) = services.asked_by(&action);
            settle(&mut policies, (key, &service, http2), &mut lives, faults);
            let name: Arc<str> = key.as_str().into();
            let stats = stats.of(&name, &service);
            routes.push(Route { key: name, action, policies, stats });
        });
    }
    routes.append(&mut parts.into_routes());
    let stranger = super::stranger::stranger(config, &context, &mut lives, faults);
    let listeners = listeners(config, &told(&routes), previous, faults);
    if faults.has_errors() {
        return None;
    }
    let lives = lives.into_kept();
    Some(Snapshot {
        revision,
        table: table.build(),
        routes,
        written: config.routes.len(),
        services: services.list,
        listeners,
        identities: services.identities.list,
        callers: context.callers,
        bans: previous.map(|previous| previous.bans.clone()).unwrap_or_default(),
        state: context.state,
        kept: context.shelf.into_kept(),
        cache: lives.get(policies::cache::STORE),
        cache_memory: config.cache_memory.bytes(),
        lives,
        proofs: secure::proofs(config, previous),
        forwarding: forwarding(config.forwarded),
        stranger,
        groups: stats::groups(config, previous, workers),
        unrouted: previous.map_or_else(|| RouteStats::new(workers), |previous| previous.unrouted.clone()),
    })
}

/// Lets policies take their place on a route to a service.
pub(super) fn settle(
    policies: &mut [Bound],
    (route, service, http2): (&str, &str, bool),
    lives: &mut Lives<'_>,
    faults: &mut Diagnostics,
) {
    let shapes: Vec<&str> = policies.iter().filter_map(|bound| bound.policy.shape()).collect();
    let shape = shapes.join("\n");
    for Bound { policy, shadow, .. } in policies {
        let shape = &shape;
        policy.settle(&mut Place { route, service, http2, shadow: *shadow, shape, lives, faults });
    }
}

/// What stands beside the routes, and the services that have a name.
fn beside<'a>(
    config: &'a Config,
    previous: Option<&'a Snapshot>,
    workers: usize,
    faults: &mut Diagnostics,
) -> (Context, Services<'a>) {
    let mut context = context(config, previous, faults);
    let sendings = sendings(config, &context.shelf, faults);
    let services = Services::new(config, previous, (sendings, workers), faults);
    context.services = services.named();
    check_shared_policies(config, &context, faults);
    (context, services)
}

/// What stands beside the routes, but for the services.
fn context(config: &Config, previous: Option<&Snapshot>, faults: &mut Diagnostics) -> Context {
    let known = previous.map(|previous| previous.kept.clone()).unwrap_or_default();
    Context {
        callers: Arc::new(Callers::new(config, faults)),
        shelf: Shelf::after(known),
        versions: config.versions.iter().map(|(name, one)| (name.to_string(), one.clone())).collect(),
        redis: config.redis.clone(),
        cache_memory: Some(config.cache_memory.bytes()),
        documents: Contracts::new(config.documents.clone()),
        disk: config.disk.clone().unwrap_or_default(),
        state: config.state.as_ref().map(|state| state.as_str().into()),
        is_whole: true,
        ..Context::default()
    }
}

/// The names of headers by which policies tell services what they found.
fn told(routes: &[Route]) -> Vec<String> {
    let mut told = Vec::new();
    for bound in routes.iter().flat_map(|route| &route.policies) {
        bound.policy.tells(&mut |name| {
            if !told.iter().any(|known| known == name) {
                told.push(name.to_owned());
            }
        });
    }
    told
}

fn listeners(
    config: &Config,
    told: &[String],
    previous: Option<&Snapshot>,
    faults: &mut Diagnostics,
) -> Vec<Arc<Listener>> {
    let made = |(name, listener): &(Spanned<String>, config::Listener)| {
        listener_of(config, name, listener, (told, previous), faults)
    };
    config.listeners.iter().map(made).collect()
}

/// Enters a route into the table, under each of its patterns.
fn enter<'c>(
    (table, keys): (&mut Builder<u32>, &mut Vec<&'c Spanned<String>>),
    config: &Config,
    (key, route): (&'c Spanned<String>, &config::Route),
    place: u32,
    faults: &mut Diagnostics,
) {
    for pattern in super::pattern::patterns(config, key, route, faults) {
        if let Err(conflict) = table.add(pattern, place) {
            equal(key, keys.get(conflict.existing_index).copied().unwrap_or(key), faults);
        } else {
            keys.push(key);
        }
    }
}

/// Reports a route that takes the requests of another.
fn equal(key: &Spanned<String>, other: &Spanned<String>, faults: &mut Diagnostics) {
    let text = format!("routes `{other}` and `{key}` take exactly the same requests");
    let fault = faults.error(codes::EQUAL_ROUTES, key.span(), text);
    fault.note(other.span(), "the other one").help("change one of them, or remove it");
}

/// Reports faults in `defaults` and bundles once, not once for each route that uses them.
fn check_shared_policies(config: &Config, context: &Context, faults: &mut Diagnostics) {
    faults.within("`defaults`", |faults| bind_all(&config.defaults.policies, context, faults));
    for (name, bundle) in &config.policies {
        faults.within(format!("bundle `{name}`"), |faults| bind_all(&bundle.policies, context, faults));
    }
}

fn bind_all(settings: &Named<Node>, context: &Context, faults: &mut Diagnostics) {
    for (key, settings) in settings {
        if let Some(kind) = policies::LIST.iter().find(|kind| kind.name == key.as_str()) {
            kind.bind(key, settings, context, faults);
        }
    }
}

/// What applies to a route besides its own policies: `defaults`, and the bundles that it uses; later ones win.
fn shared<'c>(config: &'c Config, route: &config::Route) -> Vec<&'c Named<Node>> {
    let removed = |name: &str| {
        let mut uses = route.uses.iter();
        uses.any(|used| matches!(&**used, Use::Remove(removed) if removed.as_str() == name))
    };
    let default_uses = config.defaults.uses.iter().filter(|used| !removed(used.name()));
    let added = route.uses.iter().filter(|used| matches!(&***used, Use::Add(_)));
    let bundles = default_uses.chain(added).filter_map(|used| config.policies.get(used.name()));
    std::iter::once(&config.defaults.policies).chain(bundles.map(|bundle| &bundle.policies)).collect()
}

/// The settings of a policy that hold for a route, as written.
pub(super) fn written<'c>(config: &'c Config, route: &'c config::Route, name: &str) -> Option<&'c Node> {
    let own = route.policies.get(name);
    own.or_else(|| shared(config, route).into_iter().rev().find_map(|policies| policies.get(name)))
}

/// The policies of a route in the order of running: its own settings win over those of bundles, later bundles over
/// earlier ones, bundles over `defaults`.
pub(super) fn bind(
    config: &Config,
    route: &config::Route,
    context: &Context,
    faults: &mut Diagnostics,
) -> Vec<Bound> {
    let shared = shared(config, route);
    let mut bound = Vec::new();
    for kind in policies::LIST {
        let find = |policies: &'_ Named<Node>| -> Option<(Spanned<String>, Node)> {
            policies.iter().find(|(key, _)| key.as_str() == kind.name).cloned()
        };
        if let Some((key, settings)) = find(&route.policies) {
            bound.extend(kind.bind(&key, &settings, context, faults));
        } else if let Some((key, settings)) = shared.iter().rev().find_map(|policies| find(policies)) {
            // Its faults have been told where it stands.
            bound.extend(kind.bind(&key, &settings, context, &mut Diagnostics::default()));
        }
    }
    bound
}

/// What a route does that asks one service, one of several, or none; none for one whose answer is made of several.
pub(super) fn simple_action(
    (key, action): (&Spanned<String>, &config::Action),
    (services, documents, workers): (&mut Services<'_>, &Contracts, usize),
    lives: &mut Lives<'_>,
    faults: &mut Diagnostics,
) -> Option<Action> {
    Some(match action {
        config::Action::Split(split) => {
            let place = |to: &Spanned<To>, faults: &mut Diagnostics| services.place(to, faults);
            Action::Split(Arc::new(split::compile((key, split), place, (lives, workers), faults)))
        }
        config::Action::To(to) => Action::Forward(services.place(to, faults), None),
        config::Action::Aggregate(_) => return None,
        config::Action::Respond(respond) => Action::Respond(Box::new(answer(respond))),
        config::Action::Mock(mock) => match mock::compile(mock, documents, faults) {
            Some(mock) => Action::Mock(Box::new(mock)),
            // Its faults have been told, so that this never runs.
            None => Action::Respond(Box::new(Answer::empty(501, "mock"))),
        },
        config::Action::Redirect(redirect) => {
            let status = redirect.status.get();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                faults.error(codes::BAD_VALUE, redirect.to.span(), format!("{status} does not redirect"));
            }
            Action::Redirect { status, location: Box::new((*redirect.to).clone()) }
        }
    })
}

pub(super) fn answer(respond: &config::Respond) -> Answer {
    let mut answer = Answer::empty(respond.status.get(), "respond");
    for (name, value) in &respond.headers {
        if let Ok(name) = NameBuf::new(name.as_str()) {
            answer.fields.push((name, value.as_str().as_bytes().to_vec()));
        }
    }
    if let Some(content_type) = &respond.content_type {
        let bytes = Arc::from(respond.body.clone().into_bytes());
        answer.body = Body::Bytes { content_type: content_type.as_str().into(), bytes };
    }
    answer
}

fn listener_of(
    config: &Config,
    name: &Spanned<String>,
    listener: &config::Listener,
    (told, previous): (&[String], Option<&Snapshot>),
    faults: &mut Diagnostics,
) -> Arc<Listener> {
    let (limits, timeouts) = (&listener.limits, &listener.timeouts);
    let written = config.identity_headers.iter().map(|(name, _)| name.to_string());
    let removed = config.client_identity_headers.iter().map(ToString::to_string);
    let token = config.identity_token.iter().map(|token| token.header.to_string());
    let identity: Vec<String> = removed.chain(written).chain(token).chain(told.iter().cloned()).collect();
    Arc::new(Listener {
        name: name.as_str().into(),
        address: listener.address.get(),
        tls: secure::listener(name, listener, previous, faults),
        http2: secure::http2(listener),
        https_port: secure::https_port(config, name, listener, faults),
        limits: Arc::new(ClientLimits {
            handshake: timeouts.handshake.get(),
            head: HeadLimits {
                start_line: limits.request_line.as_usize(),
                field: limits.header.as_usize(),
                head: limits.headers.as_usize(),
                fields: limits.header_count as usize,
            },
            head_timeout: timeouts.head.get(),
            keep_alive: timeouts.keep_alive.get(),
            body_idle: timeouts.body_idle.get(),
            min_body_rate: timeouts.min_body_rate.bytes(),
            write_stall: timeouts.write_idle.get(),
            max_requests: timeouts.max_requests,
            max_age: timeouts.max_age.get(),
            reject_encoded_slash: listener.reject_encoded_slash,
        }),
        trust: Trust::new(listener.trusted_proxies.clone(), identity.iter().map(String::as_str)),
        proxy_protocol: listener.proxy_protocol,
        max_connections: limits.connections as usize,
        max_client_connections: limits.connections_per_client,
        body_limit: BODY_LIMIT,
    })
}

fn forwarding(forwarded: config::Forwarded) -> Forwarding {
    Forwarding {
        x_forwarded: matches!(forwarded, config::Forwarded::Both | config::Forwarded::X),
        rfc7239: matches!(forwarded, config::Forwarded::Both | config::Forwarded::Rfc7239),
    }
}
