//! Counters for words that are known only when they come up: codes of faults, reasons of refusals.
//!
//! Written by one worker, read by anybody, bounded: words for which there is no room count together. Must never
//! take a word from outside: the words are the program's own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, add};

/// Three words that count together; those not needed are empty.
pub(crate) type Words = [&'static str; 3];

/// Stands for all words that found no room.
pub(crate) const OTHER: &str = "_OTHER";

/// Counts by words.
pub(crate) struct Tally {
    cells: Box<[Cell]>,
    other: AtomicU64,
    /// Beside each cell the durations of what it counts, where they are asked for; the last is of those without room.
    times: Box<[Histogram]>,
}

#[derive(Default)]
struct Cell {
    words: OnceLock<Words>,
    count: AtomicU64,
}

impl Tally {
    /// Room for so many different words.
    pub(crate) fn with_room(cells: usize) -> Tally {
        let cells = (0..cells).map(|_| Cell::default()).collect();
        Tally { cells, other: AtomicU64::new(0), times: Box::default() }
    }

    /// The same with durations.
    pub(crate) fn with_times(cells: usize) -> Tally {
        Tally { times: (0..=cells).map(|_| Histogram::default()).collect(), ..Tally::with_room(cells) }
    }

    /// Counts one. Only the worker that owns the tally may call this.
    pub(crate) fn count(&self, words: Words) {
        let place = self.place(words);
        add(self.cells.get(place).map_or(&self.other, |cell| &cell.count), 1);
    }

    /// The same of something that took so long.
    pub(crate) fn time(&self, words: Words, took: Duration) {
        let place = self.place(words);
        add(self.cells.get(place).map_or(&self.other, |cell| &cell.count), 1);
        if let Some(times) = self.times.get(place) {
            times.record(took);
        }
    }

    /// Which cell counts these words; behind the last where there is no room.
    fn place(&self, words: Words) -> usize {
        let found = self.cells.iter().position(|cell| *cell.words.get_or_init(|| words) == words);
        found.unwrap_or(self.cells.len())
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

    /// How long it took, where durations are kept.
    pub(crate) fn read_times(&self, mut each: impl FnMut(Words, &Histogram)) {
        for (place, times) in self.times.iter().enumerate() {
            let words = self.cells.get(place).map_or(Some([OTHER; 3]), |cell| cell.words.get().copied());
            if let Some(words) = words {
                each(words, times);
            }
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
        tally.read_times(|words, _| panic!("{words:?} has durations"));
    }

    #[test]
    fn durations_stand_beside_their_words() {
        let tally = Tally::with_times(1);
        for (word, millis) in [("a", 3), ("b", 30), ("a", 3), ("c", 30)] {
            tally.time([word, "", ""], Duration::from_millis(millis));
        }
        let mut told = Vec::new();
        tally.read_times(|words, times| {
            let mut reading = crate::observe::histogram::Reading::default();
            times.read(&mut reading);
            told.push((words[0], reading.count(), reading.sum_micros));
        });
        assert_eq!(told, [("a", 2, 6_000), (OTHER, 2, 60_000)]);
    }
}
