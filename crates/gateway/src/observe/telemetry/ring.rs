//! The counts of one thing over a time in steps of one length. A step in which nothing happened takes no memory.

use std::collections::VecDeque;
use std::mem::size_of;

use super::counts::Counts;
use crate::observe::histogram::Reading;

/// One step with something in it.
struct Slot {
    /// When it begins, in seconds since 1970.
    at: u64,
    calls: u32,
    classes: [u32; 5],
    refused: u32,
    faults: u32,
    bytes_in: u64,
    bytes_out: u64,
    sum_micros: u64,
    /// Buckets that hold something, and how much.
    latency: Vec<(u8, u32)>,
}

/// Steps in the order of time.
#[derive(Default)]
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    buckets: usize,
}

impl Ring {
    /// Adds counts to the step that begins at this time, which is the last one or a later one.
    pub(super) fn add(&mut self, at: u64, counts: &Counts) {
        match self.slots.back_mut() {
            Some(last) if last.at >= at => {
                let mut sum = last.counts();
                sum.add(counts);
                let next = Slot::new(last.at, &sum);
                self.buckets =
                    self.buckets.saturating_sub(last.latency.len()).saturating_add(next.latency.len());
                *last = next;
            }
            _ => {
                let slot = Slot::new(at, counts);
                self.buckets = self.buckets.saturating_add(slot.latency.len());
                self.slots.push_back(slot);
            }
        }
    }

    /// Forgets what begins before this time.
    pub(super) fn forget_before(&mut self, at: u64) {
        while let Some(first) = self.slots.front().filter(|first| first.at < at) {
            self.buckets = self.buckets.saturating_sub(first.latency.len());
            self.slots.pop_front();
        }
        if self.slots.capacity() > self.slots.len().saturating_mul(2).saturating_add(16) {
            self.slots.shrink_to_fit();
        }
    }

    /// The steps that begin at this time or later.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, Counts)> + '_ {
        let late = self.slots.iter().filter(move |slot| slot.at >= from);
        late.map(|slot| (slot.at, slot.counts()))
    }

    /// Calls of the steps that begin at this time or later.
    pub(super) fn calls_since(&self, from: u64) -> u64 {
        let late = self.slots.iter().rev().take_while(|slot| slot.at >= from);
        late.map(|slot| u64::from(slot.calls)).fold(0, u64::saturating_add)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots = self.slots.capacity().saturating_mul(size_of::<Slot>());
        slots.saturating_add(self.buckets.saturating_mul(size_of::<(u8, u32)>()))
    }
}

impl Slot {
    fn new(at: u64, counts: &Counts) -> Slot {
        let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let filled = counts.latency.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut latency: Vec<(u8, u32)> = Vec::with_capacity(filled.clone().count());
        latency.extend(filled.filter_map(|(place, count)| Some((u8::try_from(place).ok()?, short(*count)))));
        Slot {
            at,
            calls: short(counts.calls),
            classes: counts.classes.map(short),
            refused: short(counts.refused),
            faults: short(counts.faults),
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            sum_micros: counts.latency.sum_micros,
            latency,
        }
    }

    fn counts(&self) -> Counts {
        let mut latency = Reading { sum_micros: self.sum_micros, ..Reading::default() };
        for (place, count) in &self.latency {
            if let Some(bucket) = latency.buckets.get_mut(usize::from(*place)) {
                *bucket = u64::from(*count);
            }
        }
        Counts {
            calls: u64::from(self.calls),
            classes: self.classes.map(u64::from),
            refused: u64::from(self.refused),
            faults: u64::from(self.faults),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            latency,
        }
    }
}
