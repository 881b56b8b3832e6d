//! How many requests a service has at a time, over all workers, and who waits for a place.
//!
//! A place is taken without waiting while there is one. Beyond that a bounded number of requests waits, first come first
//! served, for a bounded time; the rest is refused at once, so that a service that is slow makes nobody else wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

use super::service::Service;
use crate::config;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::ClientReader;

/// How many at a time, and who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    most: usize,
    queue: usize,
    patience: Duration,
}

/// The door of one service.
pub struct Door {
    settings: Settings,
    places: Semaphore,
    /// Who waits: each is one of these places.
    queue: Semaphore,
    /// Requests that were refused.
    refused: AtomicU64,
}

impl Door {
    /// The door of a service, if it has one. One of the same settings goes on with who is inside.
    pub fn of(service: &config::Service, previous: Option<&Arc<Service>>) -> Option<Arc<Door>> {
        let most = service.max_in_flight? as usize;
        let settings =
            Settings { most, queue: service.queue.max as usize, patience: service.queue.timeout.get() };
        let known = previous.and_then(|service| service.door.as_ref());
        let known = known.filter(|known| known.settings == settings).cloned();
        Some(known.unwrap_or_else(|| {
            Arc::new(Door {
                settings,
                places: Semaphore::new(settings.most),
                queue: Semaphore::new(settings.queue),
                refused: AtomicU64::new(0),
            })
        }))
    }

    /// Requests inside, requests that wait, and requests that were refused.
    pub fn counts(&self) -> [u64; 3] {
        let inside = self.settings.most.saturating_sub(self.places.available_permits());
        let waiting = self.settings.queue.saturating_sub(self.queue.available_permits());
        [inside as u64, waiting as u64, self.refused.load(Ordering::Relaxed)]
    }

    /// A place for a request, at once or after waiting for one.
    ///
    /// # Errors
    /// There is none in time, or the client went away.
    pub async fn enter(
        &self,
        exchange: &Exchange,
        reader: &mut ClientReader,
    ) -> Result<SemaphorePermit<'_>, Fault> {
        match self.places.try_acquire() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {}
        }
        // On the heap: nearly always there is a place.
        Box::pin(self.wait(exchange, reader)).await
    }

    /// A place, if there is one at once and nobody waits for it; for what can be left undone.
    pub fn try_enter(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    async fn wait(
        &self,
        exchange: &Exchange,
        reader: &mut ClientReader,
    ) -> Result<SemaphorePermit<'_>, Fault> {
        let Ok(_waiting) = self.queue.try_acquire() else { return Err(self.refuse()) };
        let left = exchange.plan.timeout.map(|timeout| timeout.saturating_sub(exchange.record.elapsed()));
        let patience = left.map_or(self.settings.patience, |left| left.min(self.settings.patience));
        let place = tokio::time::timeout(patience, self.places.acquire());
        let entered = if reader.is_done() {
            tokio::select! {
                biased;
                entered = place => entered,
                fault = reader.watch() => return Err(fault),
            }
        } else {
            place.await
        };
        match entered {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(AcquireError { .. })) | Err(_) => Err(self.refuse()),
        }
    }

    fn refuse(&self) -> Fault {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Fault::ServiceFull
    }
}
