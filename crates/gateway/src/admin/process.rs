//! One gateway process from its first configuration to its end: starting, signals, draining.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::access::{Access, Fresh};
use super::address::{self, AdminAddress, AdminSocket};
use super::audit::Audit;
use super::changes::Changes;
use super::connections::Socket;
use super::control::{Control, Records, Source};
use super::handover::{self, Goods, HandedOver, Program};
use super::pages::reload_and_tell;
use super::rollups::Rollups;
use super::signals::{Asked, Signals};
use super::state_folder;
use super::{telemetry, watch, watchdog};
use crate::accept::Inherited;
use crate::config::{self, AdminListen, Config, Diagnostics, Workers};
use crate::observe::access_log::{AccessLog, LogSettings, LogTarget};
use crate::observe::line::LineFormat;
use crate::observe::redact::Redaction;
use crate::observe::{Samples, Shared, Tracer};
use crate::tls::tickets::Handed;

/// Time for the workers to begin: a machine that is starved of processor time is slow, and no reason not to serve.
const BEGINNING: Duration = Duration::from_secs(60);
/// Time for the last answers of the admin address, once another process has it.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
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
    pub admin: Option<AdminAddress>,
    observe: Arc<Shared>,
    signals: Signals,
    program: Option<Program>,
    fresh: Option<Fresh>,
    admin_socket: Option<AdminSocket>,
    admin_end: Option<oneshot::Sender<()>>,
    admin_served: Option<JoinHandle<()>>,
}

/// How a process starts besides its configuration.
#[derive(Default)]
pub struct Start<'a> {
    /// Where the addresses are written once it serves.
    pub ready_file: Option<&'a Path>,
    /// Sockets that others opened.
    pub inherited: Option<&'a mut Inherited>,
    /// Keys that sessions of clients were sealed by before.
    pub tickets: Vec<Handed>,
    /// How it is started again to hand over, if it may.
    pub program: Option<Program>,
}

/// Why a process no longer accepts.
enum End {
    /// It was asked to end.
    Asked,
    /// Another one serves in its place.
    HandedOver(HandedOver),
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
    pub async fn start(source: Source, start: Start<'_>) -> Result<Process, StartError> {
        let signals =
            Signals::new().map_err(|error| StartError::System(format!("cannot hear signals: {error}")))?;
        let mut nothing = Inherited::default();
        let inherited = start.inherited.unwrap_or(&mut nothing);
        let (loaded, snapshot, workers) = load(&source)?;
        for handed in &start.tickets {
            let listener = snapshot.listener(&handed.listener);
            listener.and_then(|listener| Some(listener.tls.as_ref()?.tickets().adopt(handed)));
        }
        let seen = match &source {
            Source::Path(path) => Some(watch::state(path, &loaded.paths)),
            Source::Text { .. } => None,
        };
        raise_descriptor_limit();
        let observe = open_observe(&loaded.config, workers)?;
        let admin = AdminSocket::open(&loaded.config.admin, inherited)?;
        let (records, fresh) = open_records(&source, &loaded.config)?;
        let control = Control::start(source, loaded, snapshot, observe.clone(), workers, records, inherited)
            .await
            .map_err(|error| StartError::Bind(error.to_string()))?;
        let control = Arc::new(control);
        let (admin_end, ended) = oneshot::channel();
        let mut process = Process {
            control: control.clone(),
            admin: admin.as_ref().map(|socket| socket.address.clone()),
            observe,
            signals,
            program: start.program,
            fresh,
            admin_socket: None,
            admin_end: Some(admin_end),
            admin_served: None,
        };
        if let Some(socket) = admin {
            telemetry::start(&control)
                .map_err(|error| StartError::System(format!("cannot start a thread: {error}")))?;
            process.serve_admin(socket, ended)?;
        }
        if let Some(seen) = seen {
            tokio::spawn(watch::run(control.clone(), seen));
        }
        tokio::spawn(super::certificates::run(control.clone()));
        tokio::spawn(super::acme::run(control.clone()));
        attend(&control)?;
        let began = control.clone();
        if !tokio::task::spawn_blocking(move || began.gateway.answers(BEGINNING)).await.unwrap_or(false) {
            return Err(StartError::System("a worker does not begin".into()));
        }
        if let Some(path) = start.ready_file {
            let written = process.write_ready_file(path);
            written
                .map_err(|error| StartError::System(format!("cannot write {}: {error}", path.display())))?;
        }
        process.announce();
        control.notify.ready(&control.summary());
        tokio::spawn(watchdog::run(control));
        Ok(process)
    }

    fn serve_admin(&mut self, socket: AdminSocket, ended: oneshot::Receiver<()>) -> Result<(), StartError> {
        let told = |error| StartError::Bind(format!("the admin address cannot be served: {error}"));
        self.admin_socket = Some(socket.try_clone().map_err(told)?);
        let listener = Socket::new(socket.listener).map_err(told)?;
        let end = async {
            // Without a word it answers until the process ends.
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        self.admin_served = Some(tokio::spawn(super::serve(listener, self.control.clone(), end)));
        Ok(())
    }

    fn announce(&self) {
        let snapshot = self.control.gateway.live.snapshot();
        for (name, address, _) in self.control.gateway.listeners() {
            let secure = snapshot.listener(&name).is_some_and(|listener| listener.tls.is_some());
            tracing::info!("listener {name} on {}://{address}", if secure { "https" } else { "http" });
        }
        if let Some(admin) = &self.admin {
            tracing::info!("admin on {admin}");
            if matches!(admin, AdminAddress::At(address) if !address.ip().is_loopback()) {
                tracing::warn!(
                    "the admin address can be reached from other machines: tokens and answers travel unencrypted"
                );
            }
        }
        let counted = |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let routes = counted(snapshot.written, "route");
        let workers = counted(self.control.gateway.live.workers, "worker");
        tracing::info!("ready: revision {}, {routes}, {workers}", snapshot.revision);
    }

    fn write_ready_file(&self, path: &Path) -> std::io::Result<()> {
        let listeners: Map<String, Value> = self
            .control
            .gateway
            .listeners()
            .into_iter()
            .map(|(name, address, _)| (name.to_string(), address.to_string().into()))
            .collect();
        let admin = self.admin.as_ref().map(AdminAddress::told);
        let text = json!({ "pid": std::process::id(), "listeners": listeners, "admin": admin }).to_string();
        // Renamed into place, so that nobody reads half of it.
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, path)
    }

    /// The token that was made at this start, if one was.
    pub fn take_token(&mut self) -> Option<Fresh> {
        self.fresh.take()
    }

    /// Serves until a signal ends it or another process has taken over, and what is under way has ended or run out of
    /// time. True when nothing was cut.
    pub async fn run(mut self) -> bool {
        let end = self.until_end().await;
        let handed_over = matches!(end, End::HandedOver(_));
        self.control.begin_drain(handed_over);
        let (timeout, spread) = self.control.drain_times();
        let left = match end {
            End::Asked => {
                self.control.notify.stopping();
                tracing::info!(timeout_seconds = timeout.as_secs(), "draining; a second signal ends at once");
                Vec::new()
            }
            End::HandedOver(HandedOver { pid, claimed }) => {
                self.control.notify.succeeded_by(pid);
                tracing::info!(pid, timeout_seconds = timeout.as_secs(), "handed over; draining");
                self.admin_end.take().map(|end| end.send(()));
                // A file that nobody took over leads nowhere.
                if let Some(socket) = self.admin_socket.take()
                    && !claimed.iter().any(|name| name == address::NAME)
                {
                    socket.remove();
                }
                claimed
            }
        };
        let hurry = Arc::new(AtomicU32::new(0));
        let (control, impatient) = (self.control.clone(), hurry.clone());
        let mut drained = tokio::task::spawn_blocking(move || {
            let deadline = Instant::now().checked_add(timeout).unwrap_or_else(Instant::now);
            let hurry = || impatient.load(Ordering::Acquire) > 0;
            control.gateway.drain(&left, spread.min(timeout), deadline, &hurry)
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
            control.telemetry.close(&control, LAST_LINES);
            let snapshot = control.gateway.live.snapshot();
            snapshot.routes.iter().flat_map(|route| &route.policies).for_each(|bound| bound.policy.close());
            observe.close(LAST_LINES);
        });
        let _ = ended.await;
        // Who was accepted at the admin address just before another process took over is still answered.
        if handed_over && let Some(served) = self.admin_served.take() {
            let _ = tokio::time::timeout(LAST_ANSWERS, served).await;
        }
        self.admin_socket.iter().for_each(AdminSocket::remove);
        tracing::info!(clean, "ended");
        clean
    }

    async fn until_end(&mut self) -> End {
        loop {
            match self.signals.next().await {
                Asked::End => return End::Asked,
                Asked::Reload => drop(reload_and_tell(&self.control).await),
                Asked::Reopen => {
                    if let Some(log) = &self.observe.log {
                        log.reopen();
                    }
                }
                Asked::HandOver => {
                    if let Some(end) = self.hand_over().await {
                        return end;
                    }
                }
            }
        }
    }

    /// Starts the program anew and lets it take over. `None` when it did not, which changes nothing.
    async fn hand_over(&mut self) -> Option<End> {
        tracing::info!("starting a new process to take over");
        let control = self.control.clone();
        // What is listened on must not change meanwhile.
        let _held = control.hold().await;
        let ending = Arc::new(AtomicU32::new(0));
        let work = self.handover_work(ending.clone());
        let mut running = match work {
            Ok(work) => tokio::task::spawn_blocking(work),
            Err(why) => return self.stay(&why),
        };
        let outcome = loop {
            tokio::select! {
                outcome = &mut running => break outcome,
                () = self.signals.end() => ending.store(1, Ordering::Release),
            }
        };
        match outcome {
            Ok(Ok(handed)) => Some(End::HandedOver(handed)),
            Ok(Err(why)) => {
                let stays = self.stay(&why);
                if ending.load(Ordering::Acquire) > 0 { Some(End::Asked) } else { stays }
            }
            Err(error) => self.stay(&error.to_string()),
        }
    }

    fn stay(&self, why: &str) -> Option<End> {
        self.observe.totals.handover_failed();
        tracing::error!("no new process took over, this one goes on: {why}");
        None
    }

    /// What is to be done beside the control runtime: it waits.
    fn handover_work(
        &self,
        ending: Arc<AtomicU32>,
    ) -> Result<impl FnOnce() -> Result<HandedOver, String> + Send + 'static, String> {
        let program = self.program.clone().ok_or("this command cannot be handed over")?;
        if std::process::id() == 1 {
            return Err("process 1 of a container takes all others with it when it ends".into());
        }
        let mut sockets = self.control.gateway.offer().map_err(|error| error.to_string())?;
        let mut files = Vec::new();
        if let Some(socket) = &self.admin_socket {
            socket.offer(&mut sockets, &mut files).map_err(|error| error.to_string())?;
        }
        let snapshot = self.control.gateway.live.snapshot();
        let tickets = snapshot.listeners.iter();
        let tickets = tickets.filter_map(|one| Some(one.tls.as_ref()?.tickets().hand(&one.name))).collect();
        let within = self.control.handover_time();
        let goods = Goods { sockets, files, tickets };
        let give_up = move || ending.load(Ordering::Acquire) > 0;
        Ok(move || handover::hand_over(&program, goods, within, &give_up))
    }
}

/// What goes on beside the road as long as the process lives: splits that grow, the guard, the lists of others, what people are told.
fn attend(control: &Arc<Control>) -> Result<(), StartError> {
    tokio::spawn(super::splits::run(Arc::downgrade(control)));
    tokio::spawn(super::guarding::run(control.clone()));
    tokio::spawn(super::guarding::keep_lists(control.clone()));
    super::notices::start(control)
        .map_err(|error| StartError::System(format!("cannot start a thread: {error}")))
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
    let looked_at = config.admin.listen != AdminListen::Off;
    let redaction = || Redaction::new(redact.iter().map(String::as_str));
    let samples = looked_at.then(|| Samples::new(workers, redaction()));
    Ok(Shared::new(workers, log, tracer, samples))
}

/// What the admin address keeps; and the first token, if it was made just now.
fn open_records(source: &Source, config: &Config) -> Result<(Records, Option<Fresh>), StartError> {
    let looked_at = config.admin.listen != AdminListen::Off;
    let state = if looked_at { state_folder::of(source, config) } else { None };
    let state = state.as_deref();
    let (access, fresh) = Access::open(config, state.filter(|_| looked_at)).map_err(StartError::System)?;
    let audit = Audit::open(state)
        .map_err(|error| StartError::System(format!("cannot read the audit log: {error}")))?;
    let changes = Changes::open(state);
    if let Ok(text) = source.text() {
        changes.note(&text, "the file", "as it was at the start");
    }
    let rollups = open_rollups(config, state).map_err(StartError::System)?;
    Ok((Records { access, audit, changes, rollups }, fresh))
}

/// Sums of each hour, where they are to be kept.
fn open_rollups(config: &Config, state: Option<&Path>) -> Result<Option<Rollups>, String> {
    let Some(settings) = config.admin.rollups.as_ref().map(config::Rollups::settings) else {
        return Ok(None);
    };
    let Some(state) = state else {
        tracing::warn!("`admin.rollups` needs a folder: set `admin.state`; nothing is kept on disk");
        return Ok(None);
    };
    let rollups = Rollups::start(state.join("telemetry"), settings);
    rollups.map(Some).map_err(|error| format!("cannot start a thread: {error}"))
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
