//! The audit log: every change that was asked for over the admin address, who asked, and what came of it.
//!
//! Lines of JSON, only ever added to, each with a hash over itself and the line before: whoever alters, takes out or
//! puts in a line breaks the chain from there on. What a chain cannot show is that its end was cut off; `status` tells
//! the last hash, to be noted elsewhere. Without a folder the last lines are kept in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::access::Caller;
use super::state_folder;
use crate::values::Moment;

/// The file in the folder of records.
pub const FILE: &str = "audit.jsonl";
/// Lines kept in memory.
const RECENT: usize = 200;
/// The longest line, in bytes: what a change says of itself is cut before.
const LONGEST: u64 = 1 << 20;
/// What stands for the line before the first.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The log of one process.
pub struct Audit {
    path: Option<PathBuf>,
    chain: Mutex<Chain>,
}

struct Chain {
    next: u64,
    last: String,
    recent: VecDeque<Value>,
    /// Bytes of the file as far as they are known: a process that hands over may still have added a line.
    length: u64,
}

/// Where a chain is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Audit {
    /// Goes on with the log in this folder, if there is one.
    ///
    /// # Errors
    /// When the log is there and cannot be read to its end: adding to it would hide that.
    pub fn open(state: Option<&Path>) -> io::Result<Audit> {
        let path = state.map(|state| state.join(FILE));
        let mut chain = Chain { next: 1, last: BEGINNING.into(), recent: VecDeque::new(), length: 0 };
        if let Some(path) = path.as_ref().filter(|path| path.exists()) {
            chain.take_up(path)?;
        }
        Ok(Audit { path, chain: Mutex::new(chain) })
    }

    /// Adds what somebody did.
    ///
    /// # Errors
    /// When the line cannot be brought to the disk. Then it is not part of the chain.
    pub fn add(&self, who: &Caller, what: &str, more: Value, result: &str) -> io::Result<()> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = self.path.as_ref().filter(|path| length_of(path) != chain.length) {
            chain.take_up(path)?;
        }
        let line = json!({
            "number": chain.next,
            "time": Moment::now().to_string(),
            "who": &*who.name,
            "role": who.role.word(),
            "from": if who.by_session { "browser" } else { "token" },
            "what": what,
            "about": more,
            "result": result,
            "before": chain.last,
        });
        let Value::Object(mut line) = line else { return Ok(()) };
        let hash = hash(&line);
        line.insert("hash".into(), hash.clone().into());
        let line = Value::Object(line);
        if let Some(path) = &self.path {
            state_folder::make(path.parent().unwrap_or(Path::new("")))?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.append(true).create(true).mode(0o600).open(path)?;
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()?;
            chain.length = length_of(path);
        }
        chain.next = chain.next.saturating_add(1);
        chain.last = hash;
        chain.keep(line);
        Ok(())
    }

    /// Number and hash of the last line.
    pub fn last(&self) -> (u64, String) {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        (chain.next.saturating_sub(1), chain.last.clone())
    }

    /// The last lines, the newest first.
    pub fn recent(&self, most: usize) -> Vec<Value> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.recent.iter().rev().take(most).cloned().collect()
    }
}

impl Chain {
    /// Reads where the file ends.
    fn take_up(&mut self, path: &Path) -> io::Result<()> {
        self.recent.clear();
        self.length = length_of(path);
        for line in last_lines(path)? {
            let Ok(told) = serde_json::from_str::<Value>(&line) else { continue };
            self.next = told.get("number").and_then(Value::as_u64).map_or(self.next, |n| n.saturating_add(1));
            if let Some(hash) = told.get("hash").and_then(Value::as_str) {
                self.last = hash.to_owned();
            }
            self.keep(told);
        }
        Ok(())
    }

    fn keep(&mut self, line: Value) {
        self.recent.push_back(line);
        while self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }
}

fn length_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}

/// The hash of a line: over all of it but the hash, as it is written.
fn hash(line: &Map<String, Value>) -> String {
    let text = Value::Object(line.clone()).to_string();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The last lines of a file, as many as memory keeps.
fn last_lines(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LONGEST.saturating_mul(4));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LONGEST.saturating_mul(4)).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().skip(usize::from(from > 0)).map(str::to_owned).collect();
    let first = lines.len().saturating_sub(RECENT);
    Ok(lines.split_off(first))
}

/// Reads a log from its first line to its last and gives their number and the last hash.
///
/// # Errors
/// The system's, or the first line that breaks the chain.
pub fn verify(path: &Path) -> io::Result<Result<(usize, String), Broken>> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut count, mut last) = (0_usize, BEGINNING.to_owned());
    loop {
        let mut text = String::new();
        let read = (&mut reader).take(LONGEST.saturating_add(1)).read_line(&mut text)?;
        if read == 0 {
            return Ok(Ok((count, last)));
        }
        count = count.saturating_add(1);
        let broken = |what| Ok(Err(Broken { line: count, what }));
        if !text.ends_with('\n') {
            return broken("it does not end: writing it was cut, or it is too long");
        }
        let Ok(Value::Object(mut line)) = serde_json::from_str(&text) else {
            return broken("it is no JSON object");
        };
        let Some(Value::String(told)) = line.shift_remove("hash") else { return broken("it has no hash") };
        if line.get("number").and_then(Value::as_u64) != u64::try_from(count).ok() {
            return broken("its number is not that of its place: a line was taken out or put in");
        }
        if line.get("before").and_then(Value::as_str) != Some(&*last) {
            return broken("it does not follow the line before it");
        }
        if hash(&line) != told {
            return broken("it was altered");
        }
        last = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for nth in 0..3 {
            // Each time as a new process would.
            let audit = Audit::open(Some(folder.path())).unwrap();
            let caller = Caller { name: "ann".into(), ..Caller::gateway() };
            audit
                .add(&caller, "reload", json!({ "nth": nth, "ratio": 0.1, "text": "ü\n\"" }), "applied")
                .unwrap();
            assert_eq!((audit.last().0, audit.recent(10).len()), (nth + 1, nth as usize + 1));
        }
        let path = folder.path().join(FILE);
        (folder, path)
    }

    #[test]
    fn a_chain_holds_over_restarts() {
        let (_folder, path) = filled();
        let (count, last) = verify(&path).unwrap().unwrap();
        assert_eq!((count, last.len()), (3, 64));
    }

    #[test]
    fn whoever_alters_takes_out_or_puts_in_breaks_it() {
        let (_folder, path) = filled();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let joined = |lines: &[&str]| lines.join("\n") + "\n";
        let altered = lines[1].replace("\"who\":\"ann\"", "\"who\":\"bob\"");
        for (text, line, word) in [
            (joined(&[lines[0], &altered, lines[2]]), 2, "altered"),
            (joined(&[lines[0], lines[2]]), 2, "number"),
            (joined(&[lines[1], lines[2]]), 1, "number"),
            (joined(&[lines[0], lines[0], lines[1]]), 2, "number"),
            (text.trim_end().to_owned(), 3, "does not end"),
            (format!("{text}{{}}\n"), 4, "no hash"),
            (format!("{text}x\n"), 4, "no JSON"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let broken = verify(&path).unwrap().unwrap_err();
            assert!(broken.line == line && broken.what.contains(word), "{broken:?} in\n{text}");
        }
    }
}
