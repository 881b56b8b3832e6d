//! The control side: holds the running gateway and its configuration, and changes the one for the other.
//!
//! The order of a change: read, parse, compile, resolve, bind, swap, let go what is gone. Whatever fails before the
//! swap changes nothing and says so in log, metric and readiness.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::notify::Notify;
use super::telemetry::Telemetry;
use crate::accept::{Gateway, Inherited};
use crate::config::{self, Config, Diagnostics, Environment, Known, Loaded};
use crate::identity::Keeper;
use crate::observe;
use crate::policies;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::compile;
use crate::snapshot::live::Live;
use crate::upstream::health::monitor::Monitor;
use crate::upstream::resolve::{DnsTimes, Resolver};

/// Where the configuration comes from.
#[derive(Clone)]
pub enum Source {
    /// A file, or a folder of files.
    Path(PathBuf),
    /// A text with variables of its own: `run --to`, the demo.
    Text {
        /// Stands for the file in messages.
        name: String,
        /// The configuration.
        text: String,
        /// Variables, before those of the process.
        variables: BTreeMap<String, String>,
    },
}

struct Variables<'a>(&'a BTreeMap<String, String>);

impl Environment for Variables<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned().or_else(|| config::System.variable(name))
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        config::System.file(path)
    }
}

impl Source {
    /// Reads and checks the configuration as written.
    pub fn load(&self) -> Result<Loaded, Diagnostics> {
        let names: Vec<&str> = policies::LIST.iter().map(|kind| kind.name).collect();
        let known = Known { policies: &names };
        match self {
            Source::Path(path) => config::load(path, &config::System, &known),
            Source::Text { name, text, variables } => {
                config::load_text(name, text.as_str(), &Variables(variables), &known)
            }
        }
    }

    /// Reads, checks and compiles. The diagnostics are the warnings, or all the faults.
    pub fn compile(
        &self,
        revision: u64,
        previous: Option<&Snapshot>,
        workers: usize,
    ) -> Result<(Loaded, Snapshot), Diagnostics> {
        let mut loaded = self.load()?;
        match compile(&loaded.config, revision, previous, workers, &mut loaded.diagnostics) {
            Some(snapshot) => {
                loaded.paths.extend(snapshot.identities.iter().flat_map(|identity| identity.paths.all()));
                Ok((loaded, snapshot))
            }
            None => Err(loaded.diagnostics),
        }
    }
}

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
#[derive(Default)]
struct State {
    config: Option<Arc<Config>>,
    paths: Vec<PathBuf>,
    refused: Option<String>,
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
    /// What was counted in the last day.
    pub telemetry: Telemetry,
    resolver: tokio::sync::Mutex<Resolver>,
    monitor: Mutex<Monitor>,
    keeper: Mutex<Keeper>,
    state: Mutex<State>,
    draining: AtomicBool,
    /// Told when the files of certificates are to be looked at.
    pub certificates: tokio::sync::Notify,
    admin_wanted: Option<std::net::SocketAddr>,
}

impl Control {
    /// Starts the gateway with a configuration that was compiled.
    pub async fn start(
        source: Source,
        loaded: Loaded,
        snapshot: Snapshot,
        observe: Arc<observe::Shared>,
        workers: usize,
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
        let admin_wanted = match loaded.config.admin.listen {
            config::AdminListen::At(address) => Some(address.get()),
            config::AdminListen::Off => None,
        };
        let state = State { config: Some(Arc::new(loaded.config)), paths: loaded.paths, refused: None };
        Ok(Control {
            gateway,
            source,
            started: Instant::now(),
            notify: Notify::from_environment(),
            telemetry: Telemetry::new(),
            resolver: tokio::sync::Mutex::new(resolver),
            monitor: Mutex::new(monitor),
            keeper: Mutex::new(keeper),
            state: Mutex::new(state),
            draining: AtomicBool::new(false),
            certificates: tokio::sync::Notify::new(),
            admin_wanted,
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
        if self.state().config.as_deref() == Some(&*config) && ids(&known) == ids(&snapshot) {
            self.state().paths = loaded.paths;
            return Ok(Reloaded::Unchanged(running));
        }
        self.warn_of_what_stays(&config);
        let revision = snapshot.revision;
        let kept = snapshot.kept.clone();
        resolver.adopt(&snapshot.services, dns_times(&config)).await;
        self.telemetry.note(self);
        if let Err(error) = self.gateway.apply(Arc::new(snapshot)) {
            let before = self.state().config.clone();
            let times = before.as_deref().map_or_else(|| dns_times(&config), dns_times);
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
        (state.config, state.paths) = (Some(config), loaded.paths);
        Ok(Reloaded::Applied(revision))
    }

    fn compile_next(&self) -> Result<(Loaded, Snapshot), Diagnostics> {
        let live = &self.gateway.live;
        let running = live.snapshot();
        self.source.compile(running.revision.saturating_add(1), Some(&running), live.workers)
    }

    /// Some settings are taken once, when the process starts.
    fn warn_of_what_stays(&self, next: &Config) {
        let state = self.state();
        let Some(config) = &state.config else { return };
        for (setting, changed) in [
            ("workers", config.workers != next.workers),
            ("admin", config.admin != next.admin),
            ("log", config.log != next.log),
        ] {
            if changed {
                tracing::warn!("`{setting}` changed: that takes effect at the next start");
            }
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
        let state = self.state();
        let drain = state.config.as_ref().map(|config| config.drain.clone()).unwrap_or_default();
        drain.handover.get()
    }

    /// The admin address as the configuration of the start had it.
    pub fn admin_wanted(&self) -> Option<std::net::SocketAddr> {
        self.admin_wanted
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

    /// Lets the readiness fail from now on.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// How the gateway ends: time for what is under way, and the spread of closing what rests.
    pub fn drain_times(&self) -> (Duration, Duration) {
        let state = self.state();
        let drain = state.config.as_ref().map(|config| config.drain.clone()).unwrap_or_default();
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
