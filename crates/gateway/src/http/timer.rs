//! Deadlines of one worker: a dense table of due times, looked through once a tick.
//!
//! Arming, moving and disarming a deadline is one store into a vector, so that a deadline on every phase of every
//! exchange costs next to nothing; the price is a resolution of [`TICK`]. A timer wheel would be exact and would
//! take a lock and two list operations for each of the six deadlines of an exchange.
//! Never used across threads: each worker has its own table and drives it with [`Timers::tick`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// How often the table is looked through, and so how late a deadline may fire.
pub const TICK: Duration = Duration::from_millis(20);

/// Milliseconds are counted in 64 bits: 32 would be full after 49 days, and every deadline due.
const NEVER: u64 = u64::MAX;

struct Slot {
    due: u64,
    waker: Option<Waker>,
}

/// The table of a worker.
pub struct Timers {
    started: Instant,
    now: Cell<u64>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
}

impl Timers {
    /// An empty table whose clock starts now.
    pub fn new() -> Rc<Timers> {
        Rc::new(Timers {
            started: Instant::now(),
            now: Cell::new(0),
            slots: RefCell::new(Vec::new()),
            free: RefCell::new(Vec::new()),
        })
    }

    /// Moves the clock and wakes every task whose deadline has passed.
    pub fn tick(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1);
        self.now.set(now);
        let mut wakers = Vec::new();
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.due <= now
                && let Some(waker) = slot.waker.take()
            {
                wakers.push(waker);
            }
        }
        // Woken after the borrow has ended: a waker may run code of the executor.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes every task that waits on a deadline, so that it looks at the world anew.
    pub fn wake_all(&self) {
        let wakers: Vec<_> =
            self.slots.borrow_mut().iter_mut().filter_map(|slot| slot.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Milliseconds since the table was made, as of the last tick.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// The time of the clock at which so much will have passed.
    pub fn after(&self, time: Duration) -> u64 {
        let millis = u64::try_from(time.as_millis()).unwrap_or(NEVER);
        self.now.get().saturating_add(millis).min(NEVER - 1)
    }

    /// A new, disarmed timer.
    pub fn timer(self: &Rc<Self>) -> Timer {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { due: NEVER, waker: None });
            u32::try_from(slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        Timer { timers: self.clone(), slot }
    }

    fn with<T>(&self, slot: u32, act: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.slots.borrow_mut().get_mut(slot as usize).map(act)
    }
}

/// One deadline: disarmed until [`Timer::arm`], gone when dropped.
pub struct Timer {
    timers: Rc<Timers>,
    slot: u32,
}

impl Timer {
    /// Due `after` from the last tick; replaces an earlier deadline.
    pub fn arm(&self, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(NEVER / 2);
        // One tick is added since the clock may be one tick old: a deadline never fires early.
        let due = self.timers.now.get().saturating_add(after).saturating_add(TICK.as_millis() as u64);
        self.timers.with(self.slot, |slot| slot.due = due.min(NEVER - 1));
    }

    /// Never due.
    pub fn disarm(&self) {
        self.timers.with(self.slot, |slot| slot.due = NEVER);
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    pub fn expired(&self, cx: &Context<'_>) -> bool {
        let now = self.timers.now.get();
        self.timers
            .with(self.slot, |slot| {
                if slot.due <= now {
                    return true;
                }
                if slot.due != NEVER && !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
                {
                    slot.waker = Some(cx.waker().clone());
                }
                false
            })
            .unwrap_or(false)
    }

    /// The clock this timer runs on.
    pub fn timers(&self) -> &Rc<Timers> {
        &self.timers
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.with(self.slot, |slot| *slot = Slot { due: NEVER, waker: None });
        self.timers.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_fires_after_its_time_and_not_before() {
        let timers = Timers::new();
        let timer = timers.timer();
        let cx = Context::from_waker(Waker::noop());
        assert!(!timer.expired(&cx), "a new timer is disarmed");
        timer.arm(Duration::from_millis(50));
        timers.now.set(60);
        assert!(!timer.expired(&cx), "one tick of grace");
        timers.now.set(70);
        assert!(timer.expired(&cx));
        timer.disarm();
        assert!(!timer.expired(&cx));
    }

    #[test]
    fn deadlines_hold_after_years() {
        let timers = Timers::new();
        let timer = timers.timer();
        let cx = Context::from_waker(Waker::noop());
        let year = 365 * 86_400_000;
        timers.now.set(10 * year);
        timer.arm(Duration::from_secs(10));
        assert!(!timer.expired(&cx));
        timers.now.set(10 * year + 10_020);
        assert!(timer.expired(&cx));
    }

    #[test]
    fn slots_are_used_again() {
        let timers = Timers::new();
        for _ in 0..100 {
            let timer = timers.timer();
            timer.arm(Duration::ZERO);
        }
        assert_eq!(timers.slots.borrow().len(), 1);
        assert_eq!(timers.slots.borrow()[0].due, NEVER, "a dropped timer leaves nothing behind");
    }
}
