//! What a route does for its requests besides sending them once.
//!
//! Put together from the service's settings and the policies of the route when a snapshot is compiled, so that a request of
//! a route without any pays nothing.

use std::sync::Arc;

use super::ladder::Ladder;
use super::mirror::Mirror;
use super::retry::Retry;
use super::service::Service;

/// What is done for the requests of one route.
#[derive(Default)]
pub struct Care {
    /// When they are sent again.
    pub retry: Option<Retry>,
    /// What stands in when the service fails.
    pub ladder: Option<Arc<Ladder>>,
    /// Who gets copies of them.
    pub mirror: Option<Arc<Mirror>>,
}

impl Care {
    /// What the service wants for all its requests.
    pub fn of(service: &Service) -> Care {
        Care { retry: service.retry.clone(), ladder: None, mirror: None }
    }

    /// What `explain` says of it, a line for each.
    pub fn told(&self) -> Vec<String> {
        let retry = self.retry.iter().map(|retry| format!("sent again: {}", retry.told));
        let mirror = self.mirror.iter().map(|mirror| {
            let share = f64::from(mirror.share) / 10_000.0;
            format!("{share}% of its requests copied to `{}`", mirror.name)
        });
        retry.chain(self.ladder.iter().map(|ladder| ladder.told())).chain(mirror).collect()
    }

    /// `None` when nothing is done.
    pub fn boxed(self) -> Option<Box<Care>> {
        (self.retry.is_some() || self.ladder.is_some() || self.mirror.is_some()).then(|| Box::new(self))
    }
}
