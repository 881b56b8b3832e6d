//! One gateway process from its first configuration to its end: starting, signals, draining.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::control::{Control, Source};
use super::pages::reload_and_tell;
use super::watch;
use crate::config::{self, AdminListen, Config, Diagnostics, Workers};
use crate::observe::access_log::{AccessLog, LogSettings, LogTarget};
use crate::observe::line::LineFormat;
use crate::observe::redact::Redaction;
use crate::observe::{Shared, Tracer};

/// Time for log and traces to be written at the end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Why the gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration has faults.
    Faults(Box<Diagnostics>),
    /// An address cannot be listened on.
    Bind(String),
    /// The system refuses something else.
    System(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Faults(faults) => f.write_str(faults.render(false).trim_end()),
            StartError::Bind(text) | StartError::System(text) => f.write_str(text),
        }
    }
}

/// A gateway that serves.
pub struct Process {
    /// Its control side.
    pub control: Arc<Control>,
    /// Where it is looked at, if anywhere.
    pub admin: Option<std::net::SocketAddr>,
    observe: Arc<Shared>,
    signals: Signals,
}

/// Takes what the configuration says once, when the process starts: before anything else, so that faults are told
/// before anything is opened.
pub fn load(source: &Source) -> Result<(config::Loaded, crate::snapshot::Snapshot, usize), StartError> {
    // Compiling needs the number of workers, which the configuration says: it is read first for that alone.
    let workers = match source.load().map_err(|faults| StartError::Faults(Box::new(faults)))?.config.workers {
        Workers::Count(count) => usize::from(count),
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let (loaded, snapshot) =
        source.compile(1, None, workers).map_err(|faults| StartError::Faults(Box::new(faults)))?;
    Ok((loaded, snapshot, workers))
}

impl Process {
    /// Starts everything. Must be called on the control runtime.
    pub async fn start(source: Source, ready_file: Option<&Path>) -> Result<Process, StartError> {
        let signals =
            Signals::new().map_err(|error| StartError::System(format!("cannot hear signals: {error}")))?;
        let (loaded, snapshot, workers) = load(&source)?;
        let seen = match &source {
            Source::Path(path) => Some(watch::state(path, &loaded.paths)),
            Source::Text { .. } => None,
        };
        raise_descriptor_limit();
        let observe = open_observe(&loaded.config, workers)?;
        let admin = bind_admin(&loaded.config).await?;
        let control = Control::start(source, loaded, snapshot, observe.clone(), workers)
            .await
            .map_err(|error| StartError::Bind(error.to_string()))?;
        let control = Arc::new(control);
        let admin_address = admin.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = admin {
            tokio::spawn(super::serve(listener, control.clone()));
        }
        if let Some(seen) = seen {
            tokio::spawn(watch::run(control.clone(), seen));
        }
        tokio::spawn(super::certificates::run(control.clone()));
        let process = Process { control, admin: admin_address, observe, signals };
        if let Some(path) = ready_file {
            let written = process.write_ready_file(path);
            written
                .map_err(|error| StartError::System(format!("cannot write {}: {error}", path.display())))?;
        }
        process.announce();
        Ok(process)
    }

    fn announce(&self) {
        let snapshot = self.control.gateway.live.snapshot();
        for (name, address, _) in self.control.gateway.listeners() {
            let secure = snapshot.listener(&name).is_some_and(|listener| listener.tls.is_some());
            tracing::info!("listener {name} on {}://{address}", if secure { "https" } else { "http" });
        }
        if let Some(admin) = self.admin {
            tracing::info!("admin on http://{admin}");
            if !admin.ip().is_loopback() {
                tracing::warn!(
                    "the admin address can be reached from other machines: it asks for no password"
                );
            }
        }
        let (routes, workers) = (snapshot.routes.len(), self.control.gateway.live.workers);
        tracing::info!("ready: revision {}, {routes} routes, {workers} workers", snapshot.revision);
    }

    fn write_ready_file(&self, path: &Path) -> std::io::Result<()> {
        let listeners: Map<String, Value> = self
            .control
            .gateway
            .listeners()
            .into_iter()
            .map(|(name, address, _)| (name.to_string(), address.to_string().into()))
            .collect();
        let admin = self.admin.map(|admin| admin.to_string());
        let text = json!({ "pid": std::process::id(), "listeners": listeners, "admin": admin }).to_string();
        // Renamed into place, so that nobody reads half of it.
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, path)
    }

    /// Serves until a signal ends it, and what is under way has ended or run out of time. True when nothing was cut.
    pub async fn run(mut self) -> bool {
        self.until_end().await;
        self.control.begin_drain();
        let (timeout, spread) = self.control.drain_times();
        tracing::info!(timeout_seconds = timeout.as_secs(), "draining; a second signal ends at once");
        let hurry = Arc::new(AtomicU32::new(0));
        let (control, impatient) = (self.control.clone(), hurry.clone());
        let mut drained = tokio::task::spawn_blocking(move || {
            let deadline = Instant::now().checked_add(timeout).unwrap_or_else(Instant::now);
            control.gateway.drain(spread.min(timeout), deadline, &|| impatient.load(Ordering::Acquire) > 0)
        });
        let clean = loop {
            tokio::select! {
                drained = &mut drained => break drained.unwrap_or(false),
                () = self.signals.end() => hurry.store(1, Ordering::Release),
            }
        };
        let (control, observe) = (self.control.clone(), self.observe.clone());
        let ended = tokio::task::spawn_blocking(move || {
            control.gateway.stop();
            observe.close(LAST_LINES);
        });
        let _ = ended.await;
        tracing::info!(clean, "ended");
        clean
    }

    async fn until_end(&mut self) {
        loop {
            match self.signals.next().await {
                Told::End => return,
                Told::Reload => drop(reload_and_tell(&self.control).await),
                Told::Reopen => {
                    if let Some(log) = &self.observe.log {
                        log.reopen();
                    }
                }
            }
        }
    }
}

enum Told {
    End,
    Reload,
    Reopen,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.reopen.recv() => Told::Reopen,
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn open_observe(config: &Config, workers: usize) -> Result<Arc<Shared>, StartError> {
    let redact: Vec<String> = config.log.redact.iter().map(ToString::to_string).collect();
    let target = match &config.log.access {
        config::AccessLog::Stdout => LogTarget::Stdout,
        config::AccessLog::Stderr => LogTarget::Stderr,
        config::AccessLog::Off => LogTarget::Off,
        config::AccessLog::File(path) => LogTarget::File(path.clone()),
    };
    let format = match config.log.format {
        config::LogFormat::Json => LineFormat::Json,
        config::LogFormat::Text => LineFormat::Text,
    };
    let log = AccessLog::open(LogSettings { target, format, redact: redact.clone() })
        .map_err(|error| StartError::System(format!("cannot open the access log: {error}")))?;
    let tracer = Tracer::from_environment(
        |name| std::env::var(name).ok(),
        Redaction::new(redact.iter().map(String::as_str)),
    );
    Ok(Shared::new(workers, log, tracer))
}

async fn bind_admin(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let AdminListen::At(address) = config.admin.listen else { return Ok(None) };
    let bound = TcpListener::bind(address.get()).await;
    let told = |error| {
        StartError::Bind(format!(
            "the admin address cannot use {address}: {error}; set `admin: {{ listen: .. }}`"
        ))
    };
    bound.map(Some).map_err(told)
}

/// As many descriptors as the system lets this process have: each client costs two.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = raised {
        tracing::warn!(error = %error, "cannot raise the limit of open files");
    }
}
