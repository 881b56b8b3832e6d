//! The load: wrk for as much as goes, and paced clients for latency at a fixed rate.
//! Takes an address and a shape of requests; gives what was answered, how fast, and what failed.
//! It must never count an answer that is not 2xx, nor start the clock of a late request when it leaves.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::callers::{self, Shown};
use super::contender::{Proxy, write};
use super::handshakes;
use crate::wire::Connection;
use crate::{Failure, programs};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requests {
    /// The small JSON of the origin.
    Small,
    /// An answer that is made of three.
    Composed,
    /// 100 KiB.
    Body,
    /// 1 KiB that may be kept.
    KeptSmall,
    /// 100 KiB that may be kept.
    KeptBody,
    /// A list in JSON of 2 KiB.
    ShortList,
    /// A list in JSON of 1 MiB.
    LongList,
    /// The small JSON, a connection for each.
    Closing,
    /// The small JSON by so many paths in turn.
    Paths(usize),
    /// The small JSON, by a thousand callers in turn.
    Shown(Shown),
    /// The small JSON over HTTP/2, many requests at a time on each connection.
    Streams,
    /// The small JSON, a connection and a full handshake for each.
    FullHandshakes,
    /// The small JSON, a connection and a handshake that takes a session up again for each.
    ResumedHandshakes,
}

impl Requests {
    /// Bytes of JSON that are shaped for each request, if that is what is measured.
    pub(super) fn shaped_bytes(self, folder: &Path) -> Result<Option<u64>, Failure> {
        let name = match self {
            Requests::ShortList => "list-2k",
            Requests::LongList => "list-1m",
            _ => return Ok(None),
        };
        let file = folder.join(name);
        let known = std::fs::metadata(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(Some(known.len()))
    }
}

/// What came of a load.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Done {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Socket errors and answers other than 2xx.
    pub(super) failed: u64,
}

/// As much as goes of these requests.
pub(super) fn send(proxy: &Proxy, requests: Requests, time: f64, folder: &Path) -> Result<Done, Failure> {
    match requests {
        Requests::Streams => h2load(proxy.address, time),
        Requests::FullHandshakes => handshakes::run(proxy.address, false, time, folder),
        Requests::ResumedHandshakes => handshakes::run(proxy.address, true, time, folder),
        _ => wrk(proxy, requests, time, folder),
    }
}

/// One thread and 4 connections of h2load, each with 64 requests at a time.
fn h2load(address: SocketAddr, time: f64) -> Result<Done, Failure> {
    let h2load = programs::find("h2load").ok_or("h2load is not installed")?;
    let seconds = format!("{:.0}", time.ceil().max(1.0));
    let mut command = Command::new(h2load);
    command.args(["-t1", "-c4", "-m64", "-D", &seconds]).arg(format!("https://{address}/users/1"));
    let output = command.output().map_err(|e| format!("h2load: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("Application protocol: h2") {
        return Err(format!("{address} does not speak HTTP/2: {text}"));
    }
    read_h2load(&text).ok_or_else(|| format!("h2load: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn read_h2load(text: &str) -> Option<Done> {
    let mut done = Done::default();
    let count = |line: &str, word: &str| -> Option<u64> {
        let before = line.split(word).next()?.trim_end();
        before.rsplit([' ', ',']).next()?.parse().ok()
    };
    for line in text.lines() {
        if line.starts_with("finished in ") {
            done.per_second = line.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok()?;
        } else if line.starts_with("status codes: ") {
            done.requests = count(line, " 2xx")?;
        } else if line.starts_with("requests: ") {
            done.failed = count(line, " failed")?;
        }
    }
    (done.requests > 0).then_some(done)
}

/// One thread and 64 connections of wrk; 8 where an answer is so much work that 64 would wait for seconds.
fn wrk(proxy: &Proxy, requests: Requests, time: f64, folder: &Path) -> Result<Done, Failure> {
    let wrk = programs::find("wrk").ok_or("wrk is not installed")?;
    let mut command = Command::new(wrk);
    // wrk knows whole seconds only.
    let seconds = format!("{}s", time.ceil().max(1.0));
    let connections = if requests == Requests::LongList { "-c8" } else { "-c64" };
    command.args(["-t1", connections, "--timeout", "10s", "-d", &seconds]);
    let mut path = "/users/1";
    match requests {
        Requests::Small | Requests::Streams | Requests::FullHandshakes | Requests::ResumedHandshakes => {}
        Requests::Composed => path = "/composed",
        Requests::Body => path = "/body-100k",
        Requests::ShortList => path = "/list-2k",
        Requests::LongList => path = "/list-1m",
        Requests::KeptSmall => path = "/kept-1k",
        Requests::KeptBody => path = "/kept-100k",
        Requests::Closing => {
            command.args(["-H", "Connection: close"]);
        }
        Requests::Shown(shown) => {
            let file = folder.join(format!("{}.lua", shown.file()));
            write(&file, &callers::script(shown, folder))?;
            command.arg("-s").arg(file);
        }
        Requests::Paths(count) => {
            let file = folder.join(format!("paths-{count}.lua"));
            write(&file, &script(count))?;
            command.arg("-s").arg(file);
        }
    }
    let scheme = if proxy.secure.is_some() { "https" } else { "http" };
    let address = proxy.address;
    let output =
        command.arg(format!("{scheme}://{address}{path}")).output().map_err(|e| format!("wrk: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    read_output(&text).ok_or_else(|| format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// All paths are built before the load starts; a prime step visits them far from each other.
fn script(count: usize) -> String {
    format!(
        "local n, i, built = {count}, 0, {{}}\n\
         function init(args)\n  for k = 0, n - 1 do\n    \
         built[k] = wrk.format('GET', '/svc' .. k .. '/v1/items/42')\n  end\nend\n\
         function request()\n  i = (i + 7919) % n\n  return built[i]\nend\n"
    )
}

fn read_output(text: &str) -> Option<Done> {
    let mut done = Done::default();
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            done.requests = count.parse().ok()?;
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            done.per_second = rate.trim().parse().ok()?;
        } else if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            let numbers = line.split(|c: char| !c.is_ascii_digit() && !c.is_ascii_alphabetic() && c != '-');
            done.failed += numbers.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
        }
    }
    (done.requests > 0).then_some(done)
}

/// Latencies of requests that left at a fixed rate.
#[derive(Default)]
pub(super) struct Paced {
    /// Each answered request, sorted.
    latencies: Vec<Duration>,
    pub(super) failed: u64,
    /// What failed, up to a few.
    pub(super) reasons: Vec<String>,
}

impl Paced {
    pub(super) fn answered(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// The latency that this share of the requests kept, 0.0 to 1.0.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (share * self.latencies.len() as f64) as usize;
        self.latencies.get(at.min(last)).copied().unwrap_or_default()
    }
}

/// Sends `rate` requests a second over `connections` until `time` is over or `stop` is set.
pub(super) fn paced(
    address: SocketAddr,
    path: &str,
    (rate, connections): (u32, u32),
    time: Duration,
    stop: &AtomicBool,
) -> Paced {
    let gap = Duration::from_secs(1) * connections / rate.max(1);
    let begin = Instant::now();
    let mut all = Paced::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|nth| {
                let first = begin + gap * nth / connections;
                scope.spawn(move || one_client(address, path, (first, gap), begin + time, stop))
            })
            .collect();
        for client in clients {
            let Ok(one) = client.join() else { continue };
            all.latencies.extend(one.latencies);
            all.failed += one.failed;
            all.reasons.extend(one.reasons);
        }
    });
    all.latencies.sort_unstable();
    all.reasons.truncate(5);
    all
}

/// A request that had to wait for the answer before it is late through the server: its clock starts when it
/// was due. One that was only woken late is the client's own delay: its clock starts when it leaves.
fn one_client(
    address: SocketAddr,
    path: &str,
    (first, gap): (Instant, Duration),
    end: Instant,
    stop: &AtomicBool,
) -> Paced {
    let mut paced = Paced::default();
    let mut connection: Option<Connection> = None;
    let mut due = first;
    while due < end && !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let start = if now < due {
            std::thread::sleep(due - now);
            Instant::now()
        } else {
            due
        };
        due += gap;
        match one_request(&mut connection, address, path) {
            Ok(()) => paced.latencies.push(start.elapsed()),
            Err(reason) => {
                connection = None;
                paced.failed += 1;
                paced.reasons.push(reason);
            }
        }
    }
    paced
}

fn one_request(kept: &mut Option<Connection>, address: SocketAddr, path: &str) -> Result<(), String> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        *kept = Some(Connection::open(address).map_err(|e| format!("connect: {e}"))?);
    }
    let Some(connection) = kept else { return Err("no connection".to_owned()) };
    let answer = connection.get(path).map_err(|e| format!("answer: {e}"))?;
    if answer.closes {
        *kept = None;
    }
    if answer.status == 200 { Ok(()) } else { Err(format!("status {}", answer.status)) }
}

/// The reasons in one line for a complaint.
pub(super) fn told(reasons: &[String]) -> String {
    reasons.iter().fold(String::new(), |mut all, reason| {
        // Writing into a string cannot fail.
        let _ = write!(all, "{}{reason}", if all.is_empty() { "" } else { "; " });
        all
    })
}

#[test]
fn the_output_of_wrk_is_read() {
    let text = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
                50214 requests in 1.00s, 14.12MB read\n  \
                Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 10\n\
                Requests/sec:  50110.52\nTransfer/sec:     14.09MB\n";
    assert_eq!(read_output(text), Some(Done { requests: 50214, per_second: 50110.52, failed: 20 }));
    assert_eq!(read_output("unable to connect"), None);
}

#[test]
fn the_output_of_h2load_is_read() {
    let text = "Application protocol: h2\n\nfinished in 5.00s, 12345.60 req/s, 3.45MB/s\n\
                requests: 61800 total, 61856 started, 61728 done, 61726 succeeded, 2 failed, 2 errored, 0 timeout\n\
                status codes: 61726 2xx, 0 3xx, 0 4xx, 0 5xx\n";
    assert_eq!(read_h2load(text), Some(Done { requests: 61726, per_second: 12345.6, failed: 2 }));
    assert_eq!(read_h2load("finished in 5.00s, 0.00 req/s, 0B/s\nstatus codes: 0 2xx, 0 3xx\n"), None);
}

#[test]
fn quantiles_are_taken_from_the_sorted_list() {
    let latencies = (1..=100).map(Duration::from_millis).collect();
    let paced = Paced { latencies, ..Paced::default() };
    assert_eq!(paced.quantile(0.99), Duration::from_millis(100));
    assert_eq!(paced.quantile(0.5), Duration::from_millis(51));
    assert_eq!(Paced::default().quantile(0.99), Duration::ZERO);
}
