//! Workers, listeners, accepting, draining: the running gateway as the control side sees it.
//!
//! Takes snapshots; gives every worker the sockets of what they listen on, and lets go what is no longer wanted. The
//! same sockets can be offered to another process, which then accepts from them in the place of this one.

mod admission;
pub mod connection;
mod handshake;
mod http2;
pub mod listener;
pub mod sockets;
pub mod thread;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::observe::Connections;
use crate::snapshot::Snapshot;
use crate::snapshot::live::Live;
pub use sockets::{BindError, Inherited, Offered, OfferedFile};
use sockets::{Fresh, bind_new};
use thread::Command;

/// The workers and what they listen on.
pub struct Gateway {
    /// What the control side and the workers share.
    pub live: Arc<Live>,
    workers: Vec<WorkerThread>,
    bound: Mutex<HashMap<Arc<str>, Bound>>,
    leaving: Mutex<Vec<Arc<Connections>>>,
    everywhere: Arc<AtomicUsize>,
}

struct WorkerThread {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<io::Result<()>>,
}

struct Bound {
    wanted: SocketAddr,
    actual: SocketAddr,
    connections: Arc<Connections>,
    held: Vec<TcpListener>,
    kept: bool,
}

impl Gateway {
    /// Starts the workers and listens, on inherited sockets as far as there are any. On failure nothing is left behind.
    pub fn start(live: Arc<Live>, inherited: &mut Inherited) -> Result<Gateway, BindError> {
        let mut fresh = bind_new(&live.snapshot(), &HashMap::new(), live.workers, inherited)?;
        let mut workers = Vec::new();
        for index in 0..live.workers {
            let (commands, received) = mpsc::unbounded_channel();
            let shared = live.clone();
            let run = move || thread::run(index, shared, received);
            let named = std::thread::Builder::new().name(format!("worker-{index}"));
            match named.spawn(run) {
                Ok(thread) => workers.push(WorkerThread { commands, thread }),
                Err(error) => tracing::error!(error = %error, "cannot start worker {index}"),
            }
        }
        let gateway = Gateway {
            live,
            workers,
            bound: Mutex::default(),
            leaving: Mutex::default(),
            everywhere: Arc::default(),
        };
        gateway.listen(&mut fresh);
        Ok(gateway)
    }

    /// Lets another snapshot run: binds what is new, swaps, then lets go what is gone. Fails before the swap or not
    /// at all.
    pub fn apply(&self, next: Arc<Snapshot>) -> Result<(), BindError> {
        let mut fresh = {
            let bound = self.bound();
            bind_new(&next, &bound, self.live.workers, &mut Inherited::default())?
        };
        let gone: Vec<Arc<str>> =
            self.bound().keys().filter(|name| next.listener(name).is_none()).cloned().collect();
        self.live.swap(next);
        self.listen(&mut fresh);
        for name in gone {
            if let Some(bound) = self.bound().remove(&name) {
                self.leaving().push(bound.connections);
            }
            self.tell_all(|| Command::Unlisten(name.clone()));
        }
        Ok(())
    }

    /// Where a listener really listens.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.bound().get(listener).map(|bound| bound.actual)
    }

    /// The listeners with their addresses and counters, by name.
    pub fn listeners(&self) -> Vec<(Arc<str>, SocketAddr, Arc<Connections>)> {
        let bound = self.bound();
        let mut all: Vec<_> = bound
            .iter()
            .map(|(name, bound)| (name.clone(), bound.actual, bound.connections.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Connections of all listeners, and of those that a reload took away.
    pub fn active(&self) -> usize {
        let open = |connections: &Arc<Connections>| connections.active.load(Ordering::Relaxed);
        let mut leaving = self.leaving();
        leaving.retain(|connections| open(connections) > 0);
        let left: usize = leaving.iter().map(open).sum();
        self.listeners().iter().map(|(.., connections)| open(connections)).sum::<usize>().saturating_add(left)
    }

    /// The sockets of all listeners, to be offered to another process.
    pub fn offer(&self) -> io::Result<Vec<Offered>> {
        let bound = self.bound();
        let sockets =
            bound.iter().flat_map(|(name, bound)| bound.held.iter().map(move |held| (name, bound, held)));
        let offered = sockets.map(|(name, bound, held)| {
            let (name, wanted) = (name.to_string(), Some(bound.wanted));
            Ok(Offered { name, wanted, kept: bound.kept, socket: held.try_clone()? })
        });
        offered.collect()
    }

    /// Whether every worker answers within a time: one that does not hangs, or has not started.
    pub fn answers(&self, within: Duration) -> bool {
        all_answer(self.workers.iter().map(|worker| &worker.commands), within)
    }

    /// Accepts no more, closes resting connections spread over a time, and waits until all are gone or the deadline
    /// has passed. True when all were gone. Connections that still wait to be accepted are taken too, but for those at
    /// the listeners `left` to another process.
    pub fn drain(
        &self,
        left: &[String],
        spread: Duration,
        deadline: Instant,
        hurry: &dyn Fn() -> bool,
    ) -> bool {
        self.live.drain(spread);
        let mut leave: HashSet<Arc<str>> = left.iter().map(|name| name.as_str().into()).collect();
        for (name, bound) in self.bound().iter_mut() {
            // Held any longer, a socket would go on taking connections that nobody accepts.
            bound.held.clear();
            if bound.kept {
                leave.insert(name.clone());
            }
        }
        let leave = Arc::new(leave);
        self.tell_all(|| Command::Drain { leave: leave.clone() });
        while self.active() > 0 && Instant::now() < deadline && !hurry() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.active() == 0
    }

    /// Ends the workers, and waits a moment for them.
    pub fn stop(&self) {
        self.tell_all(|| Command::Stop);
        let patience = Instant::now() + thread::LAST_MOMENT;
        while self.workers.iter().any(|worker| !worker.thread.is_finished()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connections>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            let _ = worker.commands.send(command());
        }
    }

    /// Hands fresh sockets to the workers.
    fn listen(&self, fresh: &mut Vec<Fresh>) {
        let mut bound = self.bound();
        for Fresh { name, wanted, actual, sockets, held, kept } in fresh.drain(..) {
            let connections = match bound.get(&name) {
                Some(old) => old.connections.clone(),
                None => Arc::new(Connections::among(&self.everywhere)),
            };
            for (worker, sockets) in self.workers.iter().zip(sockets) {
                let command =
                    Command::Listen { name: name.clone(), sockets, connections: connections.clone() };
                let _ = worker.commands.send(command);
            }
            bound.insert(name, Bound { wanted, actual, connections, held, kept });
        }
    }
}

/// Whether everybody who is asked answers within a time.
fn all_answer<'w>(
    workers: impl Iterator<Item = &'w mpsc::UnboundedSender<Command>>,
    within: Duration,
) -> bool {
    let (answer, answers) = std::sync::mpsc::channel();
    let asked: Vec<bool> =
        workers.map(|worker| worker.send(Command::Answer(answer.clone())).is_ok()).collect();
    drop(answer);
    let until = Instant::now() + within;
    let wait = || answers.recv_timeout(until.saturating_duration_since(Instant::now()));
    !asked.is_empty() && asked.iter().all(|heard| *heard && wait().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(hangs: bool) -> mpsc::UnboundedSender<Command> {
        let (commands, mut received) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Some(command) = received.blocking_recv() {
                match command {
                    Command::Answer(answer) if !hangs => drop(answer.send(())),
                    command => std::mem::forget(command),
                }
            }
        });
        commands
    }

    #[test]
    fn one_worker_that_hangs_is_noticed() {
        let (good, bad) = ([worker(false), worker(false)], [worker(false), worker(true)]);
        assert!(all_answer(good.iter(), Duration::from_secs(10)));
        assert!(!all_answer(bad.iter(), Duration::from_millis(50)));
        assert!(!all_answer([].iter(), Duration::from_secs(10)), "a gateway without workers does not live");
    }
}
