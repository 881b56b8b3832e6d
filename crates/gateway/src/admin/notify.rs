//! What systemd is told (`sd_notify(3)`): ready, reloading, stopping, alive, and who serves now.
//!
//! Says nothing where nobody asked (`NOTIFY_SOCKET`). A word that does not get through is logged and changes nothing.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where systemd listens.
pub struct Notify {
    told: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the variables of the process say.
    pub fn from_environment() -> Notify {
        let variable = |name: &str| std::env::var(name).ok();
        let own = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").filter(|_| own).and_then(|micros| micros.parse().ok());
        let told = variable("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(told) => Some(told),
            Err(error) => {
                tracing::warn!(error = %error, path, "cannot speak to NOTIFY_SOCKET");
                None
            }
        });
        Notify { watchdog: watchdog.filter(|_| told.is_some()).map(Duration::from_micros), told }
    }

    /// How often the process must say that it lives, if it must.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|time| !time.is_zero())
    }

    /// The gateway serves this revision.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// It reads its configuration anew. The time is needed: without it systemd cannot tell this reload from an earlier
    /// one and waits for ever.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration"));
    }

    /// It ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// It lives.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Another process serves in its place.
    pub fn succeeded_by(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}"));
    }

    fn send(&self, text: &str) {
        let Some((socket, address)) = &self.told else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!(error = %error, "systemd was not told");
        }
    }
}

/// A leading `@` stands for the abstract namespace.
fn open(path: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None if path.starts_with('/') => SocketAddr::from_pathname(path)?,
        None => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name"));
        }
    };
    let socket = UnixDatagram::unbound()?;
    // systemd that does not read must not hold the gateway up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(500).collect()
}
