//! The counts of one thing over a time in steps of one length. A step in which nothing happened takes no memory.

use std::collections::VecDeque;
use std::mem::size_of;
use std::ops::Range;

use super::counts::Counts;

/// One step with something in it.
struct Slot {
    /// When it begins, in seconds since 1970.
    at: u64,
    /// Calls of all steps before it, so that those of a time are a difference and not a sum over each of its steps.
    before: u64,
    calls: u32,
    classes: [u32; 5],
    refused: u32,
    faults: u32,
    bytes_in: u64,
    bytes_out: u64,
    sum_micros: u64,
    /// Buckets that hold something, and how much.
    latency: Box<[(u8, u32)]>,
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
                let mut sum = counts.clone();
                last.add_to(&mut sum);
                let next = Slot::new(last.at, last.before, &sum);
                self.buckets =
                    self.buckets.saturating_sub(last.latency.len()).saturating_add(next.latency.len());
                *last = next;
            }
            last => {
                let before = last.map_or(0, |last| last.upto());
                let slot = Slot::new(at, before, counts);
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
        self.slots.iter().skip_while(move |slot| slot.at < from).map(|slot| {
            let mut counts = Counts::default();
            slot.add_to(&mut counts);
            (slot.at, counts)
        })
    }

    /// Adds the steps that begin within these times.
    pub(super) fn add_to(&self, sum: &mut Counts, times: Range<u64>, step: u64) {
        let [begin, end] = [times.start, times.end].map(|at| self.place(at, step));
        let within = self.slots.iter().skip(begin).take(end.saturating_sub(begin));
        within.for_each(|slot| slot.add_to(sum));
    }

    /// Calls of the steps that begin at this time or later.
    pub(super) fn calls_since(&self, from: u64, step: u64) -> u64 {
        let upto = self.slots.back().map_or(0, Slot::upto);
        let first = self.slots.get(self.place(from, step));
        first.map_or(0, |first| upto.saturating_sub(first.before))
    }

    /// The place of the first step that begins at this time or later. Where no step is missing since, it is where the length
    /// of a step says: one look, while a search goes through memory that nobody has read for a second.
    fn place(&self, from: u64, step: u64) -> usize {
        let Some(since) = self.slots.back().and_then(|last| last.at.checked_sub(from)) else {
            return self.slots.len();
        };
        let since = since.checked_div(step).and_then(|steps| usize::try_from(steps).ok()).unwrap_or(0);
        let place = self.slots.len().saturating_sub(since.saturating_add(1));
        match self.slots.get(place) {
            Some(slot) if slot.at == from => place,
            _ => self.slots.partition_point(|slot| slot.at < from),
        }
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
    fn new(at: u64, before: u64, counts: &Counts) -> Slot {
        let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let filled = counts.latency.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut latency: Vec<(u8, u32)> = Vec::with_capacity(filled.clone().count());
        latency.extend(filled.filter_map(|(place, count)| Some((u8::try_from(place).ok()?, short(*count)))));
        Slot {
            at,
            before,
            calls: short(counts.calls),
            classes: counts.classes.map(short),
            refused: short(counts.refused),
            faults: short(counts.faults),
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            sum_micros: counts.latency.sum_micros,
            latency: latency.into(),
        }
    }

    /// Calls of this step and of all before it.
    fn upto(&self) -> u64 {
        self.before.saturating_add(u64::from(self.calls))
    }

    /// Adds what is in it, and nothing where nothing is: most buckets are empty. Wrapping, which takes a third less: sums of
    /// so few steps do not come near the end of their numbers.
    fn add_to(&self, sum: &mut Counts) {
        let add = |sum: &mut u64, count: u64| *sum = sum.wrapping_add(count);
        add(&mut sum.calls, self.calls.into());
        sum.classes.iter_mut().zip(self.classes).for_each(|(sum, class)| add(sum, class.into()));
        add(&mut sum.refused, self.refused.into());
        add(&mut sum.faults, self.faults.into());
        add(&mut sum.bytes_in, self.bytes_in);
        add(&mut sum.bytes_out, self.bytes_out);
        add(&mut sum.latency.sum_micros, self.sum_micros);
        for (place, count) in &self.latency {
            if let Some(bucket) = sum.latency.buckets.get_mut(usize::from(*place)) {
                add(bucket, (*count).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(calls: u64) -> Counts {
        let mut counts = Counts { calls, classes: [0, calls, 0, 0, 1], bytes_in: 7, ..Counts::default() };
        counts.latency.buckets[2] = calls;
        counts.latency.sum_micros = calls * 3;
        counts
    }

    /// With gaps, with steps that were added to twice, and after the first were forgotten.
    #[test]
    fn what_came_since_is_the_sum_of_the_steps_since() {
        let mut ring = Ring::default();
        for at in [10, 11, 11, 14, 15, 30, 30, 31] {
            ring.add(at, &counted(at));
        }
        for forgotten in [0, 12, 31, 40] {
            ring.forget_before(forgotten);
            for (from, until) in (0..50).flat_map(|from| [(from, 15), (from, 31), (from, u64::MAX)]) {
                let [mut sum, mut found] = [Counts::default(), Counts::default()];
                let within = ring.since(from).filter(|(at, _)| *at < until);
                within.for_each(|(_, counts)| sum.add(&counts));
                ring.add_to(&mut found, from..until, 1);
                assert_eq!(found, sum, "from {from} until {until}");
                assert!(until < u64::MAX || ring.calls_since(from, 1) == sum.calls, "since {from}");
            }
        }
        assert!(ring.is_empty());
    }
}
