//! The texts that ran, one after the other: who put them there, when, and why.
//!
//! The last fifty, in files of the folder of records, or in memory where there is none. A text may hold secrets, so
//! the files are for their owner alone.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admin::state_folder;

/// Revisions that are kept.
pub(super) const KEPT: usize = 50;

/// One text that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Revision {
    /// Counts them, from 1.
    pub number: u64,
    /// When it was put in force, in UTC.
    pub time: String,
    /// Who did it.
    pub author: String,
    /// Why, in their words.
    pub message: String,
    /// What changed in meaning.
    pub summary: String,
    /// The fingerprint of the text.
    pub etag: String,
    /// The text.
    pub text: Arc<str>,
}

/// The last revisions.
pub(super) struct History {
    folder: Option<PathBuf>,
    revisions: VecDeque<Revision>,
    /// Those before this number are in files.
    kept_from: u64,
}

impl History {
    /// Takes up what is in the folder of records.
    pub(super) fn open(state: Option<&Path>) -> History {
        let folder = state.map(|state| state.join("history"));
        let mut revisions: Vec<Revision> = Vec::new();
        for entry in folder.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
            let read = std::fs::read(entry.path()).ok();
            // A file that is none of ours, or half of one, is left alone.
            revisions.extend(read.and_then(|bytes| serde_json::from_slice::<Revision>(&bytes).ok()));
        }
        revisions.sort_by_key(|revision| revision.number);
        let kept_from = revisions.last().map_or(1, |last| last.number.saturating_add(1));
        History { folder, revisions: revisions.into(), kept_from }
    }

    /// The one that came last.
    pub(super) fn last(&self) -> Option<&Revision> {
        self.revisions.back()
    }

    /// The one of this number.
    pub(super) fn get(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// All that are kept, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.revisions.iter()
    }

    /// Adds a text; gives its number. In memory only, until [`History::keep`].
    pub(super) fn push(&mut self, fresh: Revision) -> u64 {
        let number = self.revisions.back().map_or(1, |last| last.number.saturating_add(1));
        self.revisions.push_back(Revision { number, ..fresh });
        number
    }

    /// Lets the last one be told as this, if it is of the same text and nobody has said why; gives its number.
    pub(super) fn claim(&mut self, fresh: &Revision) -> Option<u64> {
        let last = self.revisions.back_mut()?;
        if last.etag != fresh.etag || !last.message.is_empty() || last.number < self.kept_from {
            return None;
        }
        *last = Revision { number: last.number, ..fresh.clone() };
        Some(last.number)
    }

    /// Writes what is not yet in files, and forgets what is too old.
    ///
    /// # Errors
    /// What the system says; memory keeps them all the same.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        while self.revisions.len() > KEPT {
            let Some(gone) = self.revisions.pop_front() else { break };
            if let Some(path) = self.path(gone.number) {
                let _ = std::fs::remove_file(path);
            }
        }
        for revision in self.revisions.iter().filter(|revision| revision.number >= self.kept_from) {
            let Some(path) = self.path(revision.number) else { return Ok(()) };
            let text = serde_json::to_vec(revision).unwrap_or_default();
            state_folder::make(path.parent().and_then(Path::parent).unwrap_or(Path::new("")))?;
            state_folder::write_private(&path, &text)?;
        }
        self.kept_from = self.last().map_or(1, |last| last.number.saturating_add(1));
        Ok(())
    }

    fn path(&self, number: u64) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{number:08}.json")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(text: &str) -> Revision {
        Revision {
            number: 0,
            time: "2027-01-01T00:00:00Z".into(),
            author: "ann".into(),
            message: "why".into(),
            summary: String::new(),
            etag: text.into(),
            text: text.into(),
        }
    }

    #[test]
    fn fifty_are_kept_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(Some(folder.path()));
        assert!(history.last().is_none());
        for nth in 1..=KEPT + 10 {
            assert_eq!(history.push(revision(&format!("text {nth}"))), nth as u64);
            history.keep().unwrap();
        }
        let mut again = History::open(Some(folder.path()));
        assert_eq!(again.iter().count(), KEPT);
        assert!(again.get(10).is_none());
        assert_eq!(again.last().map(|last| &*last.text), Some("text 60"));
        assert_eq!(again.push(revision("next")), 61);
    }

    #[test]
    fn without_a_folder_memory_keeps_them() {
        let mut history = History::open(None);
        for nth in 0..60 {
            history.push(revision(&nth.to_string()));
        }
        history.keep().unwrap();
        assert_eq!((history.iter().count(), history.last().unwrap().number), (KEPT, 60));
    }
}
