//! The thread that writes down what is kept, and makes room for it.
//!
//! Takes what stands in the table, a batch at a time: first the words of what is gone, then answers. Writes without the lock
//! and looks again before it says that something is on the disk. What fails is counted and told once; it goes on when it
//! can. Must never hold the lock while the disk is busy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::index::{Held, Index};
use crate::log::{self, Log, Step};
use crate::record::{Put, Record};
use crate::segment::Place;
use crate::state::{Access, State, Word};
use crate::store::{About, Answer, Load, Shared, Variant};

/// Time between two batches.
const TICK: Duration = Duration::from_millis(20);
/// Time until something is tried again that failed, or that another process has.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes of answers in one batch.
const BATCH: u64 = 8 * 1024 * 1024;
/// Parts of the bytes: the length at which a file is followed by another, and the longest record.
const PARTS: u64 = 16;
/// Files, and what is in them.
const MOST_FILES: usize = 64;
const MOST_OBJECTS: u64 = 1 << 20;
/// Files from which what is still wanted is written anew, before others go with it.
const MOST_COPIED: usize = 4;
/// Changes in one record.
const MOST_CHANGES: usize = 4096;

/// The thread.
pub(crate) struct Writer<A: Answer> {
    shared: Arc<Shared<A>>,
    load: Option<Load>,
    log: Option<Log>,
    /// Nothing is tried before that.
    rests: Option<Instant>,
}

/// What is to be written at once.
struct Batch<A> {
    void: bool,
    words: Vec<Word>,
    changed: Vec<u16>,
    answers: Vec<Waiting<A>>,
    called: u64,
    closing: bool,
}

/// An answer of a batch. It stands in the table until it is written.
struct Waiting<A> {
    key: Box<[u8]>,
    variant: Variant,
    stamp: u64,
    stale: bool,
    about: About,
    answer: Arc<A>,
}

impl<A: Answer> Writer<A> {
    pub(crate) fn new(shared: Arc<Shared<A>>, load: Option<Load>) -> Writer<A> {
        Writer { shared, load, log: None, rests: None }
    }

    pub(crate) fn run(mut self) {
        loop {
            self.open();
            let batch = self.next();
            let (called, closing) = (batch.called, batch.closing);
            let written = self.write(batch);
            self.shared.bytes.store(self.log.as_ref().map_or(0, Log::bytes), Ordering::Relaxed);
            if self.log.is_some() || written.is_err() {
                self.tell(written.as_ref().err());
            }
            let mut state = self.shared.state();
            if written.is_ok() {
                state.done = called
            } else {
                state.failed = called
            }
            drop(state);
            self.shared.told.notify_all();
            if closing {
                return;
            }
        }
    }

    /// Opens the folder, unless that was tried just now.
    fn open(&mut self) {
        if self.log.is_some() || self.rests.is_some_and(|until| Instant::now() < until) {
            return;
        }
        match self.try_to_open() {
            Ok(true) => self.rests = None,
            Ok(false) => {
                self.rests = Some(Instant::now() + AGAIN);
                self.shared.state().access = Access::Elsewhere;
            }
            Err(error) => {
                self.rests = Some(Instant::now() + AGAIN);
                self.tell(Some(&error));
                self.shared.state().access = Access::Elsewhere;
            }
        }
        self.shared.told.notify_all();
    }

    /// Whether nobody else has the folder.
    fn try_to_open(&mut self) -> io::Result<bool> {
        let settings = &self.shared.settings;
        let files = self.shared.files.clone();
        let files = files.ok_or_else(|| io::Error::other("no key can be made of the secret"))?;
        let Some(mut log) = Log::open(&settings.folder, files, settings.bytes / PARTS)? else {
            return Ok(false);
        };
        let mut index = Index::new();
        let mut unreadable: u64 = 0;
        log.replay(&mut |step| match step {
            Step::Record(place, content) if index.apply(place, &content) => {}
            Step::Torn => unreadable = unreadable.saturating_add(1),
            Step::Record(..) | Step::Gap => {
                unreadable = unreadable.saturating_add(1);
                index.clear();
            }
        });
        self.shared.unreadable.fetch_add(unreadable, Ordering::Relaxed);
        if unreadable > 0 {
            tracing::warn!(
                unreadable,
                "of what was kept in {} some cannot be read and is passed over",
                settings.folder.display()
            );
        }
        self.log = Some(log);
        self.adopt(index);
        Ok(true)
    }

    /// Lets what was found on the disk be known, but for what has gone meanwhile.
    fn adopt(&mut self, index: Index) {
        let mut places: Vec<(u64, Place)> = Vec::new();
        {
            let state = &mut *self.shared.state();
            let known = std::mem::replace(&mut state.index, index);
            drop(known);
            if state.void {
                state.index.clear();
            }
            for word in &state.words {
                if word.goes {
                    state.index.take(&word.key, &word.variant);
                }
            }
            for mark in &state.changed {
                state.index.change(*mark);
            }
            let waiting: Vec<(Box<[u8]>, Variant)> = state
                .pending
                .iter()
                .flat_map(|(key, all)| all.iter().map(|pending| (key.clone(), pending.variant)))
                .collect();
            for (key, variant) in waiting {
                state.index.take(&key, &variant);
            }
            for mark in state.pending.values().flatten().flat_map(|pending| &pending.about.marks) {
                state.index.depend(*mark);
            }
            if self.load.is_some() {
                places.extend(state.index.all().map(|(_, held)| (held.number, held.place)));
            }
            state.access = Access::Open;
        }
        places.sort_unstable_by_key(|(number, _)| *number);
        let (Some(mut load), Some(files)) = (self.load.take(), &self.shared.files) else { return };
        for (_, place) in places {
            let content = files.read(place);
            if let Some(Record::Put(put)) = content.as_deref().and_then(Record::read) {
                load(put.key, put.value);
            }
        }
    }

    /// Waits until there is something to write, and takes it.
    fn next(&mut self) -> Batch<A> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        let began = Instant::now();
        loop {
            let hurry = state.closing || state.called > state.done.max(state.failed);
            let reaches = self.log.is_some() && self.rests.is_none_or(|until| Instant::now() >= until);
            let some = state.void
                || !(state.pending.is_empty() && state.words.is_empty() && state.changed.is_empty());
            let over = began.elapsed() >= TICK;
            if hurry || (over && ((some && reaches) || (self.log.is_none() && began.elapsed() >= AGAIN / 4)))
            {
                return self.take(&mut state, hurry || reaches);
            }
            // Without anything to do it looks now and then, so that nobody has to wake it.
            let waited = shared.told.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    fn take(&self, state: &mut State<A>, all: bool) -> Batch<A> {
        let mut batch = Batch {
            void: state.void,
            words: Vec::new(),
            changed: Vec::new(),
            answers: Vec::new(),
            called: state.called,
            closing: state.closing,
        };
        if self.log.is_none() || !all {
            return batch;
        }
        batch.words = std::mem::take(&mut state.words);
        batch.changed = std::mem::take(&mut state.changed).into_iter().collect();
        let mut bytes: u64 = 0;
        while let Some((key, variant, stamp)) = state.order.pop_front() {
            let Some(one) = state.waiting(&key, &variant, stamp) else { continue };
            bytes = bytes.saturating_add(one.about.size);
            let (stale, about, answer) = (one.stale, one.about.clone(), one.answer.clone());
            batch.answers.push(Waiting { key, variant, stamp, stale, about, answer });
            // At its end, and where somebody waits for it, all is written, whatever it takes.
            if bytes > BATCH && !state.closing && state.called <= state.done.max(state.failed) {
                break;
            }
        }
        batch
    }

    fn write(&mut self, batch: Batch<A>) -> io::Result<()> {
        if self.log.is_none() {
            return self.write_without(&batch);
        }
        let wiped = if batch.void { self.wipe() } else { Ok(()) };
        let mut outcome = wiped.and_then(|()| self.write_words(&batch));
        let goes_on = outcome.is_ok();
        for one in batch.answers {
            // One that failed has to be let go like the others: nobody else would take it out of those that wait.
            match goes_on {
                true => outcome = outcome.and(self.write_answer(one)),
                false => self.lose(&mut self.shared.state(), &one.key, one.variant, one.stamp),
            }
        }
        if outcome.is_err() {
            self.rests = Some(Instant::now() + AGAIN);
        } else {
            self.rests = None;
        }
        outcome
    }

    /// What is to be done where the folder is not ours: whoever has it next is told if all is to go.
    fn write_without(&mut self, batch: &Batch<A>) -> io::Result<()> {
        if batch.void {
            log::void(&self.shared.settings.folder)?;
        }
        Ok(())
    }

    fn wipe(&mut self) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if let Err(error) = log.wipe() {
            self.rests = Some(Instant::now() + AGAIN);
            return Err(error);
        }
        self.shared.state().void = false;
        Ok(())
    }

    fn write_words(&mut self, batch: &Batch<A>) -> io::Result<()> {
        if batch.words.is_empty() && batch.changed.is_empty() {
            return Ok(());
        }
        let words = batch.words.iter().map(|word| match word.goes {
            true => Record::Gone(&word.key, word.variant),
            false => Record::Stale(&word.key, word.variant),
        });
        let changed = batch.changed.chunks(MOST_CHANGES).map(|marks| Record::Changed(marks.to_vec()));
        let outcome = words.chain(changed).try_for_each(|record| {
            let record = record.write();
            self.make_room(record.len() as u64)?;
            let Some(log) = &mut self.log else { return Ok(()) };
            log.append(record, true)?;
            self.shared.state().index.next();
            Ok(())
        });
        let outcome = outcome.and_then(|()| self.log.as_ref().map_or(Ok(()), Log::sync));
        if outcome.is_err() && self.shared.settings.strict {
            // What is gone would come back.
            self.shared.state().clear();
        }
        outcome
    }

    fn write_answer(&mut self, one: Waiting<A>) -> io::Result<()> {
        let Waiting { key, variant, stamp, stale, about, answer } = one;
        let mut value = Vec::new();
        let wanted = !self.shared.state().is_changed(&about.marks, stamp) && answer.write(&mut value);
        let put = Put { variant, stale, marks: about.marks, note: &about.note, key: &key, value: &value };
        let record = Record::Put(put).write();
        let longest = self.shared.settings.bytes / PARTS;
        let place = match wanted && record.len() as u64 <= longest {
            true => self.make_room(record.len() as u64).and_then(|()| match &mut self.log {
                Some(log) => log.append(record, false).map(Some),
                None => Ok(None),
            }),
            false => Ok(None),
        };
        let mut state = self.shared.state();
        let place = match place {
            Ok(place) => place,
            Err(error) => {
                self.lose(&mut state, &key, variant, stamp);
                return Err(error);
            }
        };
        // What was let go, or kept anew, while it was written: what stands on the disk now is nobody's.
        let Some(same) = state.waiting(&key, &variant, stamp) else { return Ok(()) };
        let (stale_now, marks, note) = (same.stale, same.about.marks.clone(), same.about.note.clone());
        state.withdraw(&key, &variant);
        match place {
            Some(place) if !state.is_changed(&marks, stamp) => {
                let number = state.index.next();
                let (marks, note) = (marks.into(), note.into());
                state.index.put(&key, Held { variant, place, number, stale: stale_now, marks, note });
                if stale_now && !stale {
                    state.words.push(Word { key, variant, goes: false });
                }
                self.shared.written.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets an answer go that could not be written.
    fn lose(&self, state: &mut State<A>, key: &[u8], variant: Variant, stamp: u64) {
        if state.waiting(key, &variant, stamp).is_none() {
            return;
        }
        state.withdraw(key, &variant);
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        // An older one may be there.
        state.say(Word { key: key.into(), variant, goes: true });
    }

    /// Lets the oldest go until there is room for so many bytes.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let most = self.shared.settings.bytes;
        let limit = most.saturating_sub(most / 8).saturating_sub(bytes);
        let mut nth = 0;
        while let Some(log) = &mut self.log {
            let (kept, objects) = {
                let index = &self.shared.state().index;
                (index.bytes, index.objects)
            };
            if log.bytes() <= limit && log.count() <= MOST_FILES && objects <= MOST_OBJECTS {
                return Ok(());
            }
            let Some(oldest) = log.oldest() else { return Ok(()) };
            let copies = nth < MOST_COPIED && kept <= most / 2 && objects <= MOST_OBJECTS;
            self.let_go(oldest, copies)?;
            nth = nth.saturating_add(1);
        }
        Ok(())
    }

    /// Lets the oldest file go; what is still wanted of it is written anew before, or goes too.
    fn let_go(&mut self, number: u64, copies: bool) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let mut goes_on = copies;
        if let Some(walker) = log.walker(number) {
            let shared = &self.shared;
            walker.walk(&mut |place, content| {
                let Some(Record::Put(put)) = Record::read(&content) else { return };
                let (key, variant) = (put.key, put.variant);
                let known = shared.state().wanted_at(key, &variant, place);
                let Some(stale) = known else { return };
                let copied = goes_on.then(|| log.append(Record::Put(Put { stale, ..put }).write(), false));
                goes_on &= !matches!(copied, Some(Err(_)));
                let mut state = shared.state();
                // It may have gone while it was written.
                match copied {
                    Some(Ok(to)) if state.wanted_at(key, &variant, place).is_some() => {
                        state.index.moved(key, &variant, to);
                    }
                    _ => {
                        if state.index.find(key, &variant).is_some_and(|held| held.place == place) {
                            state.index.take(key, &variant);
                        }
                    }
                }
            });
        }
        log.remove(number)
    }

    /// Says once that the disk fails, and that it does no more.
    fn tell(&self, error: Option<&io::Error>) {
        let failed = self.shared.failing.swap(error.is_some(), Ordering::Relaxed);
        let folder = self.shared.settings.folder.display();
        match error {
            Some(error) if !failed => tracing::error!("nothing more is kept in {folder} for now: {error}"),
            None if failed && self.log.is_some() => {
                tracing::info!("what is to be kept is kept again in {folder}")
            }
            _ => {}
        }
    }
}
