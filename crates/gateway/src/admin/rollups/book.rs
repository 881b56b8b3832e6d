//! The files of the hours: one for each day, appended to, the oldest given up for room.
//!
//! Takes lines; gives the hours of one thing. Several processes may append at once, as during a hand-over: each writes whole
//! lines in one call. Must never keep more days or bytes than it may, nor fail over a line that a crash has torn.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::super::state_folder;
use super::line::{self, Hour, LONGEST};
use crate::observe::clock::date;
use crate::observe::telemetry::{Counts, Key};

const DAY: u64 = 86_400;

/// The files of one folder.
pub(super) struct Book {
    folder: PathBuf,
    /// Days that are kept, the running one besides.
    days: u64,
    /// Bytes of all files together.
    most: u64,
}

impl Book {
    /// In this folder, which is made when something is written.
    pub(super) fn new(folder: PathBuf, days: u64, most: u64) -> Book {
        Book { folder, days, most }
    }

    /// Where they are.
    pub(super) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Appends what was counted in an hour, and gives up what is too old or too much. Gives how many things found no room.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn append(&self, at: u64, things: &[(Key, Counts)]) -> io::Result<u64> {
        let day = at / DAY;
        let mut text = String::new();
        let mut left_out = 0_u64;
        for (key, counts) in things {
            match line::write(key, &Hour { at, counts: counts.clone() }) {
                Some(line) => text.push_str(&line),
                None => left_out = left_out.saturating_add(1),
            }
        }
        state_folder::make(&self.folder)?;
        let Some(room) = self.most.checked_sub(text.len() as u64) else { return Ok(things.len() as u64) };
        if self.forget(day, room)? > room {
            return Ok(things.len() as u64);
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).read(true).append(true).mode(0o600).open(self.folder.join(name(day)))?;
        if is_torn(&mut file)? {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        Ok(left_out)
    }

    /// Takes away the days that are too old, and the oldest of the rest while they take more room than this. Gives what is
    /// left in bytes: more only where today alone is more.
    fn forget(&self, today: u64, room: u64) -> io::Result<u64> {
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)) {
                known.insert(name.to_owned(), entry.metadata()?.len());
            }
        }
        let oldest = name(today.saturating_sub(self.days));
        let mut bytes = known.values().fold(0_u64, |sum, len| sum.saturating_add(*len));
        // Names are in the order of days.
        for (file, len) in known.iter().filter(|(file, _)| **file != name(today)) {
            if *file >= oldest && bytes <= room {
                break;
            }
            std::fs::remove_file(self.folder.join(file))?;
            bytes = bytes.saturating_sub(*len);
        }
        Ok(bytes)
    }

    /// What was counted of a thing in the hours from one moment to another; lines of one hour are added up.
    pub(super) fn hours(&self, key: &Key, from: u64, until: u64) -> BTreeMap<u64, Counts> {
        let begin = line::begin(key);
        let mut found: BTreeMap<u64, Counts> = BTreeMap::new();
        let days = (from / DAY)..=(until / DAY);
        for file in days.filter_map(|day| File::open(self.folder.join(name(day))).ok()) {
            // What cannot be read is as if it had not been counted.
            let _ = lines(file, |line| {
                if let Some(Hour { at, counts }) = line::parse(line, &begin)
                    && (from..until).contains(&at)
                {
                    found.entry(at).or_default().add(&counts);
                }
            });
        }
        found
    }
}

/// Tells the lines of a file, with their ends; what is longer than a line can be is told in pieces, which are none.
fn lines(file: File, mut tell: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(128 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        tell(&line);
    }
}

/// Whether the last line has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// `hours-2027-01-15.log`.
fn name(day: u64) -> String {
    let (year, month, day) = date(day);
    format!("hours-{year:04}-{month:02}-{day:02}.log")
}

fn is_name(name: &str) -> bool {
    let date = name.strip_prefix("hours-").and_then(|rest| rest.strip_suffix(".log"));
    date.is_some_and(|date| date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::telemetry::Kind;

    /// The begin of a day.
    const START: u64 = 20_833 * DAY;

    fn calls(calls: u64) -> Counts {
        Counts { calls, ..Counts::default() }
    }

    fn files(book: &Book) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&book.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| is_name(name))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn hours_are_found_again_and_two_lines_of_one_hour_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::new(folder.path().join("telemetry"), 30, 1 << 20);
        let (a, b) = (Key::gateway(), Key::new(Kind::Route, "/b"));
        for hour in 0..50 {
            let at = START + hour * 3_600;
            assert_eq!(book.append(at, &[(a.clone(), calls(hour)), (b.clone(), calls(1))]).unwrap(), 0);
        }
        book.append(START + 49 * 3_600, &[(a.clone(), calls(100))]).unwrap();
        let found = book.hours(&a, START + 20 * 3_600, START + 50 * 3_600);
        assert_eq!(found.len(), 30);
        assert_eq!((found[&(START + 20 * 3_600)].calls, found[&(START + 49 * 3_600)].calls), (20, 149));
        assert_eq!(
            book.hours(&b, START, START + 10 * DAY).values().map(|counts| counts.calls).sum::<u64>(),
            50
        );
        assert_eq!(files(&book), ["hours-2027-01-15.log", "hours-2027-01-16.log", "hours-2027-01-17.log"]);
    }

    #[test]
    fn a_torn_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::new(folder.path().into(), 30, 1 << 20);
        let key = Key::gateway();
        book.append(START, &[(key.clone(), calls(1))]).unwrap();
        let path = folder.path().join(name(START / DAY));
        let whole = std::fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn.extend_from_slice(&whole[..whole.len() / 2]);
        std::fs::write(&path, torn).unwrap();
        book.append(START + 3_600, &[(key.clone(), calls(2))]).unwrap();
        let found = book.hours(&key, START, START + DAY);
        assert_eq!(found.values().map(|counts| counts.calls).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn days_and_bytes_are_bounded_and_the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::gateway();
        let book = Book::new(folder.path().into(), 3, 1 << 20);
        std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        for day in 0..10 {
            book.append(START + day * DAY, &[(key.clone(), calls(1))]).unwrap();
        }
        assert_eq!(files(&book).len(), 4, "three days and the running one");
        assert_eq!(book.hours(&key, START, START + 10 * DAY).len(), 4);
        // Room for two days of ten lines.
        let line = std::fs::metadata(folder.path().join(name(START / DAY + 9))).unwrap().len();
        let small = Book::new(folder.path().into(), 30, line * 20);
        for hour in 0..30 {
            small.append(START + 20 * DAY + hour * 8_640, &[(key.clone(), calls(1))]).unwrap();
            let bytes: u64 = files(&small)
                .iter()
                .map(|name| std::fs::metadata(folder.path().join(name)).unwrap().len())
                .sum();
            assert!(bytes <= line * 20, "{bytes} bytes");
        }
        let full = Book::new(folder.path().into(), 30, 10);
        assert_eq!(full.append(START + 40 * DAY, &[(key.clone(), calls(1))]).unwrap(), 1, "no room at all");
        assert!(folder.path().join("notes.txt").exists());
    }
}
