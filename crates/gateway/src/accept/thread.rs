//! One worker: a thread with a runtime of its own, which hears of listeners over a channel.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use super::listener::{self, Stop};
use crate::http::timer::TICK;
use crate::observe::Connections;
use crate::snapshot::live::Live;
use crate::snapshot::worker::Worker;

/// Ticks between two looks at resting connections.
const SWEEP_TICKS: u32 = 25;
/// Ticks between two hand-overs of log lines.
const TELL_TICKS: u32 = 3;

/// What the control side tells a worker.
pub enum Command {
    /// Accept on these sockets, and on no others of the same name.
    Listen {
        /// The listener's name.
        name: Arc<str>,
        /// Bound and listening.
        sockets: Vec<StdListener>,
        /// Counts the listener's connections.
        connections: Arc<Connections>,
    },
    /// Accept no more on the listener of this name.
    Unlisten(Arc<str>),
    /// Accept nowhere any more.
    Drain {
        /// Listeners whose waiting connections are somebody else's.
        leave: Arc<HashSet<Arc<str>>>,
    },
    /// Say that this worker is alive.
    Answer(std::sync::mpsc::Sender<()>),
    /// End, whatever still runs.
    Stop,
}

/// Runs a worker until it is told to stop.
pub fn run(
    index: usize,
    live: Arc<Live>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(index, live));
        tokio::task::spawn_local(tick(worker.clone()));
        let mut listening = Listening::default();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen { name, sockets, connections } => {
                    listening.begin(&worker, name, sockets, &connections);
                }
                Command::Unlisten(name) => {
                    listening.end(&name, Stop::AfterQueue);
                    worker.timers.wake_all();
                }
                Command::Stop => break,
                Command::Drain { leave } => {
                    listening.end_all(&leave);
                    worker.timers.wake_all();
                }
                Command::Answer(answer) => drop(answer.send(())),
            }
        }
        worker.observer.tick();
    });
    Ok(())
}

/// The listeners of a worker, and how each is told to end.
#[derive(Default)]
struct Listening(HashMap<Arc<str>, watch::Sender<Stop>>);

impl Listening {
    fn begin(
        &mut self,
        worker: &Rc<Worker>,
        name: Arc<str>,
        sockets: Vec<StdListener>,
        connections: &Arc<Connections>,
    ) {
        let (stop, stopped) = watch::channel(Stop::No);
        for socket in sockets {
            match TcpListener::from_std(socket) {
                Ok(socket) => {
                    let (name, connections) = (name.clone(), connections.clone());
                    let accepting = listener::run(worker.clone(), name, socket, connections, stopped.clone());
                    tokio::task::spawn_local(accepting);
                }
                Err(error) => tracing::error!(error = %error, listener = %name, "cannot listen"),
            }
        }
        if let Some(old) = self.0.insert(name, stop) {
            let _ = old.send(Stop::AfterQueue);
        }
    }

    fn end(&mut self, name: &str, how: Stop) {
        if let Some(stop) = self.0.remove(name) {
            let _ = stop.send(how);
        }
    }

    fn end_all(&mut self, leave: &HashSet<Arc<str>>) {
        for (name, stop) in self.0.drain() {
            let _ = stop.send(if leave.contains(&name) { Stop::AtOnce } else { Stop::AfterQueue });
        }
    }
}

/// The worker's housekeeping.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    loop {
        interval.tick().await;
        ticks = ticks.wrapping_add(1);
        worker.tick();
        if ticks.is_multiple_of(TELL_TICKS) {
            worker.observer.tick();
        }
        if ticks.is_multiple_of(SWEEP_TICKS) {
            worker.sweep();
        }
    }
}

/// The longest a worker may take to end once its connections are gone.
pub const LAST_MOMENT: Duration = Duration::from_secs(1);
