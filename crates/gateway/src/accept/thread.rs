//! One worker: a thread with a runtime of its own, which hears of listeners over a channel.

use std::collections::HashMap;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use super::listener;
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
    /// Accept on this socket.
    Listen {
        /// The listener's name.
        name: Arc<str>,
        /// A socket of this worker's own, bound and listening.
        socket: StdListener,
        /// Counts the listener's connections.
        connections: Arc<Connections>,
    },
    /// Accept no more on the listener of this name.
    Unlisten(Arc<str>),
    /// Accept nowhere any more.
    Drain,
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
        let mut listening: HashMap<Arc<str>, watch::Sender<bool>> = HashMap::new();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen { name, socket, connections } => {
                    let (stop, stopped) = watch::channel(false);
                    match TcpListener::from_std(socket) {
                        Ok(socket) => {
                            let accepting =
                                listener::run(worker.clone(), name.clone(), socket, connections, stopped);
                            tokio::task::spawn_local(accepting);
                            if let Some(old) = listening.insert(name, stop) {
                                let _ = old.send(true);
                            }
                        }
                        Err(error) => tracing::error!(error = %error, listener = %name, "cannot listen"),
                    }
                }
                Command::Unlisten(name) => {
                    if let Some(stop) = listening.remove(&name) {
                        let _ = stop.send(true);
                    }
                    worker.timers.wake_all();
                }
                Command::Stop => break,
                Command::Drain => {
                    for (_, stop) in listening.drain() {
                        let _ = stop.send(true);
                    }
                    worker.timers.wake_all();
                }
            }
        }
        worker.observer.tick();
    });
    Ok(())
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
