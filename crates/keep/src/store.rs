//! What is kept, for those who keep and ask: a table under a lock that nobody holds while the disk is busy, and a thread
//! that writes down what stands in it.
//!
//! Takes answers as they are; they are written by the thread, so who keeps one pays for a look at a table. What cannot be
//! written in time is let go, and then also what was kept under its key before: an older answer never comes back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::log::Files;
use crate::reader::{self, Question};
use crate::record::{Put, Record};
use crate::segment::{Form, Place};
use crate::state::{Access, State};
use crate::writer::Writer;

/// What tells apart what is kept under one key.
pub type Variant = [u8; 16];

/// Gets what is kept at the start, each with its key.
pub type Load = Box<dyn FnMut(&[u8], &[u8]) + Send>;

/// Bytes of answers that wait to be written.
const MOST_PENDING: u64 = 32 * 1024 * 1024;
/// How long a start waits for what is on the disk to be known.
const FIRST: Duration = Duration::from_secs(2);

/// What is kept.
pub trait Answer: Send + Sync + 'static {
    /// Writes itself down. False when that is no longer wanted.
    fn write(&self, out: &mut Vec<u8>) -> bool;
}

/// Where and how something is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder, which nobody else uses.
    pub folder: PathBuf,
    /// What is kept there and in which form. What was kept in another is not read.
    pub form: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// What everything is sealed by.
    pub secret: Option<String>,
    /// Whether nothing may come back that is gone: then all goes when a word of it cannot be written.
    pub strict: bool,
}

/// What is to be known of an answer without reading it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What it depends on: see [`Keep::change`].
    pub marks: Vec<u16>,
    /// For whoever chooses what is to go: see [`Keep::take_out`].
    pub note: Vec<u8>,
    /// Its bytes, about.
    pub size: u64,
}

/// An answer that was read.
#[derive(Debug)]
pub struct Read {
    /// Which of its key it is.
    pub variant: Variant,
    /// Which of all that was written it is: see [`Keep::is_current`].
    pub number: u64,
    /// What it depends on.
    pub marks: Vec<u16>,
    /// Whether it was made stale.
    pub stale: bool,
    /// What it wrote of itself.
    pub value: Vec<u8>,
}

/// Something that may be taken out.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Which of its key it is.
    pub variant: &'a Variant,
    /// What is known of it.
    pub note: &'a [u8],
    /// Its bytes.
    pub bytes: u64,
}

/// What was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is done with what is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is counted.
    Counted,
    /// It becomes stale.
    Stale,
    /// It goes.
    Gone,
}

/// Numbers about what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// What is on the disk.
    pub objects: u64,
    /// The bytes of all files.
    pub bytes: u64,
    /// What was written.
    pub written: u64,
    /// What was read.
    pub read: u64,
    /// What was not written, because the disk was too slow or failed.
    pub dropped: u64,
    /// Records and files that were not what was written there.
    pub unreadable: u64,
    /// Whether the disk fails.
    pub failing: bool,
}

/// What is kept in a folder.
pub struct Keep<A: Answer> {
    shared: Arc<Shared<A>>,
    readers: OnceLock<SyncSender<Question>>,
    started: AtomicBool,
}

/// What those who keep, the writer and the readers share.
pub(crate) struct Shared<A: Answer> {
    pub(crate) settings: Settings,
    pub(crate) files: Option<Arc<Files>>,
    state: Mutex<State<A>>,
    /// Told when there is something to do in a hurry, and when something was done.
    pub(crate) told: Condvar,
    pub(crate) failing: AtomicBool,
    pub(crate) bytes: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    read: AtomicU64,
}

impl<A: Answer> Keep<A> {
    /// What is kept in a folder. Nothing is read or written before it is started.
    pub fn new(settings: Settings) -> Keep<A> {
        let form = Form::new(&settings.form, settings.secret.as_deref());
        let shared = Shared {
            files: form.map(|form| Arc::new(Files::new(form))),
            settings,
            state: Mutex::new(State::new()),
            told: Condvar::new(),
            failing: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            read: AtomicU64::new(0),
        };
        Keep { shared: Arc::new(shared), readers: OnceLock::new(), started: AtomicBool::new(false) }
    }

    /// Where and how it is kept.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Begins to read and to write; `load` gets everything that is kept once, oldest first. Waits a moment for that. A
    /// second time changes nothing.
    pub fn start(&self, load: Option<Load>) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let writer = Writer::new(self.shared.clone(), load);
        let spawned = std::thread::Builder::new().name("keep".into()).spawn(move || writer.run());
        let reading = reader::start(&self.shared).map(|readers| _ = self.readers.set(readers));
        if let Err(error) = spawned.map(drop).and(reading) {
            self.shared.failing.store(true, Ordering::Relaxed);
            tracing::error!("nothing is kept in {}: {error}", self.shared.settings.folder.display());
            return;
        }
        let state = self.shared.state();
        let opening = |state: &mut State<A>| state.access == Access::Opening;
        let _ = self.shared.told.wait_timeout_while(state, FIRST, opening);
    }

    /// Keeps an answer in the place of what was.
    pub fn put(&self, key: &[u8], variant: Variant, about: About, answer: Arc<A>) {
        let state = &mut *self.shared.state();
        let room = state.pending_bytes.saturating_add(about.size) <= MOST_PENDING;
        if !room || about.size > self.shared.settings.bytes / 32 {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return state.forget(key, variant);
        }
        state.withdraw(key, &variant);
        state.index.take(key, &variant);
        state.wait(key, variant, about, answer);
    }

    /// Lets go what is kept under a key.
    pub fn forget(&self, key: &[u8], variant: Variant) {
        self.shared.state().forget(key, variant);
    }

    /// Whatever depends on this is gone.
    pub fn change(&self, mark: u16) {
        let state = &mut *self.shared.state();
        // Where nothing depends on it, no word need be written.
        if !state.index.change(mark) && state.access == Access::Open {
            return;
        }
        state.stamp = state.stamp.saturating_add(1);
        let stamp = state.stamp;
        state.touched.insert(mark, stamp);
        if !state.void {
            state.changed.insert(mark);
        }
    }

    /// Whether it is known what is on the disk: not while another process has the folder.
    pub fn is_open(&self) -> bool {
        self.shared.state().access == Access::Open
    }

    /// Whether there is something under a key of which this note is wanted.
    pub fn has(&self, key: &[u8], wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.shared.state().index.of(key).any(|held| wanted(&held.note))
    }

    /// Whether what was read is still what is kept.
    pub fn is_current(&self, key: &[u8], read: (&Variant, u64)) -> bool {
        let state = self.shared.state();
        state.index.of(key).any(|held| (&held.variant, held.number) == read)
    }

    /// Reads what is kept under a key, on a thread of its own. False when too many wait already.
    pub fn ask(&self, key: &[u8], then: impl FnOnce(Vec<Read>) + Send + 'static) -> bool {
        let question = Question { key: key.to_vec(), then: Box::new(then) };
        self.readers.get().is_some_and(|readers| readers.try_send(question).is_ok())
    }

    /// Counts what is chosen, or lets it become stale, or go. Looks at everything.
    pub fn take_out(&self, chosen: &dyn Fn(Item<'_>) -> bool, taken: Taken) -> Sum {
        let mut state = self.shared.state();
        if state.access == Access::Opening && self.started.load(Ordering::Acquire) {
            let opening = |state: &mut State<A>| state.access == Access::Opening;
            let waited = self.shared.told.wait_timeout_while(state, FIRST, opening);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.take_out(chosen, taken)
    }

    /// Waits until all is written down, at most so long. False when that did not come to be.
    pub fn flush(&self, most: Duration) -> bool {
        if !self.started.load(Ordering::Acquire) {
            return true;
        }
        let until = Instant::now() + most;
        let mut state = self.shared.state();
        state.called = state.called.saturating_add(1);
        let call = state.called;
        self.shared.told.notify_all();
        loop {
            if state.done >= call || state.failed >= call {
                return state.done >= call;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.told.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What there is to know about it.
    pub fn numbers(&self) -> Numbers {
        let objects = self.shared.state().index.objects;
        let now = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Numbers {
            objects,
            bytes: now(&self.shared.bytes),
            written: now(&self.shared.written),
            read: now(&self.shared.read),
            dropped: now(&self.shared.dropped),
            unreadable: now(&self.shared.unreadable),
            failing: self.shared.failing.load(Ordering::Relaxed),
        }
    }
}

impl<A: Answer> Drop for Keep<A> {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.told.notify_all();
    }
}

impl<A: Answer> Shared<A> {
    pub(crate) fn state(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is kept under a key: what is whole, and really stands under this key.
    pub(crate) fn read(&self, key: &[u8]) -> Vec<Read> {
        let Some(files) = &self.files else { return Vec::new() };
        let found: Vec<(Variant, Place, u64, bool)> = {
            let state = self.state();
            let of = state.index.of(key);
            of.map(|held| (held.variant, held.place, held.number, held.stale)).collect()
        };
        let mut all = Vec::with_capacity(found.len());
        for (variant, place, number, stale) in found {
            let content = files.read(place);
            match content.as_deref().and_then(Record::read) {
                Some(Record::Put(put)) if put.key == key && put.variant == variant => {
                    let Put { marks, value, .. } = put;
                    self.read.fetch_add(1, Ordering::Relaxed);
                    all.push(Read { variant, number, marks, stale, value: value.to_vec() });
                }
                _ => self.unreadable(key, &variant, place),
            }
        }
        all
    }

    /// What stands at a place is not what was written there, unless it has another place by now.
    fn unreadable(&self, key: &[u8], variant: &Variant, place: Place) {
        let mut state = self.state();
        if state.index.find(key, variant).is_some_and(|held| held.place == place) {
            state.index.take(key, variant);
            self.unreadable.fetch_add(1, Ordering::Relaxed);
        }
    }
}
