//! The file that remembers what of quotas was used.
//!
//! Lines that several processes may append to at once, as they do while one takes over from another: each says how much
//! more was used, and each process reads the lines of the others. A process that finds itself alone with a file that is
//! far longer than it need be, or at its start, writes it anew without what is over.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ledger::{Account, LARGEST, Owner, Period, USED, account_of, now_used, used};
use super::{mono, wall};
use crate::values::random::Random;
use crate::values::table::Table;

/// What a line begins with: of a quota of this gateway alone, or of one that others count as well.
const WHOLE: &str = "used";
const PART: &str = "part";
/// Longest line that is believed.
const LONGEST: u64 = 65_536;
/// A file that is never too long.
const SHORT: u64 = 1 << 20;
/// How often a file is opened that others have just written anew.
const TRIES: usize = 10;

/// What tells the gateway of this folder from others: made once, and read again ever after.
pub(super) fn identify(folder: &Path) -> std::io::Result<String> {
    let path = folder.join("quotas.name");
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let known = known.trim();
    if known.len() == 16 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(known.to_owned());
    }
    std::fs::create_dir_all(folder)?;
    let name = format!("{:016x}", Random::from_system().next());
    let draft = folder.join("quotas.name.new");
    std::fs::write(&draft, format!("{name}\n"))?;
    std::fs::rename(&draft, &path)?;
    Ok(name)
}

/// The file.
pub(super) struct Book {
    path: PathBuf,
    file: File,
    /// How much of it has been read.
    read: u64,
    /// What tells our lines from those of other processes.
    own: String,
    /// How long it may become before it is written anew.
    enough: u64,
}

impl Book {
    /// Opens the file in this folder, which is made where it is not there, reads it, and writes it anew where nobody else
    /// has it open.
    pub(super) fn first(
        folder: &Path,
        table: &Table,
        known: &mut HashMap<u64, Account>,
    ) -> std::io::Result<Book> {
        std::fs::create_dir_all(folder)?;
        let mut book = Book::open(&folder.join("quotas"))?;
        book.read(table, known)?;
        Ok(book.written_anew(table, known)?.unwrap_or(book))
    }

    fn open(path: &Path) -> std::io::Result<Book> {
        let own = format!("{:016x}", Random::from_system().next());
        for _ in 0..TRIES {
            let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
            // While it is held, nobody writes the file anew.
            file.lock_shared()?;
            // Somebody may have done so before.
            let (named, opened) = (std::fs::metadata(path), file.metadata()?);
            if named.is_ok_and(|named| named.ino() == opened.ino()) {
                return Ok(Book { path: path.to_owned(), file, read: 0, own, enough: SHORT });
            }
        }
        Err(std::io::Error::other("it is always written anew by others"))
    }

    /// Takes over what others have written since the last time.
    pub(super) fn read(&mut self, table: &Table, known: &mut HashMap<u64, Account>) -> std::io::Result<()> {
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
    pub(super) fn append(&mut self, table: &Table, known: &mut HashMap<u64, Account>) -> std::io::Result<()> {
        let mut text = String::new();
        let mut grown: Vec<(u64, u64)> = Vec::new();
        for (key, account) in known.iter() {
            let now = now_used(table, *key, account);
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

    /// Whether there is far more in it than is worth knowing.
    pub(super) fn is_long(&self) -> bool {
        self.read > self.enough || self.file.metadata().is_ok_and(|about| about.len() > self.enough)
    }

    /// The file without what is over, one line for each key, if nobody else has it open.
    pub(super) fn written_anew(
        &mut self,
        table: &Table,
        known: &mut HashMap<u64, Account>,
    ) -> std::io::Result<Option<Book>> {
        self.enough = self.enough.saturating_mul(2);
        self.file.unlock()?;
        if self.file.try_lock().is_err() {
            self.file.lock_shared()?;
            return Ok(None);
        }
        let anew = self.write_anew(table, known);
        if anew.is_err() {
            // Others may have it again; this one goes on with what there is.
            self.file.lock_shared()?;
        }
        anew.map(Some)
    }

    fn write_anew(&mut self, table: &Table, known: &mut HashMap<u64, Account>) -> std::io::Result<Book> {
        // Whoever has just let go of it may have written before.
        self.read(table, known)?;
        let mut draft = self.path.clone().into_os_string();
        draft.push(".new");
        // What a crash has left of an earlier one.
        let _ = std::fs::remove_file(&draft);
        let mut file = OpenOptions::new().create_new(true).read(true).append(true).open(&draft)?;
        file.lock_shared()?;
        let (moment, mut text) = (wall(), String::new());
        let live = known.iter().filter(|(_, account)| account.used > 0 && account.period.end > moment);
        live.for_each(|(key, account)| text.push_str(&line("0", *key, account, account.used)));
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        let read = text.len() as u64;
        let enough = read.saturating_mul(4).max(SHORT);
        Ok(Book { path: self.path.clone(), file, read, own: self.own.clone(), enough })
    }
}

fn line(process: &str, key: u64, account: &Account, more: u64) -> String {
    let Account { owner, period, .. } = account;
    let (label, mark) = (serde_json::json!(owner.label), if owner.shared { PART } else { WHOLE });
    format!("{mark} {process} {key:016x} {} {} {more} {label}\n", period.start, period.end)
}

/// A line that was read.
struct Line {
    process: String,
    key: u64,
    period: Period,
    more: u64,
    owner: Owner,
}

impl Line {
    /// None for what is no line: a part of one that a crash has left, at worst.
    fn parse(bytes: &[u8]) -> Option<Line> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut words = text.splitn(7, ' ');
        let mark = words.next().filter(|mark| [WHOLE, PART].contains(mark))?;
        let (process, key) = (words.next()?, u64::from_str_radix(words.next()?, 16).ok()?);
        let period = Period { start: words.next()?.parse().ok()?, end: words.next()?.parse().ok()? };
        let more = words.next()?.parse().ok()?;
        let owner = Owner { label: serde_json::from_str(words.next()?).ok()?, shared: mark == PART };
        Some(Line { process: process.to_owned(), key, period, more, owner })
    }

    /// Adds it to what is known.
    fn book(self, table: &Table, known: &mut HashMap<u64, Account>) {
        let Line { key, period, more, owner, .. } = self;
        let Some(account) = account_of(known, key, owner, period) else { return };
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
    use super::super::ledger::Ledger;
    use super::*;

    #[test]
    fn what_is_no_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let period = Period { start: wall() / 3600 * 3600 - 3600, end: wall() + 100_000 };
        let owner = Owner { label: ["calls".into(), "ada".into()], shared: false };
        let account = Account { owner, period, used: 3 };
        let text = format!("used half\n\u{0}\nnothing\n{}used 0 0000", line("0", 9, &account, 3));
        std::fs::write(folder.path().join("quotas"), text).unwrap();
        let ledger = Ledger::new(Some(folder.path()));
        ledger.start();
        assert_eq!(ledger.used(9, period), 3);
    }
}
