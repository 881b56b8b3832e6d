//! The control side: holds the running gateway and its configuration, and changes the one for the other.
//!
//! The order of a change: read, parse, compile, resolve, bind, swap, let go what is gone. Whatever fails before the
//! swap changes nothing and says so in log, metric and readiness.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access::{Access, Caller};
use super::audit::Audit;
use super::changes::Changes;
use super::notices::Notices;
use super::notify::Notify;
use super::rollups::Rollups;
pub use super::source::Source;
use super::telemetry::Telemetry;
use crate::accept::{Gateway, Inherited};
use crate::config::{Config, Diagnostics, Loaded};
use crate::identity::Keeper;
use crate::observe;
use crate::snapshot::Snapshot;
use crate::snapshot::canary::Canary;
use crate::snapshot::live::Live;
use crate::upstream::health::monitor::Monitor;
use crate::upstream::resolve::{DnsTimes, Resolver};

/// Why a change did not take place.
#[derive(Debug)]
pub enum Refused {
    /// The configuration has faults.
    Faults(Box<Diagnostics>),
    /// A listener cannot be bound.
    Bind(crate::accept::BindError),
    /// The compiler panicked, which is a fault of the gateway's.
    Broken,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Faults(faults) => f.write_str(faults.render(false).trim_end()),
            Refused::Bind(error) => error.fmt(f),
            Refused::Broken => {
                f.write_str("the configuration could not be compiled because of a fault in the gateway")
            }
        }
    }
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The configuration means the same as before.
    Unchanged(u64),
    /// This revision runs now.
    Applied(u64),
}

/// The last change that was tried.
struct State {
    config: Arc<Config>,
    paths: Vec<PathBuf>,
    refused: Option<String>,
}

/// What the admin address keeps besides: who may ask, what was asked, what was changed.
pub struct Records {
    /// Who may ask.
    pub access: Access,
    /// What was asked for.
    pub audit: Audit,
    /// Changes of the configuration.
    pub changes: Changes,
    /// Sums of each hour, where they are kept.
    pub rollups: Option<Rollups>,
}

/// The running gateway and its configuration.
pub struct Control {
    /// The workers and listeners.
    pub gateway: Gateway,
    /// Where the configuration comes from.
    pub source: Source,
    /// When the gateway started.
    pub started: Instant,
    /// What systemd is told.
    pub notify: Notify,
    /// What people are told.
    pub notices: Notices,
    /// What was counted in the last day.
    pub telemetry: Telemetry,
    /// Who may ask the admin API.
    pub access: Access,
    /// What was asked for over it.
    pub audit: Audit,
    /// Changes of the configuration.
    pub changes: Changes,
    resolver: tokio::sync::Mutex<Resolver>,
    monitor: Mutex<Monitor>,
    keeper: Mutex<Keeper>,
    state: Mutex<State>,
    draining: AtomicBool,
    succeeded: AtomicBool,
    /// Told when the files of certificates are to be looked at.
    pub certificates: tokio::sync::Notify,
}

impl Control {
    /// Starts the gateway with a configuration that was compiled.
    pub async fn start(
        source: Source,
        loaded: Loaded,
        snapshot: Snapshot,
        observe: Arc<observe::Shared>,
        workers: usize,
        records: Records,
        inherited: &mut Inherited,
    ) -> Result<Control, crate::accept::BindError> {
        let mut resolver = Resolver::new(workers);
        resolver.adopt(&snapshot.services, dns_times(&loaded.config)).await;
        let mut keeper = Keeper::default();
        keeper.adopt(&snapshot.kept);
        observe.totals.configured(snapshot.revision);
        let mut monitor = Monitor::default();
        monitor.adopt(&snapshot.services);
        let gateway = Gateway::start(Live::new(Arc::new(snapshot), observe, workers), inherited)?;
        let state = State { config: Arc::new(loaded.config), paths: loaded.paths, refused: None };
        let Records { access, audit, changes, rollups } = records;
        Ok(Control {
            gateway,
            source,
            started: Instant::now(),
            notify: Notify::from_environment(),
            notices: Notices::default(),
            telemetry: Telemetry::new(rollups),
            access,
            audit,
            changes,
            resolver: tokio::sync::Mutex::new(resolver),
            monitor: Mutex::new(monitor),
            keeper: Mutex::new(keeper),
            state: Mutex::new(state),
            draining: AtomicBool::new(false),
            succeeded: AtomicBool::new(false),
            certificates: tokio::sync::Notify::new(),
        })
    }

    /// Reads the configuration again and lets it run. One at a time; the others wait.
    pub async fn reload(self: &Arc<Self>) -> Result<Reloaded, Refused> {
        let mut resolver = self.resolver.lock().await;
        if self.is_draining() {
            return Ok(Reloaded::Unchanged(self.gateway.live.snapshot().revision));
        }
        let outcome = self.try_reload(&mut resolver).await;
        self.certificates.notify_one();
        let mut state = self.state();
        match &outcome {
            Ok(_) => state.refused = None,
            Err(refused) => {
                state.refused = Some(refused.to_string());
                self.gateway.live.observe.totals.reload_failed();
            }
        }
        outcome
    }

    async fn try_reload(self: &Arc<Self>, resolver: &mut Resolver) -> Result<Reloaded, Refused> {
        let control = self.clone();
        // Thousands of routes take their time: the admin address goes on answering meanwhile.
        let compiled = tokio::task::spawn_blocking(move || control.compile_next()).await;
        let (loaded, snapshot) =
            compiled.map_err(|_| Refused::Broken)?.map_err(|faults| Refused::Faults(Box::new(faults)))?;
        let running = self.gateway.live.snapshot().revision;
        let config = Arc::new(loaded.config);
        let known = self.gateway.live.snapshot();
        // Files of identities may have changed where no word of the configuration did.
        let ids = |snapshot: &Snapshot| snapshot.identities.iter().map(|one| one.id).collect::<Vec<_>>();
        if *self.state().config == *config && ids(&known) == ids(&snapshot) {
            self.state().paths = loaded.paths;
            return Ok(Reloaded::Unchanged(running));
        }
        self.warn_of_what_stays(&config);
        let revision = snapshot.revision;
        let kept = snapshot.kept.clone();
        resolver.adopt(&snapshot.services, dns_times(&config)).await;
        self.telemetry.note(self);
        if let Err(error) = self.gateway.apply(Arc::new(snapshot)) {
            let times = dns_times(&self.config());
            resolver.adopt(&self.gateway.live.snapshot().services, times).await;
            return Err(Refused::Bind(error));
        }
        // After the swap: whoever asks meanwhile for keys that nobody fetches yet is told that they are not there.
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).adopt(&kept);
        self.monitor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .adopt(&self.gateway.live.snapshot().services);
        self.gateway.live.observe.totals.configured(revision);
        let mut state = self.state();
        (state.config, state.paths) = (config, loaded.paths);
        Ok(Reloaded::Applied(revision))
    }

    /// Lets something be on trial, or nothing any more. Must be called on the control runtime.
    pub fn try_out(&self, canary: Option<Arc<Canary>>) {
        let running = self.gateway.live.snapshot();
        let kept = match &canary {
            Some(canary) => running.kept.with(&canary.snapshot.kept),
            None => running.kept.clone(),
        };
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).adopt(&kept);
        self.gateway.live.try_out(canary);
    }

    fn compile_next(&self) -> Result<(Loaded, Snapshot), Diagnostics> {
        let live = &self.gateway.live;
        let running = live.snapshot();
        self.source.compile(running.revision.saturating_add(1), Some(&running), live.workers)
    }

    /// Some settings are taken once, when the process starts.
    fn warn_of_what_stays(&self, next: &Config) {
        let config = self.config();
        for (setting, changed) in [
            ("workers", config.workers != next.workers),
            ("admin.listen", config.admin.listen != next.admin.listen),
            ("admin.socket_mode", config.admin.socket_mode != next.admin.socket_mode),
            ("admin.state", config.admin.state != next.admin.state),
            ("admin.rollups", config.admin.rollups != next.admin.rollups),
            ("log", config.log != next.log),
        ] {
            if changed {
                tracing::warn!("`{setting}` changed: that takes effect at the next start");
            }
        }
    }

    /// The configuration that runs, as written.
    pub fn config(&self) -> Arc<Config> {
        self.state().config.clone()
    }

    /// Writes into the audit log what somebody did, and what came of it.
    pub fn note_done(&self, who: &Caller, what: &str, about: serde_json::Value, result: &str) {
        if let Err(error) = self.audit.add(who, what, about, result) {
            tracing::error!(who = %who.name, what, result, "the audit log cannot be written: {error}");
        }
    }

    /// The files that the running configuration was read from.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().paths.clone()
    }

    /// Why the last reload was refused, if it was.
    pub fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    /// Whether the gateway is ending.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Lets no configuration be changed until the guard is dropped.
    pub async fn hold(&self) -> impl Sized + '_ {
        self.resolver.lock().await
    }

    /// How long a new process may take until it serves.
    pub fn handover_time(&self) -> Duration {
        self.config().drain.handover.get()
    }

    /// What runs, in one line.
    pub fn summary(&self) -> String {
        let addresses: Vec<String> = self
            .gateway
            .listeners()
            .iter()
            .map(|(name, address, _)| format!("{name} on {address}"))
            .collect();
        format!("revision {}, {}", self.gateway.live.snapshot().revision, addresses.join(", "))
    }

    /// Whether clients are served at the addresses of this gateway: by this process, or by one that has taken over.
    pub fn is_ready(&self) -> bool {
        !self.is_draining() || self.succeeded.load(Ordering::Acquire)
    }

    /// From now on nothing is changed, and the readiness fails unless another process has taken over.
    pub fn begin_drain(&self, succeeded: bool) {
        self.succeeded.store(succeeded, Ordering::Release);
        self.draining.store(true, Ordering::Release);
    }

    /// How the gateway ends: time for what is under way, and the spread of closing what rests.
    pub fn drain_times(&self) -> (Duration, Duration) {
        let drain = &self.config().drain;
        (drain.timeout.get(), drain.spread.get())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dns_times(config: &Config) -> DnsTimes {
    let dns = &config.dns;
    DnsTimes {
        min_ttl: dns.min_ttl.get(),
        max_ttl: dns.max_ttl.get(),
        keep_last_good: dns.keep_last_good.get(),
    }
}
