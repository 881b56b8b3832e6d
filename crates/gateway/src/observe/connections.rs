//! Connections of one listener: how many there are, were and were refused. Shared by all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The counters of a listener; they outlive its reloads.
#[derive(Default)]
pub struct Connections {
    /// Open now.
    pub active: AtomicUsize,
    /// Accepted since the start.
    pub accepted: AtomicU64,
    /// Refused because the listener was full.
    pub refused: AtomicU64,
}

/// One open connection.
pub struct Counted(Arc<Connections>);

impl Connections {
    /// Counts a connection until the guard is dropped; `None` when `most` are open already.
    pub fn enter(self: &Arc<Self>, most: usize) -> Option<Counted> {
        let before = self.active.fetch_add(1, Ordering::Relaxed);
        if before >= most {
            self.active.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Counted(self.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_listener_refuses_until_one_has_gone() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(1).unwrap();
        assert!(connections.enter(1).is_none());
        drop(first);
        assert!(connections.enter(1).is_some());
        assert_eq!(
            (connections.accepted.load(Ordering::Relaxed), connections.refused.load(Ordering::Relaxed)),
            (2, 1)
        );
        assert_eq!(connections.active.load(Ordering::Relaxed), 0);
    }
}
