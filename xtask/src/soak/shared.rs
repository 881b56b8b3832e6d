//! `cargo xtask soak --redis`: limits that one gateway, and three on one Redis, keep under load, a quota of all three, and
//! what happens when Redis is frozen meanwhile.
//! Takes seconds and numbers of clients; gives a table, and a failure where more passed than may, where a request
//! failed, or where Redis was missed for too long.
//! It must never count what passed by what a gateway says of itself: clients count answers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Options, Pace, origin};
use crate::bench::contender::wait_for_ready_file;
use crate::process::Running;
use crate::wire::Connection;
use crate::{Failure, programs, workspace};

/// Limits: the path, the rate, how many in a second, and how many at once.
const LIMITS: [(&str, &str, f64, u32); 3] = [
    ("/s", "10/s", 10.0, 10),
    ("/m", "100/min", 100.0 / 60.0, 100),
    ("/h", "1000/hour", 1000.0 / 3600.0, 1000),
];
/// The share of what a limit lets pass, `burst + rate * time`, that may pass on one gateway and on three.
const SHARES: [f64; 2] = [1.05, 1.10];
/// Requests of a lease; the stated bound is one lease more than the limit.
const LEASE: u32 = 10;
/// The share of questions that leases may need.
const TRAFFIC: f64 = 0.1;
/// How long Redis may take where it is tried what passes: then a machine that is busy decides nothing without it.
const UNHURRIED: &str = ", timeout: 2s";
/// What a quota lets pass.
const QUOTA: u64 = 2000;
/// How often Redis was asked, and how many requests were decided without its answer.
const CALLS: &str = "tidegate_rate_limit_redis_calls_total ";
const ALONE: &str = "tidegate_rate_limit_alone_total ";
/// Redis is missed at most so long after it is back, and requests are as fast as before so long after it froze.
const BACK_WITHIN: Duration = Duration::from_secs(2);
const FAST_AFTER: Duration = Duration::from_secs(1);
/// And by so much slower at most.
const ADDED: Duration = Duration::from_millis(5);
/// Longest that a client waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway, where it serves and where it tells.
struct Gateway {
    _running: Running,
    address: SocketAddr,
    admin: SocketAddr,
}

/// What clients saw of one limit.
#[derive(Default)]
struct Seen {
    sent: AtomicU64,
    passed: AtomicU64,
    failed: AtomicU64,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let origin = origin::start().map_err(|e| format!("origin: {e}"))?;
    let (redis, port) = start_redis(&folder)?;
    let mut faults = Vec::new();
    println!(
        "| gateways | sync | limit | sent | passed | may pass | share | questions | without an answer |"
    );
    println!("|---:|---|---|---:|---:|---:|---:|---:|---:|");
    let time = Duration::from_secs(options.seconds) / 4;
    let (mut asked, mut last) = (Vec::new(), Vec::new());
    for (nth, (count, sync)) in [(1, "exact"), (3, "exact"), (3, "lease")].into_iter().enumerate() {
        let gateways = start(&binary, &folder, origin, (port, UNHURRIED), count, (nth, sync))?;
        asked.push(hopped(&gateways, options, time, sync, &mut faults)?);
        last = gateways;
    }
    use_up(&last, options, &mut faults);
    if let [_, exact, lease] = asked.as_slice() {
        println!("\nquestions for each request: exact {exact:.3}, with leases {lease:.4}");
        if *lease > exact * TRAFFIC {
            faults.push("leases asked Redis more than a tenth as often".to_owned());
        }
    }
    drop(last);
    let gateways = start(&binary, &folder, origin, (port, ""), 3, (3, "exact"))?;
    freeze(&gateways, &redis, options, time, &mut faults)?;
    drop((gateways, redis));
    if faults.is_empty() {
        let _ = fs::remove_dir_all(&folder);
        return Ok(());
    }
    Err(faults.join("; "))
}

/// Clients hop between the gateways for some time; how often Redis was asked for each request.
fn hopped(
    gateways: &[Gateway],
    options: &Options,
    time: Duration,
    sync: &str,
    faults: &mut Vec<String>,
) -> Result<f64, Failure> {
    let count = gateways.len();
    let (before, alone) = (told(gateways, CALLS)?, told(gateways, ALONE)?);
    let seen: [Seen; 3] = Default::default();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..options.clients {
            let seen = &seen;
            scope.spawn(move || hop(client, gateways, begin + time, seen));
        }
    });
    let (asked, alone) = (told(gateways, CALLS)? - before, told(gateways, ALONE)? - alone);
    if alone > 0.0 {
        faults.push(format!("{count} gateways, {sync}: {alone} requests were decided without Redis"));
    }
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    for ((_, rate, per_second, burst), seen) in LIMITS.iter().zip(&seen) {
        let may = f64::from(*burst) + per_second * begin.elapsed().as_secs_f64();
        let (passed, share) = (read(&seen.passed), read(&seen.passed) as f64 / may);
        println!(
            "| {count} | {sync} | {rate} | {} | {passed} | {may:.0} | {share:.3} | {asked:.0} | {alone:.0} |",
            read(&seen.sent)
        );
        let bound = match sync {
            "lease" => may + f64::from(LEASE),
            _ => may * SHARES.get(usize::from(count > 1)).copied().unwrap_or(1.0),
        };
        if passed as f64 > bound {
            faults.push(format!("{count} gateways, {sync}: {passed} of {rate} passed where {bound:.0} may"));
        }
        if read(&seen.failed) > 0 {
            faults.push(format!("{count} gateways, {sync}: {} requests failed", read(&seen.failed)));
        }
    }
    Ok(asked / seen.iter().map(|seen| read(&seen.sent)).sum::<u64>().max(1) as f64)
}

/// Clients hop between the gateways until a quota is used up, and once more.
fn use_up(gateways: &[Gateway], options: &Options, faults: &mut Vec<String>) {
    let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for client in 0..options.clients as usize {
            let (passed, failed) = (&passed, &failed);
            scope.spawn(move || {
                let mut kept: Vec<Option<Connection>> = gateways.iter().map(|_| None).collect();
                let mut refused = 0;
                for nth in client..client + QUOTA as usize {
                    let place = nth % gateways.len();
                    let (Some(gateway), Some(kept)) = (gateways.get(place), kept.get_mut(place)) else {
                        return;
                    };
                    match ask(kept, gateway.address, "/quota") {
                        Some(200) => passed.fetch_add(1, Ordering::Relaxed),
                        Some(429) if refused < gateways.len() => {
                            refused += 1;
                            continue;
                        }
                        Some(429) => return,
                        _ => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    let (passed, failed) = (passed.into_inner(), failed.into_inner());
    println!("a quota of {QUOTA} on {} gateways: {passed} passed, {failed} failed", gateways.len());
    if passed != QUOTA || failed > 0 {
        faults.push(format!("{passed} passed by a quota of {QUOTA}, and {failed} requests failed"));
    }
}

fn start_redis(folder: &Path) -> Result<(Running, u16), Failure> {
    let server =
        programs::find("redis-server").ok_or("redis-server is not installed (Debian: redis-server)")?;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    let port = free.map_err(|e| format!("no free port: {e}"))?.port();
    let words = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut line = vec![server.into_os_string()];
    line.extend(words.iter().map(Into::into));
    let running = Running::start("redis-server", None, &line, &folder.join("redis.log"))?;
    let begin = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if begin.elapsed() > PATIENCE {
            return Err("redis-server does not listen".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((running, port))
}

/// So many gateways that count in Redis; each phase under keys of its own.
fn start(
    binary: &Path,
    folder: &Path,
    origin: SocketAddr,
    (redis, timeout): (u16, &str),
    count: u32,
    (phase, sync): (usize, &str),
) -> Result<Vec<Gateway>, Failure> {
    let lease = if sync == "lease" { format!(", lease: {LEASE}") } else { String::new() };
    let routes: String = LIMITS
        .iter()
        .map(|(path, rate, _, burst)| {
            format!(
                "  {path}: {{ to: origin, rate_limit: {{ rate: {rate}, burst: {burst}, per: all, store: redis, \
                 sync: {sync}{lease} }} }}\n"
            )
        })
        .collect();
    let free = "  /free: { to: origin, rate_limit: { rate: 1000000/s, store: redis } }\n";
    let quota = format!(
        "  /quota: {{ to: origin, quota: {{ amount: {QUOTA}, every: year, per: all, store: redis, on_fault: closed }} }}\n"
    );
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: \"127.0.0.1:0\" }}\nworkers: 1\nlog: {{ access: \"off\" }}\n\
         redis: {{ url: \"redis://127.0.0.1:{redis}\", prefix: phase-{phase}{timeout} }}\n\
         services:\n  origin: http://{origin}\nroutes:\n{routes}{free}{quota}"
    );
    let start_one = |nth: u32| {
        let folder = folder.join(format!("{phase}-{nth}"));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let (file, ready) = (folder.join("gateway.yaml"), folder.join("ready.json"));
        fs::write(&file, &text).map_err(|e| format!("{}: {e}", file.display()))?;
        let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
        let log = folder.join("gateway.log");
        let mut running = Running::start("tidegate", None, &line, &log)?;
        let address = wait_for_ready_file(&mut running, &ready);
        let address =
            address.map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        let admin = admin_in(&ready)?;
        // The first request of a worker makes it connect.
        let answer = Connection::open(address).and_then(|mut connection| connection.get("/free"));
        answer.map_err(|e| format!("the first request: {e}"))?;
        Ok(Gateway { _running: running, address, admin })
    };
    (0..count).map(start_one).collect()
}

/// One client: request after request, each to the next limit of the next gateway.
fn hop(client: u32, gateways: &[Gateway], end: Instant, seen: &[Seen; 3]) {
    let mut kept: Vec<Option<Connection>> = gateways.iter().map(|_| None).collect();
    for nth in client as usize.. {
        if Instant::now() >= end {
            return;
        }
        let place = nth % gateways.len();
        let (Some(gateway), Some(kept)) = (gateways.get(place), kept.get_mut(place)) else { return };
        let limit = nth / gateways.len() % LIMITS.len();
        let (Some((path, ..)), Some(seen)) = (LIMITS.get(limit), seen.get(limit)) else { return };
        seen.sent.fetch_add(1, Ordering::Relaxed);
        let counter = match ask(kept, gateway.address, path) {
            Some(200) => &seen.passed,
            Some(429) => continue,
            _ => &seen.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn ask(kept: &mut Option<Connection>, address: SocketAddr, path: &str) -> Option<u16> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        let fresh = Connection::open(address).ok()?;
        fresh.set_patience(PATIENCE).ok()?;
        *kept = Some(fresh);
    }
    let answer = kept.as_mut()?.get(path).ok();
    // A connection has so many requests and no more, and the last answer says so.
    if answer.as_ref().is_none_or(|answer| answer.closes) {
        *kept = None;
    }
    answer.map(|answer| answer.status)
}

/// What all gateways tell of themselves so far, together.
fn told(gateways: &[Gateway], name: &str) -> Result<f64, Failure> {
    gateways.iter().map(|gateway| figure(gateway.admin, name)).sum()
}

/// The admin address that a ready file names.
pub(super) fn admin_in(ready: &Path) -> Result<SocketAddr, Failure> {
    let text = fs::read_to_string(ready).map_err(|e| format!("{}: {e}", ready.display()))?;
    let admin = text.split("\"admin\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let admin = admin.and_then(|admin| admin.parse().ok());
    admin.ok_or_else(|| "the ready file names no admin address".to_owned())
}

/// What the metrics page of a gateway says.
pub(super) fn figure(admin: SocketAddr, name: &str) -> Result<f64, Failure> {
    let page = Connection::open(admin).and_then(|mut connection| connection.get_of("localhost", "/metrics"));
    let page = page.map_err(|e| format!("metrics: {e}"))?;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.parse().ok()).ok_or_else(|| format!("no metric {name}"))
}

/// Freezes Redis under a steady load and lets it go on.
fn freeze(
    gateways: &[Gateway],
    redis: &Running,
    options: &Options,
    time: Duration,
    faults: &mut Vec<String>,
) -> Result<(), Failure> {
    let (begin, third) = (Instant::now(), time.max(Duration::from_secs(9)) / 3);
    let (frozen, back, end) = (begin + third, begin + third * 2, begin + third * 3);
    let wait_until = |moment: Instant| std::thread::sleep(moment.saturating_duration_since(Instant::now()));
    let (sent, missed) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..options.clients)
            .map(|client| scope.spawn(move || paced(client, gateways, options, end)))
            .collect();
        wait_until(frozen);
        redis.signal(Signal::STOP)?;
        wait_until(back);
        redis.signal(Signal::CONT)?;
        let missed = time_until_asked(gateways, end)?;
        let sent = clients.into_iter().filter_map(|client| client.join().ok()).flatten();
        Ok::<_, Failure>((sent.collect::<Vec<_>>(), missed))
    })?;
    let between = |from: Instant, to: Instant| {
        let times = sent.iter().filter(|(at, ..)| (from..to).contains(at)).map(|(_, took, _)| *took);
        p99(times.collect())
    };
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let (before, first, later) =
        (between(begin, frozen), between(frozen, frozen + FAST_AFTER), between(frozen + FAST_AFTER, back));
    let wrong = sent.iter().filter(|(_, _, status)| *status != Some(200)).count();
    println!("\n| Redis frozen under {} requests/s | figure |\n|---|---|", options.rate);
    println!("| requests, and not answered by 200 | {}, {wrong} |", sent.len());
    println!("| p99 before | {:.2} ms |", millis(before));
    println!("| p99 in the first second of the frost | {:.2} ms |", millis(first));
    println!("| p99 in the rest of it | {:.2} ms |", millis(later));
    println!("| asked again by all after | {:.0} ms |", millis(missed));
    if wrong > 0 {
        faults.push(format!("{wrong} requests were not answered while Redis was frozen"));
    }
    if later > before + ADDED {
        faults.push("requests were slower while Redis was frozen".to_owned());
    }
    if missed > BACK_WITHIN {
        faults.push("Redis was missed for too long".to_owned());
    }
    Ok(())
}

/// When a request was sent, how long it took, and what came.
type Sent = (Instant, Duration, Option<u16>);

/// One client: a request at each of its times, to one gateway after the other.
fn paced(client: u32, gateways: &[Gateway], options: &Options, end: Instant) -> Vec<Sent> {
    let mut pace = Pace::new(client, options, end);
    let mut kept: Vec<Option<Connection>> = gateways.iter().map(|_| None).collect();
    let mut sent = Vec::new();
    while pace.goes_on() {
        let place = sent.len() % gateways.len();
        let (Some(gateway), Some(kept)) = (gateways.get(place), kept.get_mut(place)) else { break };
        let at = Instant::now();
        let status = ask(kept, gateway.address, "/free");
        sent.push((at, at.elapsed(), status));
    }
    sent
}

/// How long until each gateway asks Redis again.
fn time_until_asked(gateways: &[Gateway], end: Instant) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let alone = |gateway: &Gateway| figure(gateway.admin, ALONE);
    for gateway in gateways {
        let mut before = alone(gateway)?;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
            let now = alone(gateway)?;
            if now == before {
                break;
            }
            before = now;
        }
    }
    Ok(begin.elapsed())
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_mul(99) / 100).copied().unwrap_or_default()
}
