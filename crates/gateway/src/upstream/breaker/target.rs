//! The circuits of the single targets of a service.
//!
//! Each endpoint has one where the service wants it, kept beside its health and so through reloads. What counts is how each try
//! ended. An open one takes the endpoint's share of the requests away, as ill health does; the road asks for leave besides,
//! since an endpoint without a share is still the last resort. The circuit of the service then follows: open when all are.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Admitted, Breaker, Settings, State, pass};
use crate::config::CircuitOf;
use crate::exchange::Exchange;
use crate::exchange::record::Attempt;
use crate::fault::Fault;
use crate::upstream::service::{Endpoint, Service};

/// The leave to ask an endpoint that has a circuit. On the heap, since hardly any has one.
pub type Leave = Box<Admitted<Arc<Breaker>>>;

/// How the targets of a service have circuits, if each is to have one.
pub fn settings(service: &Service) -> Option<&Settings> {
    let breaker = service.breaker.as_deref()?;
    (breaker.settings.per == CircuitOf::Target).then_some(&breaker.settings)
}

/// Whether an endpoint may be asked now; no leave is needed where it has no circuit.
pub fn admit(endpoint: &Endpoint) -> Result<Option<Leave>, Fault> {
    let Some(circuit) = endpoint.health.circuit() else { return Ok(None) };
    pass(circuit).map(|admitted| Some(Box::new(admitted)))
}

/// A try is over: `fault` where it gave no answer that went to the client.
pub fn ended(leave: Option<Leave>, worker: usize, exchange: &Exchange, fault: Option<&Fault>) {
    let Some(leave) = leave else { return };
    // The end of the time for all tries says nothing about one that did not have all of it.
    if fault != Some(&Fault::Timeout) || exchange.record.tries <= 1 {
        leave.ended(worker, exchange, fault);
    }
}

/// Writes down which endpoints are in trouble.
pub fn note<'e>(exchange: &mut Exchange, service: &Service, endpoints: impl Iterator<Item = &'e Endpoint>) {
    let troubled = service.breaker.as_deref().is_some_and(Breaker::is_troubled);
    if !troubled {
        return;
    }
    for endpoint in endpoints {
        let outcome = match endpoint.health.circuit().map(|circuit| circuit.state()) {
            None | Some(State::Closed) => continue,
            Some(State::HalfOpen) => Attempt::HALF_OPEN,
            Some(State::Open) => Attempt::OPEN,
        };
        let (service, endpoint) = (service.index, endpoint.settings.address);
        exchange.record.failed(Attempt { service, endpoint, outcome, status: 0 });
    }
}

impl Breaker {
    /// Whether one of those that it follows is not closed.
    fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed) > 0
    }

    /// When it has rested.
    fn open_until(&self) -> Option<Instant> {
        self.made.checked_add(Duration::from_millis(self.open_until.load(Ordering::Relaxed)))
    }

    /// How many workers count in it.
    pub fn workers(&self) -> usize {
        self.shards.len()
    }

    /// Takes the state that follows from those of its targets; gives it and why, if it is another one.
    pub(in crate::upstream) fn follow(&self, targets: &[Arc<Breaker>]) -> Option<(State, String)> {
        let count = |state: State| targets.iter().filter(|target| target.state() == state).count();
        let (closed, half_open) = (count(State::Closed), count(State::HalfOpen));
        let troubled = targets.len().saturating_sub(closed);
        self.troubled.store(u32::try_from(troubled).unwrap_or(u32::MAX), Ordering::Relaxed);
        let next = match (targets, closed, half_open) {
            ([], ..) => State::Closed,
            (_, 0, 0) => State::Open,
            (_, 0, _) => State::HalfOpen,
            _ => State::Closed,
        };
        if next == State::Open {
            let until = targets.iter().filter_map(|target| target.open_until()).min();
            self.rest_until(until.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.made)));
        }
        if self.state() == next {
            return None;
        }
        if next == State::Open {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        self.state.store(next as u8, Ordering::Release);
        Some((next, format!("{troubled} of {} targets in trouble", targets.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failures;
    use super::*;

    fn target() -> Arc<Breaker> {
        let settings = Settings {
            per: CircuitOf::Target,
            on: Failures::default(),
            error_rate: 500_000,
            slow: None,
            window: Duration::from_secs(10),
            min_requests: 2,
            open_for: Duration::from_secs(30),
            half_open: 1,
        };
        Breaker::new(settings, 1)
    }

    fn fail(target: &Arc<Breaker>, now: Instant) {
        target.look(true, now);
        for _ in 0..2 {
            pass(target.clone()).ok().unwrap().told(0, true, Duration::ZERO);
        }
        target.look(true, now);
        assert_eq!(target.state(), State::Open);
    }

    #[test]
    fn the_circuit_of_the_service_is_open_when_all_are() {
        let (service, now) = (target(), Instant::now());
        let targets = [target(), target()];
        assert_eq!(service.follow(&targets), None);
        fail(&targets[0], now);
        assert_eq!((service.follow(&targets), service.is_troubled()), (None, true));
        let later = now + Duration::from_secs(10);
        fail(&targets[1], later);
        let opened = service.follow(&targets).unwrap();
        assert_eq!(opened, (State::Open, "2 of 2 targets in trouble".to_owned()));
        assert!((29..=30).contains(&service.rest()), "the first comes back first: {}", service.rest());
        targets[0].look(true, now + Duration::from_secs(31));
        assert_eq!(service.follow(&targets).unwrap().0, State::HalfOpen);
        pass(targets[0].clone()).ok().unwrap().told(0, false, Duration::ZERO);
        targets[0].look(true, now + Duration::from_secs(32));
        assert_eq!(service.follow(&targets).unwrap().0, State::Closed);
        assert_eq!(service.opened.load(Ordering::Relaxed), 1);
        assert_eq!(service.follow(&[]), None, "a service without targets has no circuit to open");
    }
}
