//! What this gateway has let be used of quotas: a table that all workers count in, and a file that outlives restarts.
//!
//! A worker changes a word of the table and nothing else. A thread of its own looks several times a second what has
//! grown and appends how much to the file (`book`), where there is a folder for it. So a crash loses what was used in the
//! last moment, and an orderly end nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::book::{Book, identify};
use super::{mono, wall};
use crate::values::random::Random;
use crate::values::table::Table;

/// Keys that have room.
pub(super) const KEYS: usize = 200_000;
/// Bits of a word for what was used; above them stands which period.
pub(super) const USED: u32 = 40;
/// The most that a quota may give.
pub(super) const LARGEST: u64 = (1 << USED) - 1;
/// How often what was used is written down.
const TICK: Duration = Duration::from_millis(200);
/// Keys that may be new between two ticks.
const NEW: usize = 65_536;
/// How long an orderly end waits for the last lines.
const LAST: Duration = Duration::from_secs(2);
/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

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
    pub(super) fn tag(self) -> u64 {
        u64::try_from(self.start.max(0) / 3600).unwrap_or(0) & ((1 << (64 - USED)) - 1)
    }
}

/// Whose a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The name of the quota and of whoever uses it, for people.
    pub(super) label: [String; 2],
    /// Whether other gateways count the same key: then what is used here is a part.
    pub(super) shared: bool,
}

/// Who has used how much of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) owner: Owner,
    pub(super) period: Period,
    /// What was used, as far as it is written down.
    pub(super) used: u64,
}

enum Note {
    New(u64, Owner, Period),
    Flush(Sender<()>),
}

/// What of quotas has been used.
pub(super) struct Ledger {
    /// None where nothing outlives the process.
    folder: Option<PathBuf>,
    /// What tells this gateway from others: the same over restarts where there is a folder.
    name: OnceLock<String>,
    table: Arc<Table>,
    notes: SyncSender<Note>,
    /// For the thread, until it is there.
    taken: Mutex<Option<Receiver<Note>>>,
    known: Arc<Mutex<HashMap<u64, Account>>>,
    failing: Arc<AtomicBool>,
}

impl Ledger {
    /// The ledger in this folder, if any. Nothing is read or written before it is started.
    pub(super) fn new(folder: Option<&Path>) -> Ledger {
        let (notes, taken) = sync_channel(NEW);
        Ledger {
            folder: folder.map(Path::to_owned),
            name: OnceLock::new(),
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
        // A folder that is not to be had now is told of by the keeper.
        if let Some(Ok(name)) = self.folder.as_deref().map(identify) {
            let _ = self.name.set(name);
        }
        let mut keeper = Keeper {
            folder: self.folder.clone(),
            table: self.table.clone(),
            known: self.known.clone(),
            failing: self.failing.clone(),
            book: None,
            swept: Instant::now(),
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
        owner: impl FnOnce() -> Owner,
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
                        let _ = self.notes.try_send(Note::New(key, owner(), period));
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

    /// What tells this gateway from others that count the same.
    pub(super) fn name(&self) -> &str {
        self.name.get_or_init(|| format!("{:016x}", Random::from_system().next()))
    }

    /// All that is known of those that have used something in this period and after, up to so many: of keys that other
    /// gateways count as well, or of the others.
    pub(super) fn accounts(&self, most: usize, shared: bool) -> Vec<(u64, Account)> {
        self.flush();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall();
        let live = known.iter().filter(|(_, account)| {
            account.period.end > now && account.used > 0 && account.owner.shared == shared
        });
        live.take(most).map(|(key, account)| (*key, account.clone())).collect()
    }

    /// The fullest account of a quota, and how much was used of it; none while accounts are written down: nobody waits here.
    pub(super) fn fullest(&self, quota: &str) -> Option<(String, u64)> {
        let (known, now) = (self.known.try_lock().ok()?, wall());
        let is_own = |account: &Account| account.owner.label[0] == quota;
        let live = known.iter().filter(|(_, account)| is_own(account) && account.period.end > now);
        let (key, account) = live.max_by_key(|(key, account)| self.used(**key, account.period))?;
        let [_, who] = &account.owner.label;
        Some((who.clone(), self.used(*key, account.period)))
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

    /// Keys that were forgotten within their period, because there were more than have room.
    pub(super) fn dropped(&self) -> u64 {
        self.table.dropped()
    }
}

/// What a word says was used in a period.
pub(super) fn used(word: u64, period: Period) -> u64 {
    if word >> USED == period.tag() { word & LARGEST } else { 0 }
}

/// The thread that writes down.
struct Keeper {
    folder: Option<PathBuf>,
    table: Arc<Table>,
    known: Arc<Mutex<HashMap<u64, Account>>>,
    failing: Arc<AtomicBool>,
    /// The file, once it could be opened.
    book: Option<Book>,
    /// When what is over was forgotten last.
    swept: Instant,
    told: Option<Instant>,
}

impl Keeper {
    fn run(mut self, notes: &Receiver<Note>) {
        let mut next = Instant::now() + TICK;
        loop {
            match notes.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Note::New(key, owner, period)) => {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(account) = account_of(&mut known, key, owner, period)
                        && account.period != period
                    {
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
            let folder = self.folder.as_deref().unwrap_or(Path::new("memory")).display();
            tracing::error!("what of quotas was used cannot be kept in {folder}: {error}");
        }
    }

    fn try_to_write(&mut self) -> std::io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if self.swept.elapsed() > SWEEP {
            self.swept = Instant::now();
            let now = wall();
            known.retain(|_, account| account.period.end > now);
        }
        let Some(folder) = &self.folder else {
            for (key, account) in known.iter_mut() {
                account.used = now_used(&self.table, *key, account);
            }
            return Ok(());
        };
        let book = match &mut self.book {
            Some(book) => book,
            none => none.insert(Book::first(folder, &self.table, &mut known)?),
        };
        book.read(&self.table, &mut known)?;
        book.append(&self.table, &mut known)?;
        if book.is_long()
            && let Some(anew) = book.written_anew(&self.table, &mut known)?
        {
            *book = anew;
        }
        Ok(())
    }
}

/// The account of a key, made where there is none; none when there are as many as have room.
pub(super) fn account_of(
    known: &mut HashMap<u64, Account>,
    key: u64,
    owner: Owner,
    period: Period,
) -> Option<&mut Account> {
    let full = known.len() >= KEYS;
    match known.entry(key) {
        Entry::Occupied(entry) => Some(entry.into_mut()),
        Entry::Vacant(_) if full => None,
        Entry::Vacant(entry) => Some(entry.insert(Account { owner, period, used: 0 })),
    }
}

/// What the table says was used of an account; never less than what was written down.
pub(super) fn now_used(table: &Table, key: u64, account: &Account) -> u64 {
    table.find(key).map_or(0, |place| used(place.read(), account.period)).max(account.used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { label: ["calls".into(), "ada".into()], shared: false }
    }

    fn open(folder: &Path) -> Ledger {
        let ledger = Ledger::new(Some(folder));
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
        assert_eq!(first.take(7, period, 5, 1, owner), Ok(1));
        assert_eq!(first.take(7, period, 5, 3, owner), Ok(4));
        assert_eq!(first.take(7, period, 5, 2, owner), Err(4));
        first.flush();
        assert_eq!((0..1_000_000).find_map(|_| first.fullest("calls")), Some(("ada".to_owned(), 4)));
        // Another process that takes over knows it, and each learns of the other.
        let second = open(folder.path());
        assert_eq!(second.used(7, period), 4);
        assert_eq!(second.take(7, period, 9, 2, owner), Ok(6));
        second.flush();
        first.flush();
        assert_eq!(first.used(7, period), 6);
        drop((first, second));
        let third = open(folder.path());
        assert_eq!(third.accounts(10, false), [(7, Account { owner: owner(), period, used: 6 })]);
    }

    #[test]
    fn another_period_begins_anew_and_what_is_over_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let old = Period { start: 3_600_000, end: 7_200_000 };
        let ledger = open(folder.path());
        assert_eq!(ledger.take(1, old, 5, 5, owner), Ok(5));
        ledger.flush();
        assert_eq!(ledger.take(1, month(), 5, 1, owner), Ok(1));
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
        assert_eq!(ledger.take(3, period, 9, 2, owner), Ok(2));
        ledger.flush();
        assert!(ledger.fails());
        std::fs::remove_file(&blocked).unwrap();
        ledger.flush();
        assert!(!ledger.fails());
        assert_eq!(open(&blocked).used(3, period), 2);
    }

    #[test]
    fn without_a_folder_it_counts_in_memory() {
        let ledger = Ledger::new(None);
        ledger.start();
        assert_eq!(ledger.take(5, month(), 9, 2, || Owner { shared: true, ..owner() }), Ok(2));
        let [(5, account)] = &ledger.accounts(10, true)[..] else { panic!("no account") };
        assert_eq!((account.used, ledger.accounts(10, false).len()), (2, 0));
        assert!(!ledger.fails() && ledger.name().len() == 16 && ledger.name() != Ledger::new(None).name());
    }

    #[test]
    fn a_gateway_has_its_name_again_and_a_long_file_becomes_short() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path());
        let name = ledger.name().to_owned();
        let path = folder.path().join("quotas");
        let period = month();
        // What a gateway appends over weeks, by another hand.
        let label = r#"["calls","ada"]"#;
        let line =
            format!("used 0000000000000001 0000000000000007 {} {} 1 {label}\n", period.start, period.end);
        std::fs::write(&path, line.repeat(20_000)).unwrap();
        let begin = Instant::now();
        while std::fs::metadata(&path).unwrap().len() > 1000 {
            assert!(begin.elapsed() < Duration::from_secs(60), "it stays long");
            ledger.flush();
        }
        assert_eq!(ledger.used(7, period), 20_000);
        assert_eq!(ledger.take(7, period, LARGEST, 1, owner), Ok(20_001));
        ledger.flush();
        drop(ledger);
        let again = open(folder.path());
        assert_eq!((again.used(7, period), again.name()), (20_001, name.as_str()));
    }
}
