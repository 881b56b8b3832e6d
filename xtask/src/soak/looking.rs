//! `cargo xtask soak --console`: what it costs that somebody looks at the topology of a busy gateway.
//! Takes a rate and seconds; gives a table, and a failure if gateway, stream or browser need more than they may.
//! It must never compare one time of the machine with another: times with and without the console take turns, and the medians
//! of neighbours are compared. Workers know nothing of a console, so that the difference of their time is that of the machine;
//! both it and that of all other threads are told.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Options, Pace, origin};
use crate::bench::contender::wait_for_ready_file;
use crate::console::{self, Built};
use crate::process::Running;
use crate::{Failure, programs, workspace};

const ROUTES: u32 = 500;
const SERVICES: u32 = 25;
/// Times that are compared with a neighbour each.
const ROUNDS: u32 = 5;
/// What the gateway may need besides, as a share of what it needs for its requests.
const GATEWAY_SHARE: f64 = 0.01;
/// What the browser may need of one core.
const BROWSER_SHARE: f64 = 0.05;
/// What the stream may bring in a second, in bytes.
const STREAM: f64 = 30_000.0;
/// For how long things may settle after the console was opened or closed: its files are loaded once.
const SETTLING: Duration = Duration::from_secs(3);

/// What was needed in a time: of one core by the gateway's workers, its other threads and the browser; bytes of the stream in
/// a second; what 99 of 100 requests took at most, in milliseconds.
#[derive(Clone, Copy, Default)]
struct Needed {
    workers: f64,
    others: f64,
    browser: f64,
    stream: f64,
    p99: f64,
}

/// One of these figures.
type Figure = fn(&Needed) -> f64;

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    failed: AtomicU64,
    sent: AtomicU64,
    times: Mutex<Vec<Duration>>,
}

impl Seen {
    /// The times since it was asked last, and none from now on.
    fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    // The packages that drive the browser, and the console for a gateway that is built from here.
    if let Built::NotHere(why) = console::build()? {
        return Err(why);
    }
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (gateway, address, link) = start(&binary, &folder)?;
    let time = Duration::from_secs(options.seconds) / (2 * ROUNDS);
    let seen = Seen::default();
    eprintln!("{ROUNDS} times {} s each way at {} requests per second", time.as_secs(), options.rate);
    let measured = std::thread::scope(|scope| {
        for client in 0..options.clients {
            let seen = &seen;
            scope.spawn(move || load(address, client, options, seen));
        }
        let measured = (0..ROUNDS)
            .map(|_| {
                let without = measure(&gateway, None, time, &seen)?;
                let log = folder.join("browser.log");
                let browser = look(&link, &log, options.reader)?;
                let with = measure(&gateway, Some((&browser, &log)), time, &seen)?;
                Ok((without, with))
            })
            .collect::<Result<Vec<(Needed, Needed)>, Failure>>();
        seen.over.store(true, Ordering::Relaxed);
        measured
    });
    drop(gateway);
    let told = tell(&measured?, &seen);
    if told.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    told
}

/// Starts a gateway with many routes; gives where clients arrive and the link that logs in.
fn start(binary: &Path, folder: &Path) -> Result<(Running, SocketAddr, String), Failure> {
    let mut text = String::from(
        "listen: 127.0.0.1:0\nadmin: { listen: \"127.0.0.1:0\" }\nlog: { access: \"off\" }\nservices:\n",
    );
    let origins = (0..2).map(|_| origin::start().map_err(|e| format!("origin: {e}")));
    let origins: Vec<String> =
        origins.map(|origin| Ok(format!("\"http://{}\"", origin?))).collect::<Result<_, Failure>>()?;
    let wrote = (0..SERVICES)
        .try_for_each(|nth| writeln!(text, "  service-{nth}: [{}]", origins.join(", ")))
        .and_then(|()| text.write_str("routes:\n"))
        .and_then(|()| {
            (0..ROUTES)
                .try_for_each(|nth| writeln!(text, "  /route-{nth}/*: {{ to: service-{} }}", nth % SERVICES))
        });
    wrote.map_err(|e| format!("the configuration: {e}"))?;
    let (file, ready, log) =
        (folder.join("gateway.yaml"), folder.join("ready.json"), folder.join("gateway.log"));
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
    let mut running = Running::start("tidegate", None, &line, &log)?;
    let address = wait_for_ready_file(&mut running, &ready)?;
    let link = link_in(&log)?;
    Ok((running, address, link))
}

/// The link to its console that a gateway prints at its first start, a moment after it is ready.
fn link_in(log: &Path) -> Result<String, Failure> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(30) {
        let said = fs::read_to_string(log).unwrap_or_default();
        // With what follows it, so that it is whole.
        let mut words = said.split_inclusive(char::is_whitespace);
        let link = words.find(|word| word.contains("/#token=") && word.ends_with(char::is_whitespace));
        if let Some(link) = link {
            return Ok(link.trim().to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("{}: no link to the console", log.display()))
}

/// Opens the console in a browser, or only its stream, and waits until something comes.
fn look(link: &str, log: &Path, reader: bool) -> Result<Running, Failure> {
    let node = programs::find("node").ok_or("Node.js is not installed")?;
    let script = if reader { "console/tests/read.mjs" } else { "console/tests/look.mjs" };
    let script = workspace::root().join(script);
    let mut browser = Running::start("the browser", None, &[node.into(), script.into(), link.into()], log)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(90) {
        let said = fs::read_to_string(log).unwrap_or_default();
        if said.contains("open\n") {
            return Ok(browser);
        }
        if let Some(end) = browser.ended() {
            return Err(format!("{end}\n{said}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("the browser does not show the console".to_owned())
}

fn measure(
    gateway: &Running,
    browser: Option<(&Running, &Path)>,
    time: Duration,
    seen: &Seen,
) -> Result<Needed, Failure> {
    std::thread::sleep(SETTLING);
    let is_worker = |name: &str| name.starts_with("worker-");
    let workers = || gateway.cpu_of_threads(is_worker);
    let others = || gateway.cpu_of_threads(|name| !is_worker(name));
    let spent = |running: Option<&Running>| running.map_or(Duration::ZERO, Running::cpu);
    let (running, log) = (browser.map(|(running, _)| running), browser.map(|(_, log)| log));
    seen.take();
    let (begin, before) = (Instant::now(), (workers(), others(), spent(running), log.map_or(0.0, streamed)));
    std::thread::sleep(time);
    let seconds = begin.elapsed().as_secs_f64();
    let of = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / seconds;
    let mut times = seen.take();
    times.sort_unstable();
    let p99 = times.get(times.len().saturating_mul(99) / 100).copied().unwrap_or_default();
    Ok(Needed {
        workers: of(workers(), before.0),
        others: of(others(), before.1),
        browser: of(spent(running), before.2),
        stream: (log.map_or(0.0, streamed) - before.3) / seconds,
        p99: p99.as_secs_f64() * 1e3,
    })
}

/// The bytes that the stream has brought so far.
fn streamed(log: &Path) -> f64 {
    let said = fs::read_to_string(log).unwrap_or_default();
    let last = said.lines().rev().find_map(|line| line.strip_prefix("bytes ")?.parse::<u32>().ok());
    last.map_or(0.0, f64::from)
}

/// One client: a request to each of the routes in turn.
fn load(address: SocketAddr, client: u32, options: &Options, seen: &Seen) {
    // Times with and without, what settles, and browsers that start slowly.
    let end = Instant::now() + Duration::from_secs(options.seconds) * 2 + Duration::from_secs(600);
    let (mut pace, mut kept) = (Pace::new(client, options, end), None);
    for number in client.. {
        if seen.over.load(Ordering::Relaxed) || !pace.goes_on() {
            return;
        }
        let path = format!("/route-{}/{number}", number.wrapping_mul(7) % ROUTES);
        seen.sent.fetch_add(1, Ordering::Relaxed);
        let begin = Instant::now();
        if super::ask(&mut kept, address, &path).is_err() {
            kept = None;
            seen.failed.fetch_add(1, Ordering::Relaxed);
        }
        seen.times.lock().unwrap_or_else(PoisonError::into_inner).push(begin.elapsed());
    }
}

/// The one in the middle.
fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Prints the table and judges it.
fn tell(measured: &[(Needed, Needed)], seen: &Seen) -> Result<(), Failure> {
    let without = |figure: Figure| median(measured.iter().map(|(without, _)| figure(without)));
    let with = |figure: Figure| median(measured.iter().map(|(_, with)| figure(with)));
    let besides =
        |figure: Figure| median(measured.iter().map(|(without, with)| figure(with) - figure(without)));
    let failed = seen.failed.load(Ordering::Relaxed);
    let (browser, stream) = (with(|needed| needed.browser), with(|needed| needed.stream));
    let share = besides(|needed| needed.others) / without(|needed| needed.workers + needed.others);
    let percent = |share: f64| format!("{:.2} % of a core", share * 100.0);
    println!(
        "| what | without the console | with it on the topology | difference, median of neighbours |\n|---|---|---|---|"
    );
    let line = |what: &str, figure: Figure| {
        let [without, with, besides] = [without(figure), with(figure), besides(figure)].map(percent);
        println!("| {what} | {without} | {with} | {besides} |");
    };
    line("the gateway's workers", |needed| needed.workers);
    line("its other threads", |needed| needed.others);
    println!("| the other threads, as a share of all | | | {:.2} % |", share * 100.0);
    let p99: Figure = |needed| needed.p99;
    println!("| p99 of requests | {:.2} ms | {:.2} ms | {:.2} ms |", without(p99), with(p99), besides(p99));
    println!("| stream | | {:.1} kB/s | |", stream / 1000.0);
    println!("| who looks | | {} | |", percent(browser));
    println!(
        "{} requests, {failed} failed, {} neighbours",
        seen.sent.load(Ordering::Relaxed),
        measured.len()
    );
    for (without, with) in measured {
        let [workers, others] = [with.workers - without.workers, with.others - without.others].map(percent);
        println!("one of them: workers {workers}, others {others}, p99 {:.2} ms", with.p99 - without.p99);
    }
    if failed > 0 {
        return Err("requests failed".to_owned());
    }
    if share > GATEWAY_SHARE || stream > STREAM || browser > BROWSER_SHARE {
        return Err("the console costs more than it may".to_owned());
    }
    Ok(())
}
