//! How often credentials were refused, by the policy that refused them and the reason.
//!
//! Both are words of the code, so there are few pairs of them; one counter for each, for all workers, touched only when
//! somebody is refused.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Pairs there is room for: policies times reasons are fewer.
const MOST: usize = 128;

struct Count {
    of: OnceLock<(&'static str, &'static str)>,
    failures: AtomicU64,
}

static COUNTS: [Count; MOST] = [const { Count { of: OnceLock::new(), failures: AtomicU64::new(0) } }; MOST];

/// Counts one refusal.
pub fn count(policy: &'static str, reason: &'static str) {
    let own = COUNTS.iter().find(|count| *count.of.get_or_init(|| (policy, reason)) == (policy, reason));
    if let Some(own) = own {
        own.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// All that was counted: policy, reason, how often.
pub fn told() -> Vec<(&'static str, &'static str, u64)> {
    let known = COUNTS.iter().map_while(|count| {
        let (policy, reason) = *count.of.get()?;
        Some((policy, reason, count.failures.load(Ordering::Relaxed)))
    });
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    known
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs_are_counted_apart() {
        for (policy, reason) in [("a test", "one"), ("a test", "two"), ("a test", "one"), ("another", "one")]
        {
            super::count(policy, reason);
        }
        let told = super::told();
        for known in [("a test", "one", 2), ("a test", "two", 1), ("another", "one", 1)] {
            assert!(told.contains(&known), "{told:?}");
        }
    }
}
