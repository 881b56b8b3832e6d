//! What of quotas has been used, over restarts: a table that all workers count in, and a file.
//!
//! A worker changes a word of the table and nothing else. A thread of its own looks several times a second what has
//! grown and appends how much to the file: lines that several processes may append to at once, as they do while one
//! takes over from another, and each reads the others' lines. So a crash loses what was used in the last moment, and an
//! orderly end nothing. A process that finds itself alone with the file at its start writes it anew without what is over.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{mono, wall};
use crate::values::table::Table;

/// Keys that have room.
const KEYS: usize = 200_000;
/// Bits of a word for what was used; above them stands which period.
const USED: u32 = 40;
/// The most that a quota may give.
pub(super) const LARGEST: u64 = (1 << USED) - 1;
/// How often what was used is written down.
const TICK: Duration = Duration::from_millis(200);
/// Keys that may be new between two ticks.
const NEW: usize = 65_536;
/// How long an orderly end waits for the last lines.
const LAST: Duration = Duration::from_secs(2);
/// What a line begins with.
const MARK: &str = "used";
/// Longest line that is believed.
const LONGEST: u64 = 65_536;

/// A period as words know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// The first second since 1970.
    pub(super) start: i64,
    /// The one after the last.
    pub(super) end: i64,
}

impl Period {
    /// A number for it: no period begins in the same hour as another of its quota.
    fn tag(self) -> u64 {
        u64::try_from(self.start.max(0) / 3600).unwrap_or(0) & ((1 << (64 - USED)) - 1)
    }
}

/// Who has used how much of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The name of the quota and of whoever uses it, for people.
    pub(super) label: [String; 2],
    pub(super) period: Period,
    /// What was used, as far as it is written down.
    pub(super) used: u64,
}

enum Note {
    New(u64, [String; 2], Period),
    Flush(Sender<()>),
}

/// What of quotas has been used.
pub(super) struct Ledger {
    folder: PathBuf,
    table: Arc<Table>,
    notes: SyncSender<Note>,
    /// For the thread, until it is there.
    taken: Mutex<Option<Receiver<Note>>>,
    known: Arc<Mutex<HashMap<u64, Account>>>,
    failing: Arc<AtomicBool>,
}

impl Ledger {
    /// The ledger in this folder. Nothing is read or written before it is started.
    pub(super) fn new(folder: &Path) -> Ledger {
        let (notes, taken) = sync_channel(NEW);
        Ledger {
            folder: folder.to_owned(),
            table: Arc::new(Table::new(KEYS)),
            notes,
            taken: Mutex::new(Some(taken)),
            known: Arc::default(),
            failing: Arc::default(),
        }
    }

    /// Reads what was used, and writes down from now on. A second time changes nothing.
    pub(super) fn start(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(taken) = taken else { return };
        let mut keeper = Keeper {
            folder: self.folder.clone(),
            table: self.table.clone(),
            known: self.known.clone(),
            failing: self.failing.clone(),
            book: None,
            told: None,
        };
        keeper.write_down();
        let spawned = std::thread::Builder::new().name("quotas".into()).spawn(move || keeper.run(&taken));
        if let Err(error) = spawned {
            self.failing.store(true, Ordering::Relaxed);
            tracing::error!("what of quotas was used is not written down: {error}");
        }
    }

    /// Takes so much if there is room for it. What is used then, or what is used anyway where there is no room.
    pub(super) fn take(
        &self,
        key: u64,
        period: Period,
        amount: u64,
        cost: u64,
        label: impl FnOnce() -> [String; 2],
    ) -> Result<u64, u64> {
        let now = mono();
        let lasts =
            u64::try_from(period.end.saturating_sub(wall())).unwrap_or(0).saturating_mul(1_000_000_000);
        // A bucket that others hold all the time leaves this request uncounted.
        let Some(place) = self.table.place(key, now) else { return Ok(0) };
        let mut word = place.read();
        loop {
            let used = used(word, period);
            let next = used.saturating_add(cost);
            if next > amount.min(LARGEST) {
                if word == 0 {
                    place.lasts_until(now);
                }
                return Err(used);
            }
            match place.change(word, period.tag() << USED | next) {
                Ok(()) => {
                    if used == 0 {
                        place.lasts_until(now.saturating_add(lasts));
                        // More new keys at once than there is room for are counted, and forgotten by a restart.
                        let _ = self.notes.try_send(Note::New(key, label(), period));
                    }
                    return Ok(next);
                }
                Err(Some(other)) => word = other,
                Err(None) => return Ok(0),
            }
        }
    }

    /// What was used.
    pub(super) fn used(&self, key: u64, period: Period) -> u64 {
        self.table.find(key).map_or(0, |place| used(place.read(), period))
    }

    /// All that is known of those that have used something in this period and after, up to so many.
    pub(super) fn accounts(&self, most: usize) -> Vec<(u64, Account)> {
        self.flush();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall();
        let live = known.iter().filter(|(_, account)| account.period.end > now && account.used > 0);
        live.take(most).map(|(key, account)| (*key, account.clone())).collect()
    }

    /// The fullest account of a quota, and how much was used of it; none while accounts are written down: nobody waits here.
    pub(super) fn fullest(&self, quota: &str) -> Option<(String, u64)> {
        let (known, now) = (self.known.try_lock().ok()?, wall());
        let is_own = |account: &Account| account.label.first().is_some_and(|name| name == quota);
        let live = known.iter().filter(|(_, account)| is_own(account) && account.period.end > now);
        let (key, account) = live.max_by_key(|(key, account)| self.used(**key, account.period))?;
        Some((account.label.last().cloned()?, self.used(*key, account.period)))
    }

    /// Writes down what is not yet, as far as that is done soon.
    pub(super) fn flush(&self) {
        let (done, wait) = channel();
        if self.notes.try_send(Note::Flush(done)).is_ok() {
            // When it takes longer, whoever asks gets what is known.
            let _ = wait.recv_timeout(LAST);
        }
    }

    /// Whether the last lines could not be written.
    pub(super) fn fails(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Places of the table that hold a key.
    pub(super) fn keys(&self) -> u64 {
        self.table.used()
    }
}

/// What a word says was used in a period.
fn used(word: u64, period: Period) -> u64 {
    if word >> USED == period.tag() { word & LARGEST } else { 0 }
}

/// The thread that writes down.
struct Keeper {
    folder: PathBuf,
    table: Arc<Table>,
    known: Arc<Mutex<HashMap<u64, Account>>>,
    failing: Arc<AtomicBool>,
    /// The file, once it could be opened.
    book: Option<Book>,
    told: Option<Instant>,
}

impl Keeper {
    fn run(mut self, notes: &Receiver<Note>) {
        let mut next = Instant::now() + TICK;
        loop {
            match notes.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Note::New(key, label, period)) => {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    let account = known.entry(key).or_insert(Account { label, period, used: 0 });
                    if account.period != period {
                        (account.period, account.used) = (period, 0);
                    }
                }
                Ok(Note::Flush(done)) => {
                    self.write_down();
                    // Nobody may wait any more.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.write_down();
                    next = Instant::now() + TICK;
                }
                Err(RecvTimeoutError::Disconnected) => return self.write_down(),
            }
        }
    }

    fn write_down(&mut self) {
        let outcome = self.try_to_write();
        self.failing.store(outcome.is_err(), Ordering::Relaxed);
        if let Err(error) = outcome
            && self.told.is_none_or(|told| told.elapsed() > Duration::from_secs(10))
        {
            self.told = Some(Instant::now());
            let folder = self.folder.display();
            tracing::error!("what of quotas was used cannot be kept in {folder}: {error}");
        }
    }

    fn try_to_write(&mut self) -> std::io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let book = match &mut self.book {
            Some(book) => book,
            none => none.insert(Book::first(&self.folder, &self.table, &mut known)?),
        };
        book.read(&self.table, &mut known)?;
        book.append(&self.table, &mut known)
    }
}

/// The file.
struct Book {
    path: PathBuf,
    file: File,
    /// How much of it has been read.
    read: u64,
    /// What tells our lines from those of other processes.
    own: String,
}

impl Book {
    /// Opens the file in this folder, which is made where it is not there, reads it, and writes it anew where nobody else
    /// has it open.
    fn first(folder: &Path, table: &Table, known: &mut HashMap<u64, Account>) -> std::io::Result<Book> {
        std::fs::create_dir_all(folder)?;
        let mut book = Book::open(&folder.join("quotas"))?;
        book.read(table, known)?;
        Ok(book.written_anew(known)?.unwrap_or(book))
    }

    fn open(path: &Path) -> std::io::Result<Book> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        // While it is held, nobody writes the file anew.
        file.lock_shared()?;
        let random = crate::values::random::Random::from_system();
        Ok(Book { path: path.to_owned(), file, read: 0, own: format!("{:016x}", random.next()) })
    }

    /// Takes over what others have written since the last time.
    fn read(&mut self, table: &Table, known: &mut HashMap<u64, Account>) -> std::io::Result<()> {
        if self.file.metadata()?.len() <= self.read {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            lines.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') && (line.len() as u64) < LONGEST {
                // The end, or a line that is not whole yet.
                return Ok(());
            }
            self.read = self.read.saturating_add(line.len() as u64);
            let Some(line) = Line::parse(&line).filter(|line| line.process != self.own) else { continue };
            if line.period.end > wall() {
                line.book(table, known);
            }
        }
    }

    /// Appends what was used since the last time, in whole lines.
    fn append(&mut self, table: &Table, known: &mut HashMap<u64, Account>) -> std::io::Result<()> {
        let mut text = String::new();
        let mut grown: Vec<(u64, u64)> = Vec::new();
        for (key, account) in known.iter() {
            let now = table.find(*key).map_or(0, |place| used(place.read(), account.period));
            if now > account.used {
                text.push_str(&line(&self.own, *key, account, now.saturating_sub(account.used)));
                grown.push((*key, now));
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.file.write_all(text.as_bytes())?;
        for (key, now) in grown {
            if let Some(account) = known.get_mut(&key) {
                account.used = now;
            }
        }
        self.file.sync_data()
    }

    /// The file without what is over, one line for each key, if nobody else has it open.
    fn written_anew(&self, known: &HashMap<u64, Account>) -> std::io::Result<Option<Book>> {
        self.file.unlock()?;
        if self.file.try_lock().is_err() {
            self.file.lock_shared()?;
            return Ok(None);
        }
        let mut draft = self.path.clone().into_os_string();
        draft.push(".new");
        let mut file = File::create(&draft)?;
        let live = known.iter().filter(|(_, account)| account.used > 0);
        for (key, account) in live {
            file.write_all(line("0", *key, account, account.used).as_bytes())?;
        }
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        let mut book = Book::open(&self.path)?;
        book.read = book.file.metadata()?.len();
        Ok(Some(book))
    }
}

fn line(process: &str, key: u64, account: &Account, more: u64) -> String {
    let Account { label, period, .. } = account;
    let label = serde_json::json!(label);
    format!("{MARK} {process} {key:016x} {} {} {more} {label}\n", period.start, period.end)
}

/// A line that was read.
struct Line {
    process: String,
    key: u64,
    period: Period,
    more: u64,
    label: [String; 2],
}

impl Line {
    /// None for what is no line: a part of one that a crash has left, at worst.
    fn parse(bytes: &[u8]) -> Option<Line> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut words = text.splitn(7, ' ');
        words.next().filter(|mark| *mark == MARK)?;
        let (process, key) = (words.next()?, u64::from_str_radix(words.next()?, 16).ok()?);
        let period = Period { start: words.next()?.parse().ok()?, end: words.next()?.parse().ok()? };
        let more = words.next()?.parse().ok()?;
        let label = serde_json::from_str(words.next()?).ok()?;
        Some(Line { process: process.to_owned(), key, period, more, label })
    }

    /// Adds it to what is known.
    fn book(self, table: &Table, known: &mut HashMap<u64, Account>) {
        let Line { key, period, more, label, .. } = self;
        let account = known.entry(key).or_insert(Account { label, period, used: 0 });
        if account.period.start > period.start {
            return;
        }
        if account.period != period {
            (account.period, account.used) = (period, 0);
        }
        let Some(place) = table.place(key, mono()) else { return };
        let mut word = place.read();
        loop {
            let next = used(word, period).saturating_add(more).min(LARGEST);
            match place.change(word, period.tag() << USED | next) {
                Ok(()) => break,
                Err(Some(other)) => word = other,
                Err(None) => return,
            }
        }
        let left = u64::try_from(period.end.saturating_sub(wall())).unwrap_or(0);
        place.lasts_until(mono().saturating_add(left.saturating_mul(1_000_000_000)));
        account.used = account.used.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> [String; 2] {
        ["calls".into(), "ada".into()]
    }

    fn open(folder: &Path) -> Ledger {
        let ledger = Ledger::new(folder);
        ledger.start();
        ledger
    }

    fn month() -> Period {
        Period { start: wall() / 3600 * 3600 - 3600, end: wall() + 100_000 }
    }

    #[test]
    fn what_was_used_is_known_after_a_restart_and_by_two_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let period = month();
        let first = open(folder.path());
        assert_eq!(first.take(7, period, 5, 1, label), Ok(1));
        assert_eq!(first.take(7, period, 5, 3, label), Ok(4));
        assert_eq!(first.take(7, period, 5, 2, label), Err(4));
        first.flush();
        assert_eq!((0..1_000_000).find_map(|_| first.fullest("calls")), Some(("ada".to_owned(), 4)));
        // Another process that takes over knows it, and each learns of the other.
        let second = open(folder.path());
        assert_eq!(second.used(7, period), 4);
        assert_eq!(second.take(7, period, 9, 2, label), Ok(6));
        second.flush();
        first.flush();
        assert_eq!(first.used(7, period), 6);
        drop((first, second));
        let third = open(folder.path());
        assert_eq!(third.accounts(10), [(7, Account { label: label(), period, used: 6 })]);
    }

    #[test]
    fn another_period_begins_anew_and_what_is_over_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let old = Period { start: 3_600_000, end: 7_200_000 };
        let ledger = open(folder.path());
        assert_eq!(ledger.take(1, old, 5, 5, label), Ok(5));
        ledger.flush();
        assert_eq!(ledger.take(1, month(), 5, 1, label), Ok(1));
        assert_eq!(ledger.used(1, old), 0);
        ledger.flush();
        drop(ledger);
        let path = folder.path().join("quotas");
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        // The thread of the ledger before lets go of the file a little later.
        let begin = Instant::now();
        while lines() > 1 && begin.elapsed() < Duration::from_secs(10) {
            let ledger = open(folder.path());
            assert_eq!(ledger.used(1, month()), 1);
            std::thread::yield_now();
        }
        assert_eq!(lines(), 1);
    }

    #[test]
    fn a_folder_that_comes_later_learns_what_was_used_before() {
        let folder = tempfile::tempdir().unwrap();
        let period = month();
        let blocked = folder.path().join("state");
        std::fs::write(&blocked, "in the way").unwrap();
        let ledger = open(&blocked);
        assert_eq!(ledger.take(3, period, 9, 2, label), Ok(2));
        ledger.flush();
        assert!(ledger.fails());
        std::fs::remove_file(&blocked).unwrap();
        ledger.flush();
        assert!(!ledger.fails());
        assert_eq!(open(&blocked).used(3, period), 2);
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let period = month();
        let account = Account { label: label(), period, used: 3 };
        let text = format!("used half\n\u{0}\nnothing\n{}used 0 0000", line("0", 9, &account, 3));
        std::fs::write(folder.path().join("quotas"), text).unwrap();
        let ledger = open(folder.path());
        assert_eq!(ledger.used(9, period), 3);
    }
}
