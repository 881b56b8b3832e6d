//! Makes a snapshot of a configuration: the only place that may refuse one, and it tells all reasons at once.
//!
//! References are resolved, patterns and policies built, and the live part of whatever stays is carried over from the
//! snapshot before. Reads no files but those of TLS (`secure`); nothing that runs is touched until the snapshot is
//! applied.

use std::collections::HashMap;
use std::sync::Arc;

use http1::{HeadLimits, NameBuf};

use super::secure::{self, Identities};
use super::{Listener, Snapshot};
use super::{mock, split};
use crate::balance::Balance;
use crate::config::{self, Config, Diagnostics, Named, Node, Spanned, To, Use, codes};
use crate::exchange::{Answer, Body};
use crate::http::client::ClientLimits;
use crate::http::proxy_protocol::Version;
use crate::http::trust::Trust;
use crate::identity::{Callers, Sending, Shelf};
use crate::observe::RouteStats;
use crate::policies::rate_limit::OfConsumers;
use crate::policies::validate::Contracts;
use crate::policies::{self, Bound, Context, Lives, Place};
use crate::route::compiled::{Action, Route};
use crate::route::table::Builder;
use crate::tls::target::Identity;
use crate::upstream::breaker::Breaker;
use crate::upstream::budget::Budget;
use crate::upstream::care::Care;
use crate::upstream::door::Door;
use crate::upstream::health::{self, Rank};
use crate::upstream::request::Forwarding;
use crate::upstream::retry::Retry;
use crate::upstream::service::{HostHeader, Service, ServiceLive, Target};
use crate::values::Name;

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
    let mut context = context(config, previous, faults);
    let sendings = sendings(config, &context.shelf, faults);
    let mut services = Services::new(config, previous, (sendings, workers), faults);
    context.services = services.named();
    check_shared_policies(config, &context, faults);
    let mut stats = Stats::new(previous, workers);
    let mut lives = Lives::after(previous.map(|previous| &previous.lives));
    let limits = OfConsumers::new(config, &context, &mut lives, faults);
    let (mut table, mut routes) = (Builder::new(), Vec::with_capacity(config.routes.len()));
    let mut keys: Vec<&Spanned<String>> = Vec::with_capacity(config.routes.len());
    for (key, route) in &config.routes {
        let place = u32::try_from(routes.len()).unwrap_or(u32::MAX);
        faults.within(format!("route `{key}`"), |faults| {
            add(&mut table, &mut keys, (key, route, place), faults);
            let parts = (&mut services, &context.documents, workers);
            let mut action = action((key, &route.action), parts, &mut lives, faults);
            let mut policies = bind(config, route, &context, faults);
            limits.iter().for_each(|limits| limits.join(&mut policies));
            services.take_care(&mut action, &policies);
            let (service, http2) = services.asked_by(&action);
            settle(&mut policies, (key, &service, http2), &mut lives, faults);
            let name: Arc<str> = key.as_str().into();
            let stats = stats.of(&name, &service);
            routes.push(Route { key: name, action, policies, stats });
        });
    }
    let listeners = listeners(config, &told(&routes), previous, faults);
    if faults.has_errors() {
        return None;
    }
    let lives = lives.into_kept();
    Some(Snapshot {
        revision,
        table: table.build(),
        routes,
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
        unrouted: previous.map_or_else(|| RouteStats::new(workers), |previous| previous.unrouted.clone()),
    })
}

/// Lets the requests of a route lead to it.
fn add<'c>(
    table: &mut Builder<u32>,
    keys: &mut Vec<&'c Spanned<String>>,
    (key, route, place): (&'c Spanned<String>, &config::Route, u32),
    faults: &mut Diagnostics,
) {
    for pattern in super::pattern::patterns(key, route, faults) {
        if let Err(conflict) = table.add(pattern, place) {
            equal(key, keys.get(conflict.existing_index).copied().unwrap_or(key), faults);
        } else {
            keys.push(key);
        }
    }
}

/// Lets policies take their place on a route to a service.
fn settle(
    policies: &mut [Bound],
    (route, service, http2): (&str, &str, bool),
    lives: &mut Lives<'_>,
    faults: &mut Diagnostics,
) {
    for Bound { policy, shadow, .. } in policies {
        policy.settle(&mut Place { route, service, http2, shadow: *shadow, lives, faults });
    }
}

/// What stands beside the routes, but for the services.
fn context(config: &Config, previous: Option<&Snapshot>, faults: &mut Diagnostics) -> Context {
    let known = previous.map(|previous| previous.kept.clone()).unwrap_or_default();
    Context {
        callers: Arc::new(Callers::new(config, faults)),
        shelf: Shelf::after(known),
        redis: config.redis.clone(),
        cache_memory: Some(config.cache_memory.bytes()),
        documents: Contracts::new(config.documents.clone()),
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
            kind.bind_in(key, settings, context, faults);
        }
    }
}

/// The policies of a route in the order of running: its own settings win over those of bundles, later bundles over
/// earlier ones, bundles over `defaults`.
fn bind(config: &Config, route: &config::Route, context: &Context, faults: &mut Diagnostics) -> Vec<Bound> {
    let removed = |name: &str| {
        let mut uses = route.uses.iter();
        uses.any(|used| matches!(&**used, Use::Remove(removed) if removed.as_str() == name))
    };
    let default_uses = config.defaults.uses.iter().filter(|used| !removed(used.name()));
    let added = route.uses.iter().filter(|used| matches!(&***used, Use::Add(_)));
    let bundles = default_uses.chain(added).filter_map(|used| config.policies.get(used.name()));
    let shared: Vec<&Named<Node>> =
        std::iter::once(&config.defaults.policies).chain(bundles.map(|bundle| &bundle.policies)).collect();
    let mut bound = Vec::new();
    for kind in policies::LIST {
        let find = |policies: &'_ Named<Node>| -> Option<(Spanned<String>, Node)> {
            policies.iter().find(|(key, _)| key.as_str() == kind.name).cloned()
        };
        if let Some((key, settings)) = find(&route.policies) {
            bound.extend(kind.bind_in(&key, &settings, context, faults));
        } else if let Some((key, settings)) = shared.iter().rev().find_map(|policies| find(policies)) {
            // Its faults have been told where it stands.
            bound.extend(kind.bind_in(&key, &settings, context, &mut Diagnostics::default()));
        }
    }
    bound
}

fn action(
    (key, action): (&Spanned<String>, &config::Action),
    (services, documents, workers): (&mut Services<'_>, &Contracts, usize),
    lives: &mut Lives<'_>,
    faults: &mut Diagnostics,
) -> Action {
    match action {
        config::Action::Split(split) => {
            let place = |to: &Spanned<To>, faults: &mut Diagnostics| services.place(to, faults);
            Action::Split(Arc::new(split::compile((key, split), place, (lives, workers), faults)))
        }
        config::Action::To(to) => Action::Forward(services.place(to, faults), None),
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
    }
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

/// What the gateway proves itself to services with.
fn sendings<'a>(config: &'a Config, shelf: &Shelf, faults: &mut Diagnostics) -> HashMap<&'a str, Sending> {
    let mut sendings = HashMap::new();
    for (name, service) in &config.services {
        let Some(credentials) = &service.credentials else { continue };
        let compiled =
            faults.within(format!("service `{name}`"), |faults| Sending::new(credentials, shelf, faults));
        sendings.extend(compiled.map(|sending| (name.as_str(), sending)));
    }
    sendings
}

/// The services of the snapshot: the named ones first, then those that routes name by URL.
struct Services<'a> {
    list: Vec<Arc<Service>>,
    places: HashMap<String, u32>,
    previous: HashMap<&'a str, &'a Arc<Service>>,
    identities: Identities<'a>,
    sendings: HashMap<&'a str, Sending>,
    workers: usize,
    /// Where this gateway runs.
    zone: Option<Name>,
}

impl<'a> Services<'a> {
    fn new(
        config: &Config,
        previous: Option<&'a Snapshot>,
        (sendings, workers): (HashMap<&'a str, Sending>, usize),
        faults: &mut Diagnostics,
    ) -> Self {
        let identities = Identities::new(previous);
        let previous = previous.into_iter().flat_map(|snapshot| &snapshot.services);
        let previous = previous.map(|service| (&*service.name, service)).collect();
        let (list, places) = (Vec::new(), HashMap::new());
        let zone = config.zone.clone();
        let mut services = Services { list, places, previous, identities, sendings, workers, zone };
        for (name, service) in &config.services {
            let span = name.span();
            faults.within(format!("service `{name}`"), |faults| services.add(name, span, service, faults));
        }
        services
    }

    /// The services so far, by name.
    fn named(&self) -> HashMap<String, Arc<Service>> {
        self.list.iter().map(|service| (service.name.to_string(), service.clone())).collect()
    }

    fn place(&mut self, to: &Spanned<To>, faults: &mut Diagnostics) -> u32 {
        let name = to.to_string();
        match (self.places.get(&name), &**to) {
            (Some(place), _) => *place,
            (None, To::Url(url)) => {
                let url = Spanned::new(url.clone(), to.span());
                self.add(&name, to.span(), &config::Service::of_target(url), faults)
            }
            // Reading has reported a name that nobody has.
            (None, To::Service(_)) => u32::MAX,
        }
    }

    /// Gives a route that asks a service what it does for its requests besides.
    fn take_care(&self, action: &mut Action, policies: &[Bound]) {
        let care_for = |place: u32| {
            let mut wanted = Care::of(self.list.get(place as usize)?);
            policies.iter().for_each(|bound| bound.policy.care(&mut wanted));
            wanted.boxed()
        };
        match action {
            Action::Forward(place, care) => *care = care_for(*place),
            // Nobody else has it yet.
            Action::Split(split) => {
                let arms = Arc::get_mut(split).map(|split| split.arms.as_mut_slice());
                arms.unwrap_or_default().iter_mut().for_each(|arm| arm.care = care_for(arm.service));
            }
            Action::Respond(_) | Action::Mock(_) | Action::Redirect { .. } => {}
        }
    }

    /// The name of the service that an action asks, the first of several, empty for none; and whether one may speak HTTP/2.
    fn asked_by(&self, action: &Action) -> (Arc<str>, bool) {
        let asked: Vec<_> =
            action.asks().iter().filter_map(|(place, _)| self.list.get(*place as usize)).collect();
        let http2 = |service: &&Arc<Service>| service.protocol != config::Protocol::Http1;
        let main = asked.first().map_or_else(|| "".into(), |service| service.name.clone());
        (main, asked.iter().any(http2))
    }

    fn add(
        &mut self,
        name: &str,
        span: config::Span,
        settings: &config::Service,
        faults: &mut Diagnostics,
    ) -> u32 {
        let index = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let known = self.previous.get(name).copied();
        let live = known.map_or_else(ServiceLive::new, |known| known.live.clone());
        let identity = self.identities.of(name, span, settings, faults);
        let targets = targets_of(settings, self.zone.as_ref(), identity.as_ref(), faults);
        self.list.push(Arc::new(Service {
            name: name.into(),
            index,
            targets,
            protocol: settings.protocol,
            balance: match &settings.balance {
                config::Balance::RoundRobin => Balance::RoundRobin,
                config::Balance::LeastRequest => Balance::LeastRequest,
                config::Balance::Random => Balance::Random,
                config::Balance::Ewma => Balance::Ewma,
                config::Balance::Hash(source) => Balance::Hash(source.clone()),
            },
            connect_timeout: settings.connect_timeout.get(),
            answer_timeout: settings.timeout.get(),
            idle_timeout: settings.idle_timeout.get(),
            pool_idle: settings.keep_alive.idle.get(),
            pool_size: settings.keep_alive.max_idle as usize,
            host: match &settings.host {
                config::HostHeader::Client => HostHeader::Client,
                config::HostHeader::Target => HostHeader::Target,
                config::HostHeader::Literal(host) => HostHeader::Fixed(host.as_bytes().into()),
            },
            max_head: settings.max_response_head.as_usize(),
            credentials: self.sendings.remove(name),
            proxy_protocol: settings.proxy_protocol.map(|version| match version {
                config::ProxyVersion::V1 => Version::V1,
                config::ProxyVersion::V2 => Version::V2,
            }),
            breaker: Breaker::of(settings, known, self.workers),
            door: Door::of(settings, known),
            deadline_header: settings
                .deadline_header
                .as_ref()
                .and_then(|name| NameBuf::new(name.as_str()).ok()),
            retry: settings.retry.as_ref().map(Retry::new),
            budget: known.map_or_else(|| Budget::new(self.workers), |known| known.budget.clone()),
            health: health::Settings::new(settings),
            live,
        }));
        self.places.insert(name.to_owned(), index);
        index
    }
}

fn targets_of(
    settings: &config::Service,
    zone: Option<&Name>,
    identity: Option<&Arc<Identity>>,
    faults: &mut Diagnostics,
) -> Vec<Target> {
    let rank = |target: &config::Target| match (zone, &target.zone) {
        _ if target.backup => Rank::Backup,
        (Some(here), Some(there)) if here != there => Rank::Far,
        _ => Rank::Near,
    };
    let target = |target: &config::Target| Target {
        url: (*target.url).clone(),
        weight: target.weight,
        peer: secure::peer(&target.url, &settings.tls, identity, faults),
        rank: rank(target),
        protocol: secure::protocol(&target.url, settings.protocol),
    };
    settings.targets.iter().map(target).collect()
}

/// What was counted about routes: a route of the same key and service goes on with its counters.
struct Stats<'a> {
    known: HashMap<(&'a str, &'a str), &'a Arc<RouteStats>>,
    workers: usize,
}

impl<'a> Stats<'a> {
    fn new(previous: Option<&'a Snapshot>, workers: usize) -> Self {
        let known = previous.into_iter().flat_map(|snapshot| {
            snapshot.routes.iter().map(|route| ((&*route.key, snapshot.service_of(route)), &route.stats))
        });
        Stats { known: known.collect(), workers }
    }

    fn of(&mut self, key: &str, service: &str) -> Arc<RouteStats> {
        let known = self.known.get(&(key, service)).map(|stats| Arc::clone(stats));
        known.unwrap_or_else(|| RouteStats::new(self.workers))
    }
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
