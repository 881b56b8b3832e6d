//! What is told of the versions of interfaces: who still calls which.

use super::super::openmetrics::{Exposition, Kind};

/// Callers that are told, two series each: those who called last. The admin address knows more.
const MOST: usize = 100;

/// How often somebody called a version.
#[derive(Clone, Debug)]
pub struct VersionReading<'a> {
    /// The version, such as `shop/v1`.
    pub version: &'a str,
    /// The route's key.
    pub route: &'a str,
    /// Who: a consumer or subject, `anonymous`, or `_OTHER`.
    pub consumer: &'a str,
    /// Requests that were served, and that were refused because of the version.
    pub counts: [u64; 2],
}

pub(super) fn write(page: &mut Exposition, versions: &[VersionReading<'_>]) {
    let help = "Requests by version of an interface, route and caller: those who called last.";
    page.family("tidegate_version_requests", Kind::Counter, "", help);
    for VersionReading { version, route, consumer, counts } in versions.iter().take(MOST) {
        for (outcome, count) in ["served", "refused"].into_iter().zip(counts) {
            let labels =
                [("version", *version), ("route", *route), ("consumer", *consumer), ("outcome", outcome)];
            page.counter(&labels, *count);
        }
    }
}
