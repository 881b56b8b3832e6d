//! One kept answer, and its age (RFC 9111 section 4.2.3).

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http1::{Fields, NameBuf};

use super::key::selecting;
use super::rules::Life;

/// Bytes that an entry takes besides what it holds.
const OVERHEAD: usize = 512;

/// Nanoseconds on the monotonic clock since the process first asked; never 0.
pub(super) fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanos = START.get_or_init(Instant::now).elapsed().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)
}

/// A kept answer.
pub(super) struct Entry {
    pub(super) status: u16,
    /// The fields of its head, but for those of the connection, `Age` and what the gateway says of each exchange.
    pub(super) fields: Fields,
    pub(super) body: Bytes,
    /// What the requests that it is for have in common (RFC 9111 section 4.1).
    pub(super) vary: Vec<(NameBuf, Option<Vec<u8>>)>,
    pub(super) life: Life,
    /// When the request that brought it, or last renewed it, was sent.
    pub(super) asked: u64,
    /// When that was answered.
    pub(super) came: u64,
    pub(super) groups: Arc<Groups>,
    /// The mark that says when its resource was last changed.
    pub(super) resource: usize,
    /// Whether it was made stale by command.
    pub(super) spent: AtomicBool,
    /// Whether its key or what chose it may hold what proves a caller.
    pub(super) secret: bool,
}

/// The groups that an answer is in, to be dropped with them.
#[derive(Default)]
pub(super) struct Groups {
    /// Their names.
    pub(super) names: Vec<Box<str>>,
    /// The marks that say when members of them were last changed.
    pub(super) marks: Vec<usize>,
}

impl Entry {
    /// Whether it was chosen by what this request says too.
    pub(super) fn serves(&self, request: &Fields) -> bool {
        self.vary.iter().all(|(name, value)| selecting(request, name) == *value)
    }

    /// Its age.
    pub(super) fn age(&self, now: u64) -> Duration {
        self.life.age.saturating_add(Duration::from_nanos(now.saturating_sub(self.came)))
    }

    /// How long it is still fresh, or for how long it has not been.
    pub(super) fn freshness(&self, now: u64) -> Result<Duration, Duration> {
        let age = self.age(now);
        match self.life.fresh.checked_sub(age) {
            Some(left) if !left.is_zero() && !self.spent.load(Ordering::Relaxed) => Ok(left),
            Some(_) => Err(Duration::ZERO),
            None => Err(age.saturating_sub(self.life.fresh)),
        }
    }

    /// How long it is still of any use without asking the service.
    pub(super) fn use_left(&self, now: u64) -> Duration {
        let later = self.life.while_revalidate.max(self.life.if_error);
        self.life.fresh.saturating_add(later).saturating_sub(self.age(now))
    }

    /// The bytes it takes.
    pub(super) fn weight(&self) -> usize {
        let selecting = self.vary.iter().map(|(name, value)| {
            name.as_name().text().len().saturating_add(value.as_ref().map_or(0, Vec::len))
        });
        let groups = self.groups.names.iter().map(|name| name.len().saturating_add(32));
        let parts = [self.fields.size(), self.body.len(), OVERHEAD];
        parts.into_iter().chain(selecting).chain(groups).fold(0, usize::saturating_add)
    }
}
