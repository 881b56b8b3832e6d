//! Who still calls which version on which route: how often, and when last.
//!
//! One for the process, kept through reloads. Workers count into atomics that they remember; a lock is taken only where a worker
//! meets a caller for the first time. Bounded: callers beyond count together.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Callers that are told apart, over all versions and routes.
const MOST: usize = 10_000;
/// What a worker remembers of them.
const MOST_REMEMBERED: usize = 20_000;
/// The name for callers that found no room.
pub const OTHERS: &str = "_OTHER";
/// The name for callers who did not say who they are.
pub const NOBODY: &str = "anonymous";
/// Bytes of a name.
const LONGEST: usize = 128;

/// A version on a route, and who calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    version: Arc<str>,
    route: Arc<str>,
    caller: Box<str>,
}

/// How often somebody called, and when.
#[derive(Default)]
struct Calls {
    count: AtomicU64,
    refused: AtomicU64,
    /// Seconds since 1970.
    last: AtomicU64,
}

/// All of it.
#[derive(Default)]
pub struct Report {
    calls: Mutex<HashMap<Key, Arc<Calls>>>,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The version.
    pub version: Arc<str>,
    /// The route's key.
    pub route: Arc<str>,
    /// Who: a consumer or subject, [`NOBODY`], or [`OTHERS`].
    pub caller: Box<str>,
    /// Requests.
    pub count: u64,
    /// Of these, such that were refused because of the version.
    pub refused: u64,
    /// When the last of them came.
    pub last: SystemTime,
}

/// Who called, as a worker remembers it.
type Callers = HashMap<Box<str>, Arc<Calls>>;

thread_local! {
    /// What this worker has met, by the policy and the caller.
    static MET: RefCell<HashMap<u64, Callers>> = RefCell::default();
}

impl Report {
    /// Counts a request. `id` is that of the policy.
    pub fn count(
        &self,
        (id, version, route): (u64, &Arc<str>, &Arc<str>),
        caller: &str,
        at: SystemTime,
        refused: bool,
    ) {
        let caller = if caller.is_empty() { NOBODY } else { caller };
        MET.with_borrow_mut(|met| {
            if let Some(calls) = met.get(&id).and_then(|callers| callers.get(caller)) {
                return calls.add(at, refused);
            }
            let calls = self.find(version, route, caller);
            calls.add(at, refused);
            if met.values().map(HashMap::len).sum::<usize>() >= MOST_REMEMBERED {
                met.clear();
            }
            met.entry(id).or_default().insert(caller.into(), calls);
        });
    }

    fn find(&self, version: &Arc<str>, route: &Arc<str>, caller: &str) -> Arc<Calls> {
        let key = |caller: &str| Key {
            version: version.clone(),
            route: route.clone(),
            caller: caller.chars().take(LONGEST).collect::<String>().into(),
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let own = key(caller);
        let is_full = calls.len() >= MOST && !calls.contains_key(&own);
        calls.entry(if is_full { key(OTHERS) } else { own }).or_default().clone()
    }

    /// All lines; who called last comes first.
    pub fn lines(&self) -> Vec<Line> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(key, calls): (&Key, &Arc<Calls>)| Line {
            version: key.version.clone(),
            route: key.route.clone(),
            caller: key.caller.clone(),
            count: calls.count.load(Ordering::Relaxed),
            refused: calls.refused.load(Ordering::Relaxed),
            last: UNIX_EPOCH + Duration::from_secs(calls.last.load(Ordering::Relaxed)),
        };
        let mut lines: Vec<Line> = calls.iter().map(line).collect();
        drop(calls);
        lines.sort_by(|a, b| {
            b.last
                .cmp(&a.last)
                .then_with(|| (&a.version, &a.route, &a.caller).cmp(&(&b.version, &b.route, &b.caller)))
        });
        lines
    }
}

impl Calls {
    fn add(&self, at: SystemTime, refused: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
        let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.last.fetch_max(second, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_apart_until_there_are_too_many() {
        let report = Report::default();
        let (version, route): (Arc<str>, Arc<str>) = ("v1".into(), "/a".into());
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let count = |caller: &str, second, refused| {
            report.count((u64::MAX, &version, &route), caller, at(second), refused)
        };
        count("mobile", 5, false);
        count("mobile", 9, true);
        count("", 7, false);
        count("mobile", 8, false);
        let lines = report.lines();
        let told: Vec<_> =
            lines.iter().map(|line| (&*line.caller, line.count, line.refused, line.last)).collect();
        assert_eq!(told, [("mobile", 3, 1, at(9)), (NOBODY, 1, 0, at(7))]);
        for nth in 0..MOST + 10 {
            count(&format!("caller {nth}"), 1, false);
        }
        let lines = report.lines();
        assert_eq!(lines.len(), MOST + 1);
        let others = lines.iter().find(|line| &*line.caller == OTHERS).unwrap();
        assert_eq!(others.count, 12, "two had found room before");
    }
}
