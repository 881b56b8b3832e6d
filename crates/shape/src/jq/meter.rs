//! What a program may use: steps, depth of the stack, and size of values. It is counted wherever the program touches
//! anything, and a program that has used it up is stopped there, whatever it was about to catch.
//!
//! Stopping unwinds the thread up to [`within`], past everything that the program says of errors; outside it nothing counts.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Misfit;

/// Levels of values inside each other, whatever the limits of bodies: what walks them does so on the stack.
pub(super) const DEEPEST: u32 = 256;
/// Bytes that one step of work on texts stands for.
const BYTES: usize = 32;
/// Which part of a thread's stack a program may use: taking down what it has built takes place too.
const SHARE: usize = 4;

/// Where programs may run: so much stack, and until somebody says that they shall end.
#[derive(Clone, Debug)]
pub struct Room {
    stack: usize,
    stop: Arc<AtomicBool>,
}

/// Why a program was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Steps,
    Stack,
    Depth,
    Size,
    Time,
}

impl Stop {
    pub(super) fn misfit(self) -> Misfit {
        Misfit::Spent(match self {
            Stop::Steps => "the program takes more steps than it may",
            Stop::Stack => "the program calls itself deeper than it may",
            Stop::Depth => "the program nests values deeper than it may",
            Stop::Size => "the program makes more than it may",
            Stop::Time => "the program takes longer than it may",
        })
    }
}

/// What is left for the program that runs on this thread.
struct Meter {
    steps: Cell<u64>,
    weight: Cell<u64>,
    /// Where its stack began.
    base: Cell<usize>,
    room: RefCell<Option<Room>>,
}

thread_local! {
    static METER: Meter = const {
        Meter { steps: Cell::new(0), weight: Cell::new(0), base: Cell::new(0), room: RefCell::new(None) }
    };
}

impl Room {
    /// Of a thread with so many bytes of stack, nearly all of which are free. Programs end once `stop` is true.
    pub fn new(stack: usize, stop: Arc<AtomicBool>) -> Room {
        Room { stack: stack / SHARE, stop }
    }

    /// Lets programs run in `work`.
    pub fn with<T>(self, work: impl FnOnce() -> T) -> T {
        METER.with(|meter| meter.room.replace(Some(self)));
        let done = work();
        METER.with(|meter| meter.room.replace(None));
        done
    }
}

/// Runs a program with so many steps, whose values may weigh so much.
///
/// # Errors
/// It was stopped, or failed in a way that it does not know itself.
pub(super) fn within<T>(steps: u64, weight: u64, program: impl FnOnce() -> T) -> Result<T, Misfit> {
    let has_room = METER.with(|meter| {
        meter.steps.set(steps);
        meter.weight.set(weight);
        meter.base.set(here());
        meter.room.borrow().is_some()
    });
    if !has_room {
        return Err(Misfit::Program("there is no room for programs here"));
    }
    catch_unwind(AssertUnwindSafe(program)).map_err(|payload| why(&*payload))
}

fn why(payload: &(dyn Any + Send)) -> Misfit {
    match payload.downcast_ref::<Stop>() {
        Some(stop) => stop.misfit(),
        None => Misfit::Program("the program fails"),
    }
}

/// Ends the program.
pub(super) fn halt(stop: Stop) -> ! {
    resume_unwind(Box::new(stop))
}

/// Where the stack is now, as a number.
fn here() -> usize {
    let place = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&place)).addr()
}

/// So much work is about to be done.
pub(super) fn tick(steps: usize) {
    METER.with(|meter| {
        let Some(left) = meter.steps.get().checked_sub(steps as u64) else { halt(Stop::Steps) };
        meter.steps.set(left);
        let room = meter.room.borrow();
        let Some(room) = room.as_ref() else { return };
        if room.stop.load(Ordering::Relaxed) {
            halt(Stop::Time);
        }
        if meter.base.get().saturating_sub(here()) > room.stack {
            halt(Stop::Stack);
        }
    });
}

/// As [`tick`], for work on so many bytes.
pub(super) fn tick_bytes(bytes: usize) {
    tick((bytes / BYTES).saturating_add(1));
}

/// A value of this weight, so many levels deep, is about to be there.
pub(super) fn weigh(weight: u64, depth: u32) {
    if weight > METER.with(|meter| meter.weight.get()) {
        halt(Stop::Size);
    }
    if depth > DEEPEST {
        halt(Stop::Depth);
    }
}
