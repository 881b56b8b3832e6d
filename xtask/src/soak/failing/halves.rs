//! An origin that answers half of its requests with 503, and then none, behind a service with `retry`.
//! Takes a rate; gives what the origin got for each request of clients, and how soon clients had peace again.
//! It must never judge the gateway by its own counters: the origin counts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::Pace;
use super::{ask, is_good, origin, start};
use crate::Failure;

const CLIENTS: u32 = 64;
/// How long it is ill, and how long it is watched afterwards.
const ILL: Duration = Duration::from_secs(8);
const WELL: Duration = Duration::from_secs(12);
/// The most that it may get for each request of clients.
const MOST: f64 = 1.2;
/// Failures are over so long after it is well.
const PEACE_WITHIN: Duration = Duration::from_secs(10);

/// What the origin does and counts.
struct Origin {
    ill: AtomicBool,
    /// Requests while it was ill, and after that.
    while_ill: AtomicU64,
    after: AtomicU64,
}

impl Origin {
    fn judge(&self) -> u16 {
        if !self.ill.load(Ordering::Relaxed) {
            self.after.fetch_add(1, Ordering::Relaxed);
            return 200;
        }
        let nth = self.while_ill.fetch_add(1, Ordering::Relaxed);
        // Half of them, in no order (Knuth's multiplicative hash): every other one would be good to each that comes again.
        if nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 { 503 } else { 200 }
    }
}

pub(super) fn run(binary: &Path, folder: &Path, rate: u32) -> Result<(), Failure> {
    let counts = Arc::new(Origin { ill: true.into(), while_ill: 0.into(), after: 0.into() });
    let judge = counts.clone();
    let origin = origin::start(Duration::from_secs(60), move |_, _| judge.judge());
    let origin = origin.map_err(|e| format!("origin: {e}"))?;
    let (gateway, address) = start((binary, folder), origin, (", retry: {}", ""))?;
    let begin = Instant::now();
    let sent = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|nth| (nth, Pace::of((nth, CLIENTS), rate, begin + ILL + WELL)))
            .map(|(nth, pace)| scope.spawn(move || keep_asking(nth, pace, address)))
            .collect();
        std::thread::sleep((begin + ILL).saturating_duration_since(Instant::now()));
        counts.ill.store(false, Ordering::Relaxed);
        let healed = Instant::now();
        let sent = clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect();
        Sent { requests: sent, healed }
    });
    drop(gateway);
    tell(&sent, &counts)
}

/// The requests of all clients: when each was begun and ended, and whether its answer was good.
struct Sent {
    requests: Vec<(Instant, Instant, bool)>,
    healed: Instant,
}

fn keep_asking(client: u32, mut pace: Pace, address: SocketAddr) -> Vec<(Instant, Instant, bool)> {
    let (mut kept, mut sent) = (None, Vec::new());
    while pace.goes_on() {
        let path = format!("/items/{client}/{}", sent.len());
        let begun = Instant::now();
        let good = is_good(ask(&mut kept, address, "GET", &path).as_ref(), &path);
        sent.push((begun, Instant::now(), good));
    }
    sent
}

fn tell(sent: &Sent, counts: &Origin) -> Result<(), Failure> {
    let (ill, well): (Vec<_>, Vec<_>) = sent.requests.iter().partition(|(begun, ..)| *begun < sent.healed);
    let failed = |requests: &[&(Instant, Instant, bool)]| requests.iter().filter(|one| !one.2).count();
    let share = |counter: &AtomicU64, requests: usize| {
        counter.load(Ordering::Relaxed) as f64 / requests.max(1) as f64
    };
    let (load, later) = (share(&counts.while_ill, ill.len()), share(&counts.after, well.len()));
    let last = sent.requests.iter().filter(|one| !one.2).map(|one| one.1).max();
    let peace = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(sent.healed));
    let seconds = ILL.as_secs_f64();
    println!("| an origin that fails half of the time, and then heals | figure |\n|---|---|");
    println!("| requests of clients while it was ill | {}, {:.0}/s |", ill.len(), ill.len() as f64 / seconds);
    println!("| of them failed for the client | {} |", failed(&ill));
    println!("| requests at the origin for each of a client, while it was ill | {load:.3} |");
    println!("| the same after that | {later:.3} |");
    println!("| requests of clients after that, failed | {}, {} |", well.len(), failed(&well));
    println!("| last failure after it was well | {:.0} ms |", peace.as_secs_f64() * 1e3);
    let mut faults = Vec::new();
    if load > MOST || later > MOST {
        faults.push(format!("the origin got more than {MOST} times what clients sent"));
    }
    if load <= 1.0 {
        faults.push("nothing was sent again".to_owned());
    }
    if peace > PEACE_WITHIN {
        faults.push(format!("requests failed {} s after the origin was well", PEACE_WITHIN.as_secs()));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}
