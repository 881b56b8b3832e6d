//! Gathers what happens into few messages: the first goes at once, what follows within a time goes together.
//!
//! Takes notices and times; gives batches. Pure, so that a storm can be tested by a table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Notice;

/// Notices that a message tells one by one; the rest is counted by what it is about.
const MOST_TOLD: usize = 20;

/// What goes out as one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// The first ones.
    pub(super) notices: Vec<Notice>,
    /// All of them, by what they are about.
    pub(super) counts: BTreeMap<&'static str, usize>,
}

impl Batch {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.counts.values().sum()
    }

    /// How many of them are not told one by one.
    pub(super) fn more(&self) -> usize {
        self.count().saturating_sub(self.notices.len())
    }
}

/// What waits for one receiver.
pub(super) struct Gathering {
    group: Duration,
    batch: Batch,
    next: Option<Instant>,
}

impl Gathering {
    /// With so long between two messages.
    pub(super) fn new(group: Duration) -> Gathering {
        Gathering { group, batch: Batch::default(), next: None }
    }

    /// Adds a notice.
    pub(super) fn add(&mut self, notice: Notice) {
        let count = self.batch.counts.entry(notice.kind.word()).or_default();
        *count = count.saturating_add(1);
        if self.batch.notices.len() < MOST_TOLD {
            self.batch.notices.push(notice);
        }
    }

    /// When the next message goes, if anything waits that cannot go at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.filter(|_| !self.batch.notices.is_empty())
    }

    /// What goes now; all of it where this is the `last` time.
    pub(super) fn take(&mut self, now: Instant, last: bool) -> Option<Batch> {
        let waits = self.next.is_some_and(|next| now < next) && !last;
        if waits || self.batch.notices.is_empty() {
            return None;
        }
        self.next = now.checked_add(self.group);
        Some(std::mem::take(&mut self.batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NoticeKind;

    #[test]
    fn a_storm_is_one_message_and_then_a_summary() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let notice = |kind| Notice::new(kind, true, "something".into(), Vec::new());
        let mut gathering = Gathering::new(Duration::from_secs(60));
        let mut sent = Vec::new();
        for second in 0..300u64 {
            if second < 100 {
                (0..5).for_each(|_| gathering.add(notice(NoticeKind::Guard)));
            }
            if second == 30 {
                gathering.add(notice(NoticeKind::Breaker));
            }
            if let Some(batch) = gathering.take(at(second), false) {
                sent.push((second, batch.count(), batch.more(), batch.counts.len()));
            }
        }
        assert_eq!(sent, [(0, 5, 0, 1), (60, 301, 281, 2), (120, 195, 175, 1)]);
        gathering.add(notice(NoticeKind::Acme));
        assert!(gathering.take(at(400), false).is_some(), "after a rest the first goes at once");
        gathering.add(notice(NoticeKind::Acme));
        assert_eq!(gathering.due(), Some(at(460)));
        assert!(gathering.take(at(401), false).is_none());
        assert!(gathering.take(at(401), true).is_some(), "at the end nothing stays behind");
    }
}
