//! What is told of routes whose service something else stood in for.

use super::super::openmetrics::{Exposition, Kind};

/// Series that are told.
const MOST: usize = 150;

/// How often a step of a route answered.
#[derive(Clone, Copy)]
pub struct FallbackReading<'a> {
    /// The route's key.
    pub route: &'a str,
    /// The step: the name of a service, `last_good`, `answer`, or `none` where all failed.
    pub step: &'a str,
    /// How often.
    pub count: u64,
}

pub(super) fn write(page: &mut Exposition, steps: &[FallbackReading<'_>]) {
    let help =
        "Failures of a route's service by the step that answered in its place; none where no step could.";
    page.family("tidegate_fallback", Kind::Counter, "", help);
    for step in steps.iter().take(MOST) {
        page.counter(&[("route", step.route), ("step", step.step)], step.count);
    }
}
