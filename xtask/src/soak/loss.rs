//! `cargo xtask soak --lose kill|stop`: one of three targets dies, or hangs, under a steady load.
//! Takes a rate and seconds; gives a table, and a failure if too many requests failed, if the target was not out in
//! time, or if the others' answers did not get as fast again as they were.
//! It must never leave out a request: one that was given up counts as failed.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Options, origin, shared};
use crate::bench::contender::wait_for_ready_file;
use crate::process::Running;
use crate::wire::Connection;
use crate::{Failure, workspace};

/// What happens to the target.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Loss {
    /// Its process is killed: connections are refused from then on.
    Kill,
    /// Its process is stopped: connections are accepted by the system and nobody answers.
    Stop,
}

/// Clients: more than can be stuck at a time.
const CLIENTS: u32 = 128;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// A target that is lost has to be out after this time.
const OUT_WITHIN: Duration = Duration::from_secs(1);
/// And answers have to be as fast as before after this one.
const FAST_AFTER: Duration = Duration::from_secs(2);
/// The largest share of requests that may fail when a target is killed.
const FAILED_SHARE: f64 = 0.0001;

/// One request: when it was begun, how long it took, whether it failed.
struct Sent {
    at: Instant,
    took: Duration,
    failed: bool,
}

pub(super) fn run(loss: Loss, options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let own = std::env::current_exe().map_err(|e| format!("own program: {e}"))?;
    let (mut targets, mut addresses) = (Vec::new(), Vec::new());
    for nth in 0..3 {
        let log = folder.join(format!("target-{nth}"));
        let line = [own.clone().into(), "soak".into(), "--origin".into()];
        targets.push(Running::start("target", None, &line, &log)?);
        addresses.push(address_in(&log)?);
    }
    let (running, address, admin) = start(&binary, &folder, &addresses)?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (sent, lost, out) = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|nth| scope.spawn(move || load(address, nth, options.rate, end))).collect();
        std::thread::sleep(Duration::from_secs(options.seconds) / 3);
        let lost = Instant::now();
        let signalled = targets
            .first()
            .map(|target| target.signal(if loss == Loss::Kill { Signal::KILL } else { Signal::STOP }));
        let out = time_until_out(admin, addresses.first().copied(), lost, end);
        let sent: Vec<Sent> = clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect();
        (sent, signalled.unwrap_or(Ok(())).map(|()| lost), out)
    });
    for target in &targets {
        // One that is stopped would not hear that it is to end. One that was killed hears nothing.
        let _ = target.signal(Signal::CONT);
    }
    drop(running);
    let told = tell(loss, &sent, lost?, out);
    if told.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    told
}

/// Serves as a target until the process ends.
pub(super) fn serve_as_target() -> Result<(), Failure> {
    let address = origin::start().map_err(|e| format!("origin: {e}"))?;
    println!("{address}");
    loop {
        std::thread::park();
    }
}

/// The address that a target has written.
fn address_in(log: &Path) -> Result<SocketAddr, Failure> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let text = fs::read_to_string(log).unwrap_or_default();
        if let Some(Ok(address)) = text.strip_suffix('\n').map(str::parse) {
            return Ok(address);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{}: no address", log.display()))
}

fn start(
    binary: &Path,
    folder: &Path,
    targets: &[SocketAddr],
) -> Result<(Running, SocketAddr, SocketAddr), Failure> {
    let (file, ready): (PathBuf, PathBuf) = (folder.join("gateway.yaml"), folder.join("ready.json"));
    let targets: Vec<String> = targets.iter().map(|target| format!("\"http://{target}\"")).collect();
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ access: \"off\" }}\n\
         services:\n  origin: {{ targets: [{}], eject: {{}} }}\nroutes:\n  /*: {{ to: origin }}\n",
        targets.join(", ")
    );
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
    let log = folder.join("gateway.log");
    let mut running = Running::start("tidegate", None, &line, &log)?;
    let address = wait_for_ready_file(&mut running, &ready);
    let address = address.map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
    Ok((running, address, shared::admin_in(&ready)?))
}

/// One client: a request at each of its times, each answer compared with what was asked.
fn load(address: SocketAddr, client: u32, rate: u32, end: Instant) -> Vec<Sent> {
    let pause = Duration::from_secs(1) * CLIENTS / rate.max(1);
    let mut next = Instant::now() + pause * client / CLIENTS;
    let (mut kept, mut sent): (Option<Connection>, Vec<Sent>) = (None, Vec::new());
    while next < end {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let path = format!("/items/{client}/{}", sent.len());
        let at = Instant::now();
        let failed = ask(&mut kept, address, &path).is_none();
        if failed {
            kept = None;
        }
        sent.push(Sent { at, took: at.elapsed(), failed });
        next += pause;
        // Who had to wait keeps to its own beat: clients that were held up together would come together from then on, and
        // wait for each other.
        while next < Instant::now() {
            next += pause;
        }
    }
    sent
}

fn ask(kept: &mut Option<Connection>, address: SocketAddr, path: &str) -> Option<()> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        let fresh = Connection::open(address).ok()?;
        fresh.set_patience(PATIENCE).ok()?;
        *kept = Some(fresh);
    }
    let answer = kept.as_mut()?.get(path).ok()?;
    (answer.status == 200 && answer.body == path.as_bytes()).then_some(())
}

/// Asks the admin address until the target is out.
fn time_until_out(
    admin: SocketAddr,
    target: Option<SocketAddr>,
    lost: Instant,
    end: Instant,
) -> Option<Duration> {
    let line = format!("target=\"{}\"}} 0", target?);
    while Instant::now() < end {
        let page = Connection::open(admin)
            .and_then(|mut connection| connection.get_of("localhost", "/metrics"))
            .ok()?;
        let text = String::from_utf8_lossy(&page.body).into_owned();
        let is_out = |told: &str| told.starts_with("tidegate_endpoint_healthy") && told.ends_with(&line);
        if text.lines().any(is_out) {
            return Some(lost.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// The time within which 99 of 100 were answered.
fn p99(sent: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = sent.collect();
    times.sort_unstable();
    times.get(times.len().saturating_mul(99) / 100).copied().unwrap_or_default()
}

/// Prints the table and judges it.
fn tell(loss: Loss, sent: &[Sent], lost: Instant, out: Option<Duration>) -> Result<(), Failure> {
    let failed = sent.iter().filter(|one| one.failed).count();
    let share = failed as f64 / sent.len().max(1) as f64;
    let before = p99(sent.iter().filter(|one| one.at < lost).map(|one| one.took));
    let during = sent.iter().filter(|one| one.at >= lost && one.at < lost + FAST_AFTER);
    let during = p99(during.map(|one| one.took));
    let late: Vec<&Sent> = sent.iter().filter(|one| one.at >= lost + FAST_AFTER).collect();
    let after = p99(late.iter().map(|one| one.took));
    let failed_late = late.iter().filter(|one| one.failed).count();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!("| what | figure |\n|---|---|");
    println!("| requests | {} |", sent.len());
    println!("| failed | {failed}, a share of {:.4} % |", share * 100.0);
    println!("| failed from {} s after the loss on | {failed_late} |", FAST_AFTER.as_secs());
    match out {
        Some(out) => println!("| out after | {:.0} ms |", millis(out)),
        None => println!("| out after | never |"),
    }
    println!("| p99 before the loss | {:.2} ms |", millis(before));
    println!("| p99 in the {} s after it | {:.2} ms |", FAST_AFTER.as_secs(), millis(during));
    println!("| p99 from then on | {:.2} ms |", millis(after));
    if out.is_none_or(|out| out > OUT_WITHIN) {
        return Err("the target was not out in time".to_owned());
    }
    match loss {
        Loss::Kill if share > FAILED_SHARE => Err("too many requests failed".to_owned()),
        // Twice and a little: this is a test of the gateway, not of the machine's quiet.
        Loss::Stop if after > before * 2 + Duration::from_millis(5) || failed_late > 0 => {
            Err("answers did not get as fast as before".to_owned())
        }
        _ => Ok(()),
    }
}
