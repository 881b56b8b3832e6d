//! What is told of the services that share the requests of a route.

use super::super::openmetrics::{Exposition, Kind};

/// Services of splits that are told.
const MOST: usize = 50;
/// How far a progress may be.
const STAGES: [&str; 4] = ["running", "stopped", "paused", "done"];

/// One service of one split.
#[derive(Clone, Copy)]
pub struct SplitReading<'a> {
    /// The route's key.
    pub route: &'a str,
    /// The service's name.
    pub service: &'a str,
    /// The share of all requests that it gets, between 0 and 1.
    pub share: f64,
    /// Requests that it has had.
    pub requests: u64,
    /// Of these, those that it failed.
    pub failed: u64,
    /// How far its progress is, if it has one.
    pub stage: Option<&'a str>,
}

pub(super) fn write(page: &mut Exposition, splits: &[SplitReading<'_>]) {
    let splits =
        || splits.iter().take(MOST).map(|one| ([("route", one.route), ("service", one.service)], one));
    let help = "The share of a split route's requests that a service gets, between 0 and 1.";
    page.family("tidegate_split_share", Kind::Gauge, "", help);
    splits().for_each(|(labels, one)| page.gauge(&labels, one.share));
    let help = "Requests of a split route by the service that was asked.";
    page.family("tidegate_split_requests", Kind::Counter, "", help);
    splits().for_each(|(labels, one)| page.counter(&labels, one.requests));
    let help = "Requests of a split route that the service failed: 5xx, or no answer.";
    page.family("tidegate_split_failures", Kind::Counter, "", help);
    splits().for_each(|(labels, one)| page.counter(&labels, one.failed));
    let help = "How far the progress of a split is: 1 for the stage that holds.";
    page.family("tidegate_split_progress", Kind::Gauge, "", help);
    for ([route, service], one) in splits() {
        let Some(held) = one.stage else { continue };
        for stage in STAGES {
            page.gauge(&[route, service, ("stage", stage)], u8::from(stage == held));
        }
    }
}
