//! `cargo xtask soak --upgrades 20`: new processes take over, one after the other, under a steady load.
//! Takes a number of upgrades and a rate; gives a table, and a failure if a request failed, a WebSocket was dropped, or
//! a process did not take over or did not end.
//! It must never try a failed request again. A quarter of the load comes over connections of HTTP/1.1 kept as long as
//! they last, a quarter over a new one for each request, a quarter over TLS with a new connection for each, whose
//! sessions are taken up again, and a quarter over HTTP/2 under TLS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::{ClientConfig, HandshakeKind};

use super::{Counted, Gateway, Options, ask, http2};
use crate::Failure;
use crate::websocket::WebSocket;
use crate::wire::Connection;

/// From one upgrade to the next.
const PAUSE: Duration = Duration::from_secs(2);
/// A process that does not serve, or not end, after this time has failed.
const LIMIT: Duration = Duration::from_secs(30);
/// Texts on one WebSocket, one each second: fewer than fit into the time of draining.
const TEXTS: u64 = 5;

/// How a gateway ends in these runs: soon, so that not too many processes drain at a time.
pub(super) const DRAIN: &str = "drain: { timeout: 10s, spread: 4s }\n";

/// Where the load comes to: in clear, and under TLS.
pub(super) const LISTENERS: &str = "listeners:\n  main: 127.0.0.1:0\n  secure: { address: 127.0.0.1:0, tls: \
{ certificates: { cert: tls.crt, key: tls.key } } }\n";

/// The listener under TLS, and what its clients believe.
struct Secure {
    address: SocketAddr,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Secure {
    fn find(ready: &Path) -> Result<Secure, Failure> {
        let told = fs::read(ready).map_err(|e| format!("{}: {e}", ready.display()))?;
        let told: serde_json::Value = serde_json::from_slice(&told).map_err(|e| e.to_string())?;
        let address = told.pointer("/listeners/secure").and_then(|address| address.as_str()?.parse().ok());
        let http1 = crate::tls::client(ready.parent().unwrap_or(ready), true)?;
        let mut http2 = ClientConfig::clone(&http1);
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Secure { address: address.ok_or("no listener under TLS")?, http1, http2: Arc::new(http2) })
    }
}

/// Hands over so many times while the load goes on; gives the time of each from the signal until the next one served.
pub(super) fn run(
    gateway: &Gateway,
    ready: &Path,
    options: &Options,
    counted: &Counted,
) -> Result<Vec<Duration>, Failure> {
    let secure = &Secure::find(ready)?;
    let mut pids = vec![pid_in(ready).ok_or("no process in the ready file")?];
    let mut times = Vec::new();
    let outcome = std::thread::scope(|scope| {
        for client in 0..options.clients {
            let pace = Duration::from_secs_f64(f64::from(options.clients) / f64::from(options.rate.max(1)));
            scope.spawn(move || match client % 4 {
                2 => keep_pace_under_tls(secure, client, pace, counted),
                3 => http2::keep_pace(secure.address, &secure.http2, client, pace, counted),
                _ => keep_pace(gateway, client, pace, counted),
            });
        }
        for nth in 0..options.websockets {
            scope.spawn(move || keep_websockets(gateway, nth, counted));
        }
        let outcome = (0..options.upgrades).try_for_each(|_| {
            std::thread::sleep(PAUSE);
            times.push(hand_over(ready, &mut pids)?);
            Ok(())
        });
        std::thread::sleep(PAUSE);
        counted.stop.store(true, Ordering::Relaxed);
        outcome
    });
    let last = pids.pop();
    let ended = pids.iter().try_for_each(|pid| wait_for_end(*pid));
    if let Some(last) = last {
        let _ = kill_process(last, Signal::TERM);
        wait_for_end(last)?;
    }
    outcome.and(ended).map(|()| times)
}

fn pid_in(ready: &Path) -> Option<Pid> {
    let told: serde_json::Value = serde_json::from_slice(&fs::read(ready).ok()?).ok()?;
    Pid::from_raw(i32::try_from(told.get("pid")?.as_i64()?).ok()?)
}

fn hand_over(ready: &Path, pids: &mut Vec<Pid>) -> Result<Duration, Failure> {
    let before = *pids.last().ok_or("no process")?;
    let begin = Instant::now();
    kill_process(before, Signal::USR2).map_err(|e| format!("SIGUSR2: {e}"))?;
    while begin.elapsed() < LIMIT {
        if let Some(now) = pid_in(ready).filter(|now| *now != before) {
            pids.push(now);
            return Ok(begin.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("upgrade {} has not taken after {} s", pids.len(), LIMIT.as_secs()))
}

/// Waits until a process is gone, or nothing but its entry is left.
fn wait_for_end(pid: Pid) -> Result<(), Failure> {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let lives = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let begin = Instant::now();
    while lives() {
        if begin.elapsed() > LIMIT {
            let _ = kill_process(pid, Signal::KILL);
            return Err(format!("process {} has not ended", pid.as_raw_nonzero()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// One client: a request each `pace`, every second client over new connections only.
fn keep_pace(gateway: &Gateway, client: u32, pace: Duration, counted: &Counted) {
    let (mut kept, begin) = (None, Instant::now());
    for number in 0_u32.. {
        std::thread::sleep((begin + pace * number).saturating_duration_since(Instant::now()));
        if !counted.goes_on() {
            return;
        }
        let path = format!("/items/{client}/{number}");
        match ask(&mut kept, gateway.address, &path) {
            Ok(()) => {
                counted.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(reason) => {
                kept = None;
                counted.complain(&counted.failed, format!("GET {path}: {reason}"));
            }
        }
        if client % 2 == 1 {
            kept = None;
        }
    }
}

/// One client: a request each `pace`, each over a TLS connection of its own.
fn keep_pace_under_tls(secure: &Secure, client: u32, pace: Duration, counted: &Counted) {
    let begin = Instant::now();
    for number in 0_u32.. {
        std::thread::sleep((begin + pace * number).saturating_duration_since(Instant::now()));
        if !counted.goes_on() {
            return;
        }
        let path = format!("/items/{client}/{number}");
        let asked = Connection::open_secure(secure.address, &secure.http1).and_then(|mut connection| {
            let answer = connection.get(&path)?;
            Ok((answer, connection.handshake_kind()))
        });
        match asked {
            Ok((answer, kind)) if answer.status == 200 && answer.body == path.as_bytes() => {
                counted.answered.fetch_add(1, Ordering::Relaxed);
                counted.secure.fetch_add(1, Ordering::Relaxed);
                counted.resumed.fetch_add(u64::from(kind == Some(HandshakeKind::Resumed)), Ordering::Relaxed);
            }
            Ok((answer, _)) => {
                counted.complain(&counted.failed, format!("GET {path} over TLS: status {}", answer.status));
            }
            Err(e) => counted.complain(&counted.failed, format!("GET {path} over TLS: {e}")),
        }
    }
}

/// One WebSocket after the other, each open for some seconds, over the end of the process that it came to.
fn keep_websockets(gateway: &Gateway, nth: u32, counted: &Counted) {
    while counted.goes_on() {
        let mut socket = match WebSocket::open(gateway.address, "/ws") {
            Ok(socket) => socket,
            Err(e) => {
                return counted.complain(&counted.dropped, format!("WebSocket {nth} does not open: {e}"));
            }
        };
        for number in 0..TEXTS {
            if let Err(e) = socket.echo(&format!("{nth}/{number}")) {
                return counted
                    .complain(&counted.dropped, format!("WebSocket {nth} after {number} texts: {e}"));
            }
            counted.echoes.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}
