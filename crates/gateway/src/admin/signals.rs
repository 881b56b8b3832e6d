//! Signals to the process and what each asks for.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end: `SIGTERM`, `SIGINT`.
    End,
    /// To read the configuration again: `SIGHUP`.
    Reload,
    /// To open the access log again: `SIGUSR1`.
    Reopen,
    /// To hand over to a new process: `SIGUSR2`.
    HandOver,
}

/// The signals that are heard.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
    hand_over: Signal,
}

impl Signals {
    /// Hears them from now on.
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            hand_over: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hang_up.recv() => Asked::Reload,
            _ = self.reopen.recv() => Asked::Reopen,
            _ = self.hand_over.recv() => Asked::HandOver,
        }
    }

    /// The next one that asks to end.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
