//! How long a reload of 10,000 routes takes, and what it costs those who ask meanwhile.
//! Takes a contender; gives the time from the signal to the first answer of the new configuration, and how
//! many requests of a steady load failed.
//! It must never believe a log or a counter: the new configuration is there when an answer shows it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::contender::{Contender, Ground, Kind, Proxy, path_of_route};
use super::load;
use super::results::Round;
use crate::Failure;
use crate::wire::Connection;

const PACE: (u32, u32) = (2000, 16);
const RELOADS: u32 = 5;
/// Between reloads, so that each finds a gateway at rest.
const REST: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn round(ground: &Ground, contender: &Contender) -> Result<Round, Failure> {
    let proxy = ground.start(contender)?;
    let stop = AtomicBool::new(false);
    let whole = LIMIT * RELOADS * 2;
    let (times, paced) = std::thread::scope(|scope| {
        let client = scope.spawn(|| load::paced(proxy.address, &path_of_route(17), PACE, whole, &stop));
        let times: Result<Vec<Duration>, Failure> = (1..=RELOADS)
            .map(|mark| {
                std::thread::sleep(REST);
                reload(ground, contender, &proxy, mark)
            })
            .collect();
        std::thread::sleep(REST);
        stop.store(true, Ordering::Relaxed);
        (times, client.join())
    });
    let (mut times, paced) = (times?, paced.map_err(|_| "the load was lost".to_owned())?);
    times.sort_unstable();
    if paced.failed > 0 {
        eprintln!("failed during reloads: {}", load::told(&paced.reasons));
    }
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    Ok(BTreeMap::from([
        ("reload_ms".to_owned(), middle.as_secs_f64() * 1e3),
        ("worst_reload_ms".to_owned(), worst.as_secs_f64() * 1e3),
        ("asked".to_owned(), paced.answered() as f64),
        ("p99_us".to_owned(), paced.quantile(0.99).as_secs_f64() * 1e6),
        ("failed".to_owned(), paced.failed as f64),
    ]))
}

/// One reload: from the signal until a route that only the new configuration has answers.
fn reload(ground: &Ground, contender: &Contender, proxy: &Proxy, mark: u32) -> Result<Duration, Failure> {
    let marked = match contender.kind {
        Kind::Nginx => format!("        location = /mark-{mark} {{ return 200 'new'; }}\n"),
        Kind::Tidegate => format!("  /mark-{mark}: {{ respond: {{ status: 200, body: new }} }}\n"),
        Kind::Haproxy | Kind::Envoy | Kind::Varnish | Kind::Node => {
            return Err(format!("{} has no job of reloading", contender.name));
        }
    };
    let file = ground.configuration(contender, &proxy.address.port().to_string(), &marked)?;
    if file != proxy.file {
        return Err(format!("{} was started from another file", contender.name));
    }
    let begin = Instant::now();
    proxy.running.signal(Signal::HUP)?;
    while begin.elapsed() < LIMIT {
        // A new connection each time: an old one may belong to a worker that is going.
        let answer = Connection::open(proxy.address).and_then(|mut c| c.get(&format!("/mark-{mark}")));
        if answer.is_ok_and(|answer| answer.status == 200 && answer.body == b"new") {
            return Ok(begin.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{} has not reloaded after {} s", contender.name, LIMIT.as_secs()))
}
