//! What is told of the requests of services: those that were sent again or hedged, and those at a door.

use super::super::openmetrics::{Exposition, Kind};

/// Services that are told of.
const MOST: usize = 60;

/// What was sent again to one service.
#[derive(Clone, Copy)]
pub struct RetryReading<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Requests that were sent again.
    pub sent: u64,
    /// Requests that were not, because the budget was used up.
    pub refused: u64,
}

pub(super) fn write(page: &mut Exposition, retries: &[RetryReading<'_>]) {
    let retries = || retries.iter().take(MOST).map(|one| ([("service", one.service)], one));
    page.family("tidegate_retries", Kind::Counter, "", "Requests that were sent to a service again.");
    retries().for_each(|(labels, one)| page.counter(&labels, one.sent));
    let help = "Requests that were not sent again because the budget of the service was used up.";
    page.family("tidegate_retries_over_budget", Kind::Counter, "", help);
    retries().for_each(|(labels, one)| page.counter(&labels, one.refused));
}

/// The hedges of one service.
#[derive(Clone, Copy)]
pub struct HedgeReading<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Requests that were hedged, hedges that were faster, and those for which the budget was used up.
    pub counts: [u64; 3],
}

pub(super) fn write_hedges(page: &mut Exposition, hedges: &[HedgeReading<'_>]) {
    let hedges = || hedges.iter().take(MOST).map(|one| ([("service", one.service)], one.counts));
    if hedges().next().is_none() {
        return;
    }
    let help = "Requests that went to a further target while the first was waited for.";
    page.family("tidegate_hedges", Kind::Counter, "", help);
    hedges().for_each(|(labels, [sent, ..])| page.counter(&labels, sent));
    page.family("tidegate_hedges_won", Kind::Counter, "", "Such requests whose answer was the first.");
    hedges().for_each(|(labels, [_, won, _])| page.counter(&labels, won));
    let help = "Requests that were not hedged because the budget of the service was used up.";
    page.family("tidegate_hedges_over_budget", Kind::Counter, "", help);
    hedges().for_each(|(labels, [.., refused])| page.counter(&labels, refused));
}

/// The door of one service.
#[derive(Clone, Copy)]
pub struct DoorReading<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Requests inside, requests that wait, and requests that were refused.
    pub counts: [u64; 3],
}

pub(super) fn write_doors(page: &mut Exposition, doors: &[DoorReading<'_>]) {
    let doors = || doors.iter().take(MOST).map(|one| ([("service", one.service)], one.counts));
    let help = "Requests that a service with max_in_flight has now.";
    page.family("tidegate_service_in_flight", Kind::Gauge, "", help);
    doors().for_each(|(labels, [inside, ..])| page.gauge(&labels, inside));
    page.family(
        "tidegate_service_waiting",
        Kind::Gauge,
        "",
        "Requests that wait for a place at such a service.",
    );
    doors().for_each(|(labels, [_, waiting, _])| page.gauge(&labels, waiting));
    page.family("tidegate_service_refused", Kind::Counter, "", "Requests that found no place in time.");
    doors().for_each(|(labels, [.., refused])| page.counter(&labels, refused));
}
