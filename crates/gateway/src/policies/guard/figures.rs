//! The numbers of the guard for the metrics page. They are about the whole process.

use std::sync::atomic::{AtomicU64, Ordering};

use super::watch::Guard;
use crate::observe::Figure;

/// The levels by name: clients on them now.
const ON: [(&str, &str); 5] = [
    ("tidegate_guard_watched", "Clients on the level watch."),
    ("tidegate_guard_slowed", "Clients on the level slow."),
    ("tidegate_guard_limited", "Clients on the level limit."),
    ("tidegate_guard_challenged", "Clients on the level challenge."),
    ("tidegate_guard_blocked", "Clients on the level block."),
];
/// Requests that something was done to.
const ACTED: [(&str, &str); 4] = [
    ("tidegate_guard_delayed_requests", "Requests that the guard delayed, or would have in shadow."),
    (
        "tidegate_guard_limited_requests",
        "Requests that the guard refused for its limit, or would have in shadow.",
    ),
    ("tidegate_guard_challenged_requests", "Requests that the guard challenged, or would have in shadow."),
    ("tidegate_guard_blocked_requests", "Requests that the guard blocked, or would have in shadow."),
];

impl Guard {
    /// Tells them.
    pub fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let [tracked, dropped, crowded] = self.table.counted();
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let numbers = &self.numbers;
        let all = [
            ("tidegate_guard_clients", "Clients that the guard has a place for.", false, tracked),
            ("tidegate_guard_dropped", "Clients that lost their place to others.", true, dropped),
            ("tidegate_guard_uncounted", "Requests of clients that found no place.", true, crowded),
            ("tidegate_guard_raised", "Clients that came up a level.", true, read(&numbers.raised)),
            ("tidegate_guard_met", "Challenges that were met.", true, read(&numbers.met)),
            (
                "tidegate_guard_wrong_codes",
                "Codes of authenticators that were not taken.",
                true,
                read(&numbers.wrong),
            ),
            ("tidegate_guard_forgiven", "Clients that were forgiven.", true, read(&numbers.forgiven)),
        ];
        let on = ON.iter().zip(&numbers.on).map(|((name, help), number)| (*name, *help, false, read(number)));
        let acted =
            ACTED.iter().zip(&numbers.acted).map(|((name, help), number)| (*name, *help, true, read(number)));
        for (name, help, counts, value) in all.into_iter().chain(on).chain(acted) {
            tell(Figure { name, help, counts, value });
        }
    }
}
