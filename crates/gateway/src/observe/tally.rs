//! Counters for words that are known only when they come up: codes of faults, reasons of refusals.
//!
//! Written by one worker, read by anybody, bounded: words for which there is no room count together. Must never
//! take a word from outside: the words are the program's own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::add;

/// Three words that count together; those not needed are empty.
pub(crate) type Words = [&'static str; 3];

/// Stands for all words that found no room.
pub(crate) const OTHER: &str = "_OTHER";

/// Counts by words.
pub(crate) struct Tally {
    cells: Box<[Cell]>,
    other: AtomicU64,
}

#[derive(Default)]
struct Cell {
    words: OnceLock<Words>,
    count: AtomicU64,
}

impl Tally {
    /// Room for so many different words.
    pub(crate) fn with_room(cells: usize) -> Tally {
        Tally { cells: (0..cells).map(|_| Cell::default()).collect(), other: AtomicU64::new(0) }
    }

    /// Counts one. Only the worker that owns the tally may call this.
    pub(crate) fn count(&self, words: Words) {
        let cell = self.cells.iter().find(|cell| *cell.words.get_or_init(|| words) == words);
        add(cell.map_or(&self.other, |cell| &cell.count), 1);
    }

    /// What was counted.
    pub(crate) fn read(&self, mut each: impl FnMut(Words, u64)) {
        let used = self.cells.iter().map_while(|cell| Some((*cell.words.get()?, &cell.count)));
        used.for_each(|(words, count)| each(words, count.load(Ordering::Relaxed)));
        let other = self.other.load(Ordering::Relaxed);
        if other > 0 {
            each([OTHER; 3], other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_room_count_together() {
        let tally = Tally::with_room(2);
        for word in ["a", "b", "a", "c", "d", "b", "a"] {
            tally.count([word, "", ""]);
        }
        let mut told = Vec::new();
        tally.read(|words, count| told.push((words[0], count)));
        assert_eq!(told, [("a", 3), ("b", 2), (OTHER, 2)]);
    }
}
