//! What is told of circuit breakers: those of services, and those of their targets.

use super::super::openmetrics::{Exposition, Kind};

/// Services, and targets, that are told of.
const MOST: usize = 100;

/// The circuit breaker of one service.
#[derive(Clone)]
pub struct CircuitReading<'a> {
    /// The service's name.
    pub service: &'a str,
    /// 0 closed, 1 half open, 2 open.
    pub state: u8,
    /// Times that it opened.
    pub opened: u64,
    /// Requests that it refused.
    pub refused: u64,
    /// Those of its targets, where each has one.
    pub targets: Vec<TargetCircuit<'a>>,
}

/// The circuit breakers of the endpoints of one target.
#[derive(Clone)]
pub struct TargetCircuit<'a> {
    /// The target as written: `users-a:8000`.
    pub target: &'a str,
    /// As above; of several endpoints the worst.
    pub state: u8,
    /// Times that one opened.
    pub opened: u64,
    /// Times that one was passed over for it.
    pub passed_over: u64,
}

pub(super) fn write(page: &mut Exposition, circuits: &[CircuitReading<'_>]) {
    let all = || circuits.iter().take(MOST).map(|circuit| ([("service", circuit.service)], circuit));
    let help = "State of a service's circuit breaker: 0 closed, 1 half open, 2 open.";
    page.family("tidegate_circuit_state", Kind::Gauge, "", help);
    all().for_each(|(labels, circuit)| page.gauge(&labels, circuit.state));
    page.family("tidegate_circuit_opened", Kind::Counter, "", "Times that a circuit opened.");
    all().for_each(|(labels, circuit)| page.counter(&labels, circuit.opened));
    page.family("tidegate_circuit_refused", Kind::Counter, "", "Requests that an open circuit refused.");
    all().for_each(|(labels, circuit)| page.counter(&labels, circuit.refused));
    let targets =
        circuits.iter().flat_map(|circuit| circuit.targets.iter().map(|one| (circuit.service, one)));
    let targets: Vec<_> = targets
        .take(MOST)
        .map(|(service, one)| ([("service", service), ("target", one.target)], one))
        .collect();
    if targets.is_empty() {
        return;
    }
    let help = "State of a target's own circuit breaker: 0 closed, 1 half open, 2 open.";
    page.family("tidegate_target_circuit_state", Kind::Gauge, "", help);
    targets.iter().for_each(|(labels, one)| page.gauge(labels, one.state));
    page.family("tidegate_target_circuit_opened", Kind::Counter, "", "Times that a target's circuit opened.");
    targets.iter().for_each(|(labels, one)| page.counter(labels, one.opened));
    let help = "Times that a target was passed over because its circuit let nothing through.";
    page.family("tidegate_target_circuit_passed_over", Kind::Counter, "", help);
    targets.iter().for_each(|(labels, one)| page.counter(labels, one.passed_over));
}
