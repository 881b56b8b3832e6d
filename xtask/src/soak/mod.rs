//! `cargo xtask soak`: load with a reload each second, or with upgrades, while WebSockets stay open.
//! Takes seconds and numbers of clients; gives a table, and a failure if a request failed, a WebSocket was
//! dropped, a reload did not take, or memory grew.
//! It must never try a failed request again or open a dropped WebSocket anew: each is counted.

mod failing;
mod http2;
mod keys;
mod limit;
mod looking;
mod loss;
mod origin;
mod shared;
mod upgrades;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bench::contender::wait_for_ready_file;
use crate::process::Running;
use crate::websocket::WebSocket;
use crate::wire::Connection;
use crate::{Failure, workspace};

/// A reload that has not taken after this time has failed.
const RELOAD_LIMIT: Duration = Duration::from_secs(5);
/// Memory may grow by so much between the first and the last third: pages of the allocator, not a leak.
const GROWTH_SHARE: f64 = 0.05;
const GROWTH_MIB: f64 = 2.0;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long the load goes on
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Clients that send one request after another over a connection kept alive
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// WebSockets that stay open and echo a text each second
    #[arg(long, default_value_t = 50)]
    websockets: u32,
    /// Instead: kill or stop one of three targets after a third of the time, and see who notices
    #[arg(long, value_name = "HOW")]
    lose: Option<loss::Loss>,
    /// Instead: limits on one gateway, and on three that share a Redis, which is frozen for a while
    #[arg(long)]
    redis: bool,
    /// Instead: an origin that fails half of the time, one that closes connections at rest, and one that all ask for the same
    #[arg(long)]
    failing: bool,
    /// Instead: a limit that a reload changes each second
    #[arg(long)]
    limit: bool,
    /// Instead: what so many keys of a limit weigh in the memory of a gateway
    #[arg(long, value_name = "COUNT")]
    keys: Option<u64>,
    /// Instead: what it costs the gateway that somebody looks at its topology (needs Chromium and Node.js)
    #[arg(long)]
    console: bool,
    /// With `--console`: only the stream is read, so that no browser shares the cores with the gateway
    #[arg(long, requires = "console")]
    reader: bool,
    /// Requests each second, of all clients together, while a target or Redis is lost, an origin fails, a limit is changed,
    /// somebody looks or processes take over
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// Be one of the targets
    #[arg(long, hide = true)]
    origin: bool,
    /// Instead of reloading each second, let so many new processes take over, one after the other
    #[arg(long, default_value_t = 0)]
    upgrades: u32,
    /// Try this binary instead of building one
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// What is counted while it runs.
#[derive(Default)]
struct Counted {
    stop: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
    /// Of those answered, the ones over HTTP/2 and over TLS with HTTP/1.1.
    http2: AtomicU64,
    secure: AtomicU64,
    /// Requests over HTTP/2 that a farewell left out and another connection took.
    left_out: AtomicU64,
    /// Of the TLS connections with HTTP/1.1, those that took an earlier session up.
    resumed: AtomicU64,
    echoes: AtomicU64,
    dropped: AtomicU64,
    /// Of failures, the first few.
    reasons: Mutex<Vec<String>>,
}

impl Counted {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn complain(&self, counter: &AtomicU64, reason: String) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.len() < 10 {
            reasons.push(reason);
        }
    }
}

/// The gateway under load and the file it was started from.
struct Gateway {
    running: Running,
    address: SocketAddr,
    file: PathBuf,
    origin: SocketAddr,
}

impl Gateway {
    /// Runs the binary with this file until it serves; its log and its ready file lie in the folder.
    fn start(binary: &Path, folder: &Path, file: PathBuf, origin: SocketAddr) -> Result<Gateway, Failure> {
        let (log, ready) = (folder.join("gateway.log"), folder.join("ready.json"));
        let line =
            [binary.into(), "run".into(), file.clone().into(), "--ready-file".into(), ready.clone().into()];
        let mut running = Running::start("tidegate", None, &line, &log)?;
        let address = wait_for_ready_file(&mut running, &ready);
        let address =
            address.map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(Gateway { running, address, file, origin })
    }
}

/// When one client sends, so that all together send as many as they are to.
struct Pace {
    next: Instant,
    pause: Duration,
    end: Instant,
}

impl Pace {
    fn new(client: u32, options: &Options, end: Instant) -> Pace {
        Pace::of((client, options.clients), options.rate, end)
    }

    /// Of one of so many clients, who send so many a second together.
    fn of((client, clients): (u32, u32), rate: u32, end: Instant) -> Pace {
        let pause = Duration::from_secs(1) * clients / rate.max(1);
        Pace { next: Instant::now() + pause * client / clients.max(1), pause, end }
    }

    /// Waits for the next moment; false when there is none.
    fn goes_on(&mut self) -> bool {
        if self.next >= self.end {
            return false;
        }
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next = (self.next + self.pause).max(Instant::now());
        true
    }
}

/// What the reloading thread has seen.
#[derive(Default)]
struct Reloads {
    times: Vec<Duration>,
    /// Resident memory in MiB after each reload.
    resident: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    match options.lose {
        _ if options.origin => return loss::serve_as_target(),
        Some(loss) => return loss::run(loss, options),
        None if options.failing => return failing::run(options),
        None if options.redis => return shared::run(options),
        None if options.limit => return limit::run(options),
        None if options.console => return looking::run(options),
        None => {}
    }
    if let Some(keys) = options.keys {
        return keys::run(keys, options);
    }
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let gateway = start(&binary, &folder, options)?;
    if options.upgrades > 0 {
        return upgrade(gateway, &folder, options);
    }
    eprintln!("{} s of load on {}, a reload each second", options.seconds, gateway.address);
    let counted = Counted::default();
    let reloads = std::thread::scope(|scope| {
        for client in 0..options.clients {
            let (counted, address) = (&counted, gateway.address);
            scope.spawn(move || keep_asking(address, client, counted));
        }
        for nth in 0..options.websockets {
            let (counted, address) = (&counted, gateway.address);
            scope.spawn(move || keep_websocket(address, nth, counted));
        }
        let reloads = reload_each_second(&gateway, Duration::from_secs(options.seconds));
        counted.stop.store(true, Ordering::Relaxed);
        reloads
    });
    drop(gateway);
    let told = tell(&counted, &reloads?, options);
    // Kept after a failure: the gateway's own words lie there.
    if told.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    told
}

/// Upgrades under load.
fn upgrade(gateway: Gateway, folder: &Path, options: &Options) -> Result<(), Failure> {
    let (rate, address) = (options.rate, gateway.address);
    eprintln!("{} upgrades under {rate} requests per second on {address}", options.upgrades);
    let counted = Counted::default();
    let begin = Instant::now();
    let times = upgrades::run(&gateway, &folder.join("ready.json"), options, &counted)?;
    let seconds = begin.elapsed().as_secs_f64();
    drop(gateway);
    let slowest = times.iter().max().copied().unwrap_or_default();
    println!("| what | figure |\n|---|---|");
    println!("| upgrades | {}, slowest {:.0} ms until served |", times.len(), slowest.as_secs_f64() * 1e3);
    println!("| time | {seconds:.0} s |");
    tell_counted(&counted, options);
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!("| of them over HTTP/2 under TLS | {} |", read(&counted.http2));
    println!("| left out by a GOAWAY, never looked at, and asked again | {} |", read(&counted.left_out));
    let resumed = read(&counted.resumed);
    println!(
        "| of them over TLS, each on a connection of its own | {}, {resumed} resumed |",
        read(&counted.secure)
    );
    let told = judge(&counted, false);
    if told.is_ok() {
        let _ = fs::remove_dir_all(folder);
    }
    told
}

fn start(binary: &Path, folder: &Path, options: &Options) -> Result<Gateway, Failure> {
    let origin = origin::start().map_err(|e| format!("origin: {e}"))?;
    let file = folder.join("gateway.yaml");
    configure(&file, origin, 0)?;
    if options.upgrades > 0 {
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        crate::tls::certificate(folder)?;
        let text =
            upgrades::DRAIN.to_owned() + &text.replacen("listen: 127.0.0.1:0\n", upgrades::LISTENERS, 1);
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Gateway::start(binary, folder, file, origin)
}

/// Every configuration differs from the one before: a mark, and a service and routes that come and go.
fn configure(file: &Path, origin: SocketAddr, mark: u64) -> Result<(), Failure> {
    let passing: String =
        (0..100).map(|n| format!("  /passing/{mark}/{n}/*: {{ to: passing-{} }}\n", mark % 2)).collect();
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ access: \"off\" }}\n\
         services:\n  origin: http://{origin}\n  passing-{}: http://{origin}\n\
         routes:\n  /mark: {{ respond: {{ status: 200, body: \"{mark}\" }} }}\n  /*: {{ to: origin }}\n{passing}",
        mark % 2
    );
    fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

/// One client: request after request, each answer compared with what was asked.
fn keep_asking(address: SocketAddr, client: u32, counted: &Counted) {
    let mut kept: Option<Connection> = None;
    for number in 0_u64.. {
        if !counted.goes_on() {
            return;
        }
        let path = format!("/items/{client}/{number}");
        match ask(&mut kept, address, &path) {
            Ok(()) => {
                counted.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(reason) => {
                kept = None;
                counted.complain(&counted.failed, format!("GET {path}: {reason}"));
            }
        }
    }
}

fn ask(kept: &mut Option<Connection>, address: SocketAddr, path: &str) -> Result<(), String> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        *kept = Some(Connection::open(address).map_err(|e| format!("connect: {e}"))?);
    }
    let Some(connection) = kept else { return Err("no connection".to_owned()) };
    let answer = connection.get(path).map_err(|e| e.to_string())?;
    if answer.closes {
        *kept = None;
    }
    match answer.status {
        200 if answer.body == path.as_bytes() => Ok(()),
        200 => Err(format!("the answer to another request: {}", String::from_utf8_lossy(&answer.body))),
        status => Err(format!("status {status}")),
    }
}

/// One WebSocket from the first second to the last.
fn keep_websocket(address: SocketAddr, nth: u32, counted: &Counted) {
    let mut socket = match WebSocket::open(address, "/ws") {
        Ok(socket) => socket,
        Err(e) => return counted.complain(&counted.dropped, format!("WebSocket {nth} does not open: {e}")),
    };
    for number in 0_u64.. {
        if !counted.goes_on() {
            return;
        }
        if let Err(e) = socket.echo(&format!("{nth}/{number}")) {
            return counted.complain(&counted.dropped, format!("WebSocket {nth} after {number} texts: {e}"));
        }
        counted.echoes.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn reload_each_second(gateway: &Gateway, time: Duration) -> Result<Reloads, Failure> {
    let mut reloads = Reloads::default();
    let begin = Instant::now();
    for mark in 1.. {
        let next = begin + Duration::from_secs(mark);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if begin.elapsed() >= time {
            break;
        }
        reloads.times.push(reload(gateway, mark)?);
        reloads.resident.push(gateway.running.resident() as f64 / (1024.0 * 1024.0));
    }
    Ok(reloads)
}

/// Writes the next configuration, signals, and waits until an answer shows it.
fn reload(gateway: &Gateway, mark: u64) -> Result<Duration, Failure> {
    configure(&gateway.file, gateway.origin, mark)?;
    let begin = Instant::now();
    gateway.running.signal(Signal::HUP)?;
    while begin.elapsed() < RELOAD_LIMIT {
        let answer = Connection::open(gateway.address).and_then(|mut connection| connection.get("/mark"));
        if answer.is_ok_and(|answer| answer.body == mark.to_string().as_bytes()) {
            return Ok(begin.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("reload {mark} has not taken after {} s", RELOAD_LIMIT.as_secs()))
}

/// Prints the table and judges it.
fn tell(counted: &Counted, reloads: &Reloads, options: &Options) -> Result<(), Failure> {
    let third = (reloads.resident.len() / 3).max(1);
    let mean = |part: &[f64]| part.iter().fold(0.0, |sum, mib| sum + mib) / part.len().max(1) as f64;
    let first = mean(reloads.resident.get(..third).unwrap_or_default());
    let last = mean(reloads.resident.get(reloads.resident.len().saturating_sub(third)..).unwrap_or_default());
    let slowest = reloads.times.iter().max().copied().unwrap_or_default();
    println!("| what | figure |\n|---|---|");
    tell_counted(counted, options);
    println!("| reloads | {}, slowest {:.1} ms |", reloads.times.len(), slowest.as_secs_f64() * 1e3);
    println!("| resident memory, first and last third | {first:.1} MiB, {last:.1} MiB |");
    judge(counted, last > first * (1.0 + GROWTH_SHARE) + GROWTH_MIB)
}

/// The lines that every table has.
fn tell_counted(counted: &Counted, options: &Options) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!("| requests answered | {} |", read(&counted.answered));
    println!("| requests failed | {} |", read(&counted.failed));
    println!("| WebSockets | {}, {} texts echoed |", options.websockets, read(&counted.echoes));
    println!("| WebSockets dropped | {} |", read(&counted.dropped));
}

fn judge(counted: &Counted, grown: bool) -> Result<(), Failure> {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    for reason in counted.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        eprintln!("{reason}");
    }
    match (read(&counted.failed), read(&counted.dropped), grown) {
        (0, 0, false) if read(&counted.answered) > 0 => Ok(()),
        (0, 0, true) => Err("memory grew".to_owned()),
        _ => Err("the gateway lost requests or WebSockets".to_owned()),
    }
}
