//! `cargo xtask soak --limit`: a limit that a reload changes each second, under a steady load.
//! Takes seconds, clients and their rate; gives how long it took from the signal to the first answer by the new rate and to
//! the last one by the old, and a failure where that was longer than a second or a request failed.
//! It must never judge by the time of the reload alone: what counts is what clients are told.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Gateway, Options, Pace, origin};
use crate::wire::{Connection, field};
use crate::{Failure, workspace};

/// A changed limit holds after so long.
const HOLDS_WITHIN: Duration = Duration::from_secs(1);
/// The count of the first rate; each reload adds one.
const FIRST: u64 = 1_000_000;

/// When an answer was there, and the rate that it was judged by; none for one that is no good answer.
type Seen = (Instant, Option<u64>);

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let gateway = start(&binary, &folder)?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (seen, signals) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..options.clients)
            .map(|client| (Pace::new(client, options, end), gateway.address))
            .map(|(pace, address)| scope.spawn(move || keep_asking(pace, address)))
            .collect();
        let signals = reload_each_second(&gateway, end);
        let seen = clients.into_iter().filter_map(|client| client.join().ok()).flatten();
        (seen.collect::<Vec<Seen>>(), signals)
    });
    drop(gateway);
    let told = tell(&seen, &signals?, options);
    if told.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    told
}

fn start(binary: &Path, folder: &Path) -> Result<Gateway, Failure> {
    let origin = origin::start().map_err(|e| format!("origin: {e}"))?;
    let file = folder.join("gateway.yaml");
    configure(&file, origin, FIRST)?;
    Gateway::start(binary, folder, file, origin)
}

fn configure(file: &Path, origin: SocketAddr, count: u64) -> Result<(), Failure> {
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ access: \"off\" }}\n\
         services:\n  origin: http://{origin}\n\
         routes:\n  /*: {{ to: origin, rate_limit: {{ rate: {count}/s, per: all }} }}\n"
    );
    fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

/// Changes the rate once a second; when each was signalled.
fn reload_each_second(gateway: &Gateway, end: Instant) -> Result<Vec<Instant>, Failure> {
    let (begin, mut signals) = (Instant::now(), Vec::new());
    for nth in 1.. {
        let next = begin + Duration::from_secs(nth);
        // The last one has its second as well.
        if next + HOLDS_WITHIN > end {
            break;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        configure(&gateway.file, gateway.origin, FIRST + nth)?;
        signals.push(Instant::now());
        gateway.running.signal(Signal::HUP)?;
    }
    Ok(signals)
}

fn keep_asking(mut pace: Pace, address: SocketAddr) -> Vec<Seen> {
    let (mut kept, mut seen) = (None, Vec::new());
    while pace.goes_on() {
        let rate = ask(&mut kept, address);
        seen.push((Instant::now(), rate));
    }
    seen
}

/// The rate that a good answer was judged by.
fn ask(kept: &mut Option<Connection>, address: SocketAddr) -> Option<u64> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        *kept = Connection::open(address).ok();
    }
    let answer = kept.as_mut()?.get("/").ok();
    if answer.as_ref().is_none_or(|answer| answer.closes) {
        *kept = None;
    }
    let answer = answer.filter(|answer| answer.status == 200)?;
    let policy = field(&answer.head, "ratelimit-policy")?;
    policy.split(";q=").nth(1)?.split(';').next()?.parse().ok()
}

fn tell(seen: &[Seen], signals: &[Instant], options: &Options) -> Result<(), Failure> {
    let mut faults = Vec::new();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for (nth, signal) in signals.iter().enumerate() {
        let count = FIRST + nth as u64 + 1;
        let after = seen.iter().filter(|(at, _)| at > signal);
        let by_new = after.clone().filter(|(_, rate)| *rate >= Some(count)).map(|(at, _)| *at).min();
        let by_old = after.filter(|(_, rate)| rate.is_some_and(|rate| rate < count)).map(|(at, _)| *at).max();
        match by_new {
            Some(at) => first.push(at - *signal),
            None => faults.push(format!("no answer was judged by the rate of reload {}", nth + 1)),
        }
        last.push(by_old.map_or(Duration::ZERO, |at| at - *signal));
    }
    let failed = seen.iter().filter(|(_, rate)| rate.is_none()).count();
    let millis = |times: &[Duration]| times.iter().max().map_or(0.0, |time| time.as_secs_f64() * 1e3);
    println!("| a limit changed under {} requests/s | figure |\n|---|---|", options.rate);
    println!("| requests, and not answered by 200 | {}, {failed} |", seen.len());
    println!("| reloads | {} |", signals.len());
    println!("| from the signal to the first answer by the new rate, longest | {:.1} ms |", millis(&first));
    println!("| from the signal to the last answer by the old rate, longest | {:.1} ms |", millis(&last));
    if failed > 0 {
        faults.push(format!("{failed} requests failed"));
    }
    if first.iter().chain(&last).any(|time| *time > HOLDS_WITHIN) {
        faults.push(format!("a changed limit did not hold within {} s", HOLDS_WITHIN.as_secs()));
    }
    if signals.is_empty() || seen.is_empty() {
        faults.push("nothing was tried: give it more seconds".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}
