//! The services of a snapshot: the named ones, and those that routes name by URL.
//!
//! Takes services as written; gives compiled ones, each with the live part of the one before it. What actions ask is found
//! here by its place.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use http1::NameBuf;

use super::Snapshot;
use super::secure::{self, Identities};
use crate::balance::Balance;
use crate::config::{self, Config, Diagnostics, Spanned, To};
use crate::http::proxy_protocol::Version;
use crate::identity::{Sending, Shelf};
use crate::policies::Bound;
use crate::route::compiled::Action;
use crate::tls::target::Identity;
use crate::upstream::breaker::Breaker;
use crate::upstream::budget::Budget;
use crate::upstream::care::Care;
use crate::upstream::door::Door;
use crate::upstream::health::{self, Rank};
use crate::upstream::retry::Retry;
use crate::upstream::service::{HostHeader, Service, ServiceLive, Target};
use crate::values::Name;

/// What the gateway proves itself to services with.
pub(super) fn sendings<'a>(
    config: &'a Config,
    shelf: &Shelf,
    faults: &mut Diagnostics,
) -> HashMap<&'a str, Sending> {
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
pub(super) struct Services<'a> {
    pub(super) list: Vec<Arc<Service>>,
    places: HashMap<String, u32>,
    previous: HashMap<&'a str, &'a Arc<Service>>,
    pub(super) identities: Identities<'a>,
    sendings: HashMap<&'a str, Sending>,
    workers: usize,
    /// Where this gateway runs.
    zone: Option<Name>,
}

impl<'a> Services<'a> {
    pub(super) fn new(
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
    pub(super) fn named(&self) -> HashMap<String, Arc<Service>> {
        self.list.iter().map(|service| (service.name.to_string(), service.clone())).collect()
    }

    pub(super) fn place(&mut self, to: &Spanned<To>, faults: &mut Diagnostics) -> u32 {
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
    pub(super) fn take_care(&self, action: &mut Action, policies: &[Bound]) {
        let care_for = |place: u32| {
            let service = self.list.get(place as usize)?;
            let mut wanted = Care::of(service);
            policies.iter().for_each(|bound| bound.policy.care(&mut wanted));
            if wanted.hedge.is_some() {
                let known = self.previous.get(&*service.name).and_then(|known| known.pace.get().cloned());
                service.pace.get_or_init(|| known.unwrap_or_default());
            }
            wanted.boxed()
        };
        match action {
            Action::Forward(place, care) => *care = care_for(*place),
            // Nobody else has it yet.
            Action::Split(split) => {
                let arms = Arc::get_mut(split).map(|split| split.arms.as_mut_slice());
                arms.unwrap_or_default().iter_mut().for_each(|arm| arm.care = care_for(arm.service));
            }
            Action::Aggregate(_) | Action::Respond(_) | Action::Mock(_) | Action::Redirect { .. } => {}
        }
    }

    /// The name of the service that an action asks, the first of several, empty for none; and whether one may speak HTTP/2.
    pub(super) fn asked_by(&self, action: &Action) -> (Arc<str>, bool) {
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
            tunnel_timeout: settings.tunnel_timeout.get(),
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
            pace: OnceLock::new(),
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
