//! What is told of copies of requests.

use super::super::openmetrics::{Exposition, Kind};

/// Routes that are told.
const MOST: usize = 30;

/// The copies of the requests of one route.
pub struct MirrorReading<'a> {
    /// The route's key.
    pub route: &'a str,
    /// The service that gets them.
    pub service: &'a str,
    /// Copies under way.
    pub in_flight: u32,
    /// What came of the others, by the word for it.
    pub counts: Vec<(&'static str, u64)>,
}

pub(super) fn write(page: &mut Exposition, mirrors: &[MirrorReading<'_>]) {
    let told = || mirrors.iter().take(MOST);
    let help = "Copies of requests by what came of them; dropped ones were never sent.";
    page.family("tidegate_mirror_requests", Kind::Counter, "", help);
    for one in told() {
        for (result, count) in &one.counts {
            page.counter(&[("route", one.route), ("service", one.service), ("result", result)], count);
        }
    }
    page.family("tidegate_mirror_in_flight", Kind::Gauge, "", "Copies of requests under way.");
    told().for_each(|one| page.gauge(&[("route", one.route), ("service", one.service)], one.in_flight));
}
