//! What a route does for its requests besides sending them once.
//!
//! Put together from the service's settings and the policies of the route when a snapshot is compiled, so that a request of
//! a route without any pays nothing.

use std::sync::Arc;

use super::hedge::Hedge;
use super::ladder::Ladder;
use super::mirror::Mirror;
use super::retry::Retry;
use super::service::Service;

/// What is done for the requests of one route.
#[derive(Default)]
pub struct Care {
    /// When they are sent again.
    pub retry: Option<Retry>,
    /// When they go to a further target while the first is waited for. It travels with the above.
    pub hedge: Option<Hedge>,
    /// What stands in when the service fails.
    pub ladder: Option<Arc<Ladder>>,
    /// Who gets copies of them.
    pub mirror: Option<Arc<Mirror>>,
}

impl Care {
    /// What the service wants for all its requests.
    pub fn of(service: &Service) -> Care {
        Care { retry: service.retry.clone(), ..Care::default() }
    }

    /// What `explain` says of it, a line for each.
    pub fn told(&self) -> Vec<String> {
        let again = self.retry.iter().filter(|retry| retry.attempts > 1);
        let again = again.map(|retry| format!("sent again: {}", retry.told));
        let hedge = self.retry.iter().filter_map(|retry| retry.hedge.as_ref()).map(Hedge::told);
        let mirror = self.mirror.iter().map(|mirror| {
            let share = f64::from(mirror.share) / 10_000.0;
            format!("{share}% of its requests copied to `{}`", mirror.name)
        });
        again.chain(hedge).chain(self.ladder.iter().map(|ladder| ladder.told())).chain(mirror).collect()
    }

    /// `None` when nothing is done.
    pub fn boxed(mut self) -> Option<Box<Care>> {
        if let Some(hedge) = self.hedge {
            self.retry.get_or_insert_with(Retry::once).hedge = Some(hedge);
        }
        (self.retry.is_some() || self.ladder.is_some() || self.mirror.is_some()).then(|| Box::new(self))
    }
}
