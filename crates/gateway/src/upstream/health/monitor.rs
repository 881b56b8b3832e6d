//! The one thread of the process that watches endpoints: it asks them, judges what workers counted, and publishes.
//!
//! Started with the first service that wants it. It looks ten times a second at what is watched and sleeps while
//! nothing is. Checks run side by side, bounded in number.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::attempt::Counts;
use super::judge::{Change, Peers};
use super::probe::Probe;
use super::{Eject, Health};
use crate::http::timer::Timers;
use crate::upstream::breaker::{State, target};
use crate::upstream::service::{Endpoint, Service};
use crate::values::random::Random;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(100);
/// Checks under way at a time; the others wait for their turn.
const MOST_CHECKS: usize = 256;

/// Watches the endpoints of the services that run.
#[derive(Default)]
pub struct Monitor {
    services: Option<watch::Sender<Vec<Arc<Service>>>>,
}

/// The end of one check.
struct Checked {
    service: Arc<Service>,
    endpoint: Arc<Endpoint>,
    outcome: Result<(), String>,
}

impl Monitor {
    /// Watches these services from now on, and no others.
    pub fn adopt(&mut self, services: &[Arc<Service>]) {
        for service in services {
            let workers = service.breaker.as_ref().map_or(1, |breaker| breaker.workers());
            service.live.set_circuits(target::settings(service).map(|settings| (settings.clone(), workers)));
            service.live.set_panic_threshold(service.health.panic_threshold);
        }
        match &self.services {
            Some(sender) => drop(sender.send(services.to_vec())),
            None if services.iter().any(|service| watches(service)) => self.start(services.to_vec()),
            None => {}
        }
    }

    fn start(&mut self, services: Vec<Arc<Service>>) {
        let (sender, receiver) = watch::channel(services);
        let started = std::thread::Builder::new().name("health".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(Watching::new(receiver).run()),
                Err(error) => tracing::error!(error = %error, "services are not watched"),
            }
        });
        match started {
            Ok(_) => self.services = Some(sender),
            Err(error) => tracing::error!(error = %error, "services are not watched"),
        }
    }
}

/// Whether anything of a service is watched at all.
fn watches(service: &Service) -> bool {
    service.health.watches() || service.breaker.is_some() || service.pace.get().is_some()
}

struct Watching {
    receiver: watch::Receiver<Vec<Arc<Service>>>,
    services: Vec<Arc<Service>>,
    checks: JoinSet<Checked>,
    random: Random,
    timers: Rc<Timers>,
}

impl Watching {
    fn new(receiver: watch::Receiver<Vec<Arc<Service>>>) -> Watching {
        Watching {
            receiver,
            services: Vec::new(),
            checks: JoinSet::new(),
            random: Random::from_system(),
            timers: Timers::new(),
        }
    }

    async fn run(mut self) {
        self.adopt();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.receiver.changed() => match changed {
                    Ok(()) => self.adopt(),
                    Err(_) => return,
                },
                Some(checked) = self.checks.join_next() => {
                    if let Ok(checked) = checked {
                        take(&checked);
                    }
                }
                _ = ticks.tick(), if !self.services.is_empty() => self.look(Instant::now()),
            }
        }
    }

    fn adopt(&mut self) {
        let all = self.receiver.borrow_and_update().clone();
        for service in &all {
            for endpoint in service.live.endpoints().iter() {
                endpoint.health.state().forget(&service.health);
            }
            service.live.settle();
        }
        self.services = all.into_iter().filter(|service| watches(service)).collect();
    }

    fn look(&mut self, now: Instant) {
        for service in &self.services {
            let endpoints = service.live.endpoints();
            for endpoint in endpoints.iter() {
                if self.checks.len() < MOST_CHECKS
                    && let Some(probe) = due(service, endpoint, &self.random, &self.timers, now)
                {
                    let (service, endpoint) = (service.clone(), endpoint.clone());
                    self.checks.spawn_local(async move {
                        Checked { service, endpoint, outcome: probe.ask().await }
                    });
                }
            }
            if let Some(eject) = &service.health.eject {
                look_at_requests(service, &endpoints, eject, now);
            }
            for endpoint in endpoints.iter() {
                endpoint.health.state().warm(service.health.slow_start, now);
            }
            look_at_circuits_of_targets(service, &endpoints, now);
            if let Some(pace) = service.pace.get() {
                pace.look(&endpoints, now);
            }
            service.live.settle();
            look_at_circuit(service, &endpoints, now);
        }
    }
}

/// Lets the circuit breaker of a service open and close.
fn look_at_circuit(service: &Service, endpoints: &[Arc<Endpoint>], now: Instant) {
    let Some(breaker) = &service.breaker else { return };
    let changed = if target::settings(service).is_some() {
        let used = endpoints.iter().filter(|endpoint| !endpoint.health.is_drained());
        let circuits: Vec<_> = used.filter_map(|endpoint| endpoint.health.circuit()).collect();
        breaker.follow(&circuits)
    } else {
        let checked = service.health.check.is_some();
        let some_well = !checked || endpoints.iter().any(|endpoint| endpoint.health.is_well());
        breaker.look(some_well, now)
    };
    match changed {
        Some((State::Open, why)) => tracing::warn!(service = %service.name, why = %why, "circuit is open"),
        Some((state, why)) => {
            tracing::info!(service = %service.name, why = %why, "circuit is {}", state.word().replace('_', " "));
        }
        None => {}
    }
}

/// Lets the circuits of single targets open and close.
fn look_at_circuits_of_targets(service: &Service, endpoints: &[Arc<Endpoint>], now: Instant) {
    if target::settings(service).is_none() {
        return;
    }
    for endpoint in endpoints {
        let Some(circuit) = endpoint.health.circuit() else { continue };
        // While checks say that it is down, no request of a client is spent on a trial.
        let well = service.health.check.is_none() || endpoint.health.state().is_well();
        let Some((state, why)) = circuit.look(well, now) else { continue };
        let (address, target) = (endpoint.settings.address, &*endpoint.settings.authority);
        let word = state.word().replace('_', " ");
        if state == State::Open {
            tracing::warn!(service = %service.name, target, %address, why = %why, "circuit of a target is open");
        } else {
            tracing::info!(service = %service.name, target, %address, why = %why, "circuit of a target is {word}");
        }
    }
}

/// The check of an endpoint, if it is time for one.
fn due(
    service: &Service,
    endpoint: &Arc<Endpoint>,
    random: &Random,
    timers: &Rc<Timers>,
    now: Instant,
) -> Option<Probe> {
    let check = service.health.check.as_ref()?;
    let mut state = endpoint.health.state();
    if state.checking || state.next_check.is_some_and(|next| now < next) {
        return None;
    }
    // A tenth more or less, so that gateways and endpoints do not march in step.
    let fifth = usize::try_from(check.interval.as_micros() / 5).unwrap_or(usize::MAX);
    let jitter = Duration::from_micros(random.below(fifth) as u64);
    state.next_check = now.checked_add((check.interval - check.interval / 10).saturating_add(jitter));
    state.checking = true;
    Some(Probe {
        check: check.clone(),
        endpoint: endpoint.clone(),
        announce: service.proxy_protocol,
        timers: timers.clone(),
    })
}

/// Takes the outcome of a check.
fn take(checked: &Checked) {
    let Checked { service, endpoint, outcome } = checked;
    let Health { checks_good, checks_failed, .. } = &*endpoint.health;
    let counter = if outcome.is_ok() { checks_good } else { checks_failed };
    counter.fetch_add(1, Ordering::Relaxed);
    let change = {
        let mut state = endpoint.health.state();
        state.checking = false;
        // The settings of when it began: a reload may have taken the check away meanwhile.
        service.health.check.as_ref().and_then(|check| state.checked(check, outcome.clone(), Instant::now()))
    };
    if let Some(change) = change {
        endpoint.health.state().warm(service.health.slow_start, Instant::now());
        service.live.settle();
        tell(service, endpoint, &change, false);
    }
}

/// Judges by what workers counted.
fn look_at_requests(service: &Service, endpoints: &[Arc<Endpoint>], eject: &Eject, now: Instant) {
    let counts: Vec<Counts> = endpoints.iter().map(|endpoint| Counts::of(endpoint.shards())).collect();
    let mut out = endpoints.iter().filter(|endpoint| !endpoint.health.state().is_well()).count();
    let most = (endpoints.len() as u64).saturating_mul(u64::from(eject.most)) / 1_000_000;
    let most = if endpoints.len() > 1 { most.max(1) } else { 0 };
    let times: Vec<Option<Duration>> = endpoints
        .iter()
        .zip(&counts)
        .map(|(endpoint, counts)| endpoint.health.state().usual(eject, counts))
        .collect();
    for (place, (endpoint, counts)) in endpoints.iter().zip(&counts).enumerate() {
        let peers = Peers { may_go: (out as u64) < most, usual: usual_of_others(&times, place) };
        let errors = &endpoint.health.errors_in_row;
        let change = endpoint.health.state().look(eject, counts, errors.load(Ordering::Relaxed), peers, now);
        match &change {
            Some(Change::Out(_)) => {
                out = out.saturating_add(1);
                endpoint.health.ejections.fetch_add(1, Ordering::Relaxed);
            }
            // What it did before it was out is forgiven.
            Some(Change::Back) => errors.store(0, Ordering::Relaxed),
            None => {}
        }
        if let Some(change) = &change {
            tell(service, endpoint, change, true);
        }
    }
}

/// The middle one of the others' times; zero when none is known.
fn usual_of_others(times: &[Option<Duration>], place: usize) -> Duration {
    let others = times.iter().enumerate().filter(|(other, _)| *other != place);
    let mut others: Vec<Duration> = others.filter_map(|(_, time)| *time).collect();
    others.sort_unstable();
    others.get(others.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn tell(service: &Service, endpoint: &Endpoint, change: &Change, by_requests: bool) {
    let (address, target) = (endpoint.settings.address, &*endpoint.settings.authority);
    let by = if by_requests { "requests" } else { "checks" };
    match change {
        Change::Out(why) => {
            tracing::warn!(service = %service.name, target, %address, by, why = %why, "target is out");
        }
        Change::Back => tracing::info!(service = %service.name, target, %address, by, "target is back"),
    }
}
