//! Bodies that are made others by programs of jq, and answers that are made of templates, apart from the workers: a worker waits
//! for its answer and does other things meanwhile.
//!
//! A few threads for the whole process, with a bounded queue before them. Whoever waits longer than the program may take gets
//! a refusal, and the program is told to end, as it is when nobody waits any more. Must never let a body pass as it was.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http1::Framing;
use shape::jq::Room;
use shape::{Misfit, Plan, shaped};
use tokio::sync::oneshot;

use super::Exchange;
use crate::fault::Fault;

/// Bodies that wait.
const QUEUE: usize = 64;
/// Threads at most; there are no more than there are cores.
const MOST_THREADS: usize = 4;
/// Stack of each. What of it no program has used takes no memory.
const STACK: usize = 512 * 1024 * 1024;

/// A piece of work that may take long.
type Work = Box<dyn FnOnce(&Arc<AtomicBool>) + Send>;

struct Job {
    work: Work,
    stop: Arc<AtomicBool>,
}

/// Tells the program to end when nobody waits for it any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes another body of a whole one, by a plan with programs.
///
/// # Errors
/// It does not fit, a program makes nothing of it, or nobody could do it in time.
pub async fn made(plan: Plan, body: Vec<u8>) -> Result<Vec<u8>, Misfit> {
    let Some(time) = plan.time() else { return shaped(&plan, &body) };
    apart(time, move |stop| Room::new(STACK, stop.clone()).with(|| shaped(&plan, &body))).await?
}

/// Does work that may take long, within this time. It is told to end when nobody waits for it any more.
///
/// # Errors
/// It panicked, or nobody could do it in time.
pub async fn apart<T: Send + 'static>(
    time: Duration,
    work: impl FnOnce(&Arc<AtomicBool>) -> T + Send + 'static,
) -> Result<T, Misfit> {
    let (tell, told) = oneshot::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let waiting = Waiting(stop.clone());
    let work = Box::new(move |stop: &Arc<AtomicBool>| {
        let made = work(stop);
        // Who asked may have gone meanwhile.
        let _ = tell.send(made);
    });
    let queue = threads().ok_or(Misfit::Busy)?;
    queue.try_send(Job { work, stop }).map_err(|_| Misfit::Busy)?;
    let made = tokio::time::timeout(time, told).await;
    drop(waiting);
    match made {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(_)) => Err(Misfit::Program("the program fails")),
        Err(_) => Err(Misfit::Spent("the program takes longer than it may")),
    }
}

/// The same for the whole body of an answer, whose new length its head then tells.
///
/// # Errors
/// As [`made`], as a fault of the service.
pub async fn made_answer(plan: Plan, exchange: &mut Exchange, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let made = made(plan, body).await.map_err(Fault::AnswerUnfit)?;
    // What is coded on its way out has another length.
    if exchange.coat.is_none() {
        exchange.response.framing = Framing::Length(made.len() as u64);
    }
    Ok(made)
}

/// What leads to the threads; none where they could not be started.
fn threads() -> Option<&'static SyncSender<Job>> {
    static THREADS: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let start = || {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let started = (0..cores.min(MOST_THREADS)).filter_map(|_| {
            let jobs = jobs.clone();
            let thread = std::thread::Builder::new().name("programs".to_owned()).stack_size(STACK);
            thread
                .spawn(move || {
                    while let Some(job) = next(&jobs) {
                        run(job)
                    }
                })
                .ok()
        });
        (started.count() > 0).then_some(queue)
    };
    THREADS.get_or_init(start).as_ref()
}

/// One of the threads waits for work, the others for it.
fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn run(Job { work, stop }: Job) {
    if !stop.load(Ordering::Relaxed) {
        // Whoever waits learns of a panic by the answer that does not come; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| work(&stop)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use shape::{Format, Jq, Limits, Op, Program};

    use super::*;

    fn plan(text: &str, time: Duration) -> Plan {
        let jq = Jq::compile(text, shape::jq::MOST_STEPS, time).unwrap();
        let program = Arc::new(Program::compile(&[Op::Jq(Arc::new(jq))], false).unwrap());
        let programs = vec![(program, Arc::from([]))];
        Plan { programs, from: Format::Json, to: Format::Json, coding: None, limits: Limits::default() }
    }

    #[test]
    fn bodies_are_made_apart_and_in_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let long = Duration::from_secs(60);
            let body = || br#"[{"a":1},{"a":2}]"#.to_vec();
            assert_eq!(made(plan("map(.a) | add", long), body()).await, Ok(b"3".to_vec()));
            let over = Err(Misfit::Spent("the program takes longer than it may"));
            assert_eq!(made(plan("def f: f; f", Duration::ZERO), body()).await, over);
            assert_eq!(
                made(plan("error", long), body()).await,
                Err(Misfit::Program("the program refuses the document"))
            );
        });
    }
}
