//! Sums of each hour, kept on disk, so that curves can show days.
//!
//! Takes, each second, what the telemetry counted; gives, once an hour and at the end of the process, the sums of the hour to
//! a thread of its own that writes them. Gives the curve of a thing over days. Neither the workers nor the thread of the
//! telemetry ever wait for the disk: what finds no room in the queue is counted as lost.

mod book;
mod line;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::RollupsMap;
use crate::observe::Figure;
use crate::observe::telemetry::{Counts, Curve, Key, MOST_SERIES, OTHER};
use book::Book;

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// The longest curve in steps of an hour; longer ones have steps of six.
const FINE: u64 = 31 * DAY;
/// Hours that wait to be written: the disk may hang for some.
const WAITING: usize = 4;

/// Sums of each hour.
pub struct Rollups {
    book: Arc<Book>,
    keep: u64,
    running: Mutex<Running>,
    jobs: SyncSender<Job>,
    /// Reading goes through the files: one after the other.
    reading: Mutex<()>,
    state: Arc<State>,
}

/// What the writer tells.
#[derive(Default)]
struct State {
    lost: AtomicU64,
    fails: AtomicBool,
}

/// The hour that is being counted.
#[derive(Default)]
struct Running {
    at: u64,
    sums: BTreeMap<Key, Counts>,
}

enum Job {
    Hour(u64, Vec<(Key, Counts)>),
    Done(SyncSender<()>),
}

impl Rollups {
    /// Keeps them in this folder.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(folder: PathBuf, settings: RollupsMap) -> std::io::Result<Rollups> {
        let keep = settings.keep.as_millis() / 1000;
        let book = Arc::new(Book::new(folder, keep.div_ceil(DAY), settings.size.bytes()));
        let state = Arc::<State>::default();
        let (jobs, waiting) = sync_channel(WAITING);
        let (own, told) = (book.clone(), state.clone());
        std::thread::Builder::new().name("rollups".into()).spawn(move || write_all(&own, &told, &waiting))?;
        Ok(Rollups { book, keep, running: Mutex::default(), jobs, reading: Mutex::new(()), state })
    }

    /// The longest window that is kept, in seconds.
    pub fn longest(&self) -> u64 {
        self.keep
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was counted in a second. Where that is the first of another hour the one before is given to the writer.
    pub fn add(&self, second: u64, told: &[(Key, Counts)]) {
        let at = second - second % HOUR;
        let mut running = self.running();
        // A clock that was turned back stays in the hour that runs.
        if at > running.at {
            let before = std::mem::replace(&mut *running, Running { at, ..Running::default() });
            self.hand_over(before);
        }
        for (key, counts) in told {
            let full = running.sums.len() >= MOST_SERIES && !running.sums.contains_key(key);
            let key =
                if full { Key { name: OTHER.into(), of: "".into(), ..key.clone() } } else { key.clone() };
            running.sums.entry(key).or_default().add(counts);
        }
    }

    fn hand_over(&self, before: Running) {
        if before.sums.is_empty() {
            return;
        }
        let job = Job::Hour(before.at, before.sums.into_iter().collect());
        if let Err(TrySendError::Full(Job::Hour(_, sums)) | TrySendError::Disconnected(Job::Hour(_, sums))) =
            self.jobs.try_send(job)
        {
            self.state.lost.fetch_add(sums.len() as u64, Ordering::Relaxed);
        }
    }

    /// The process is about to end: what was counted of the running hour is written too, if that takes no longer than this.
    pub fn close(&self, within: Duration) {
        let before = std::mem::take(&mut *self.running());
        self.hand_over(before);
        let (done, told) = sync_channel(1);
        if self.jobs.try_send(Job::Done(done)).is_ok() {
            // Without a word the disk hangs, and nobody waits for it.
            let _ = told.recv_timeout(within);
        }
    }

    /// The curve of a thing over the last so many seconds; reads the disk, so it is not for the control runtime.
    pub fn curve(&self, key: &Key, now: u64, seconds: u64) -> Curve {
        let step = if seconds <= FINE { HOUR } else { 6 * HOUR };
        let floor = |second: u64| second - second % step;
        let from = floor(now.saturating_sub(seconds));
        let mut hours = {
            let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            self.book.hours(key, from, now.saturating_add(1))
        };
        let running = self.running();
        if let Some(counts) = running.sums.get(key).filter(|_| running.at >= from) {
            hours.entry(running.at).or_default().add(counts);
        }
        drop(running);
        let mut sums: BTreeMap<u64, Counts> = BTreeMap::new();
        for (at, counts) in hours {
            sums.entry(floor(at)).or_default().add(&counts);
        }
        let count = now.saturating_sub(from).div_ceil(step);
        let times = (0..count).map(|nth| from.saturating_add(nth.saturating_mul(step)));
        Curve { step, steps: times.map(|at| (at, sums.remove(&at).unwrap_or_default())).collect() }
    }

    /// How it goes, for the metrics page.
    pub fn figures(&self) -> [Figure; 2] {
        let State { lost, fails } = &*self.state;
        [
            Figure {
                name: "tidegate_rollups_lost",
                help: "Sums of an hour that could not be kept on disk.",
                counts: true,
                value: lost.load(Ordering::Relaxed),
            },
            Figure {
                name: "tidegate_rollups_failing",
                help: "1 while sums of hours cannot be written to the disk.",
                counts: false,
                value: u64::from(fails.load(Ordering::Relaxed)),
            },
        ]
    }
}

/// Writes until nobody gives anything more.
fn write_all(book: &Book, state: &State, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Hour(at, sums) => {
                let written = book.append(at, &sums);
                let lost = written.as_ref().map_or(sums.len() as u64, |left_out| *left_out);
                state.lost.fetch_add(lost, Ordering::Relaxed);
                // Told once for each time that it begins to fail.
                let failed_before = state.fails.swap(written.is_err(), Ordering::Relaxed);
                if let Err(error) = written
                    && !failed_before
                {
                    tracing::error!("sums of hours cannot be kept in {}: {error}", book.folder().display());
                }
            }
            Job::Done(done) => {
                // Nobody may wait any more.
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::telemetry::Kind;

    const START: u64 = 20_833 * DAY;

    fn start(folder: &std::path::Path, days: u64) -> Rollups {
        let keep = crate::values::Duration::from_secs(days * DAY);
        let settings = RollupsMap { keep, size: crate::values::Size::from_kib(1024) };
        Rollups::start(folder.join("telemetry"), settings).unwrap()
    }

    fn one(key: &Key) -> [(Key, Counts); 1] {
        [(key.clone(), Counts { calls: 1, ..Counts::default() })]
    }

    fn close(rollups: &Rollups) {
        rollups.close(Duration::from_secs(60));
    }

    #[test]
    fn curves_of_days_outlive_the_process_and_hold_the_running_hour() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(Kind::Route, "/a");
        let rollups = start(folder.path(), 30);
        for minute in 0..3 * 24 * 60 + 30 {
            rollups.add(START + minute * 60, &one(&key));
            // Days pass faster here than the writer writes, whose queue holds four hours.
            if minute % 60 == 59 {
                close(&rollups);
            }
        }
        close(&rollups);
        let rollups = start(folder.path(), 30);
        let now = START + 3 * DAY + 2_400;
        for second in 1_800..2_400 {
            rollups.add(START + 3 * DAY + second, &one(&key));
        }
        let curve = rollups.curve(&key, now, 3 * DAY);
        let calls: Vec<u64> = curve.steps.iter().map(|(_, counts)| counts.calls).collect();
        assert_eq!((curve.step, calls.len()), (HOUR, 73));
        assert!(calls[..72].iter().all(|calls| *calls == 60), "{calls:?}");
        assert_eq!(calls[72], 30 + 600);
        assert_eq!(
            rollups.curve(&Key::gateway(), now, 2 * DAY).steps.iter().filter(|(_, c)| !c.is_empty()).count(),
            0
        );
        assert_eq!(rollups.curve(&key, now, 60 * DAY).step, 6 * HOUR);
        assert!(rollups.figures().iter().all(|figure| figure.value == 0));
    }

    #[test]
    fn a_disk_that_refuses_is_told_and_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("telemetry"), "a file where the folder is to be").unwrap();
        let rollups = start(folder.path(), 30);
        let key = Key::gateway();
        rollups.add(START, &one(&key));
        rollups.add(START + HOUR, &one(&key));
        close(&rollups);
        let told = rollups.figures().map(|figure| figure.value);
        assert_eq!(told, [2, 1]);
        assert_eq!(rollups.curve(&key, START + HOUR, DAY).steps.len(), 24);
    }
}
