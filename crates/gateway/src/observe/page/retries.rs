//! What is told of requests that were sent again.

use super::super::openmetrics::{Exposition, Kind};

/// Services that are told of.
const MOST: usize = 100;

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
