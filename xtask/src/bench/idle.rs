//! What an idle connection costs in memory.
//! Takes a contender; gives the growth of its resident memory for each of 10,000 connections that have done
//! one request and wait, or of as many as the limit of open files lets a proxy serve.
//! It must never count what pools and caches take anyway: a short load comes before the first look.

use std::collections::BTreeMap;
use std::time::Duration;

use super::contender::{Contender, Ground};
use super::load::{self, Requests};
use super::results::Round;
use crate::Failure;

const CONNECTIONS: usize = 10_000;
/// Fewer say nothing about one of many.
const FEWEST: usize = 1_000;
/// Descriptors besides the connections.
const SPARE: u64 = 512;
/// After the last answer a proxy may still free what the requests took.
const SETTLE: Duration = Duration::from_millis(500);

pub(super) fn round(ground: &Ground, contender: &Contender) -> Result<Round, Failure> {
    let wanted = connections()?;
    let proxy = ground.start(contender)?;
    load::send(&proxy, Requests::Small, 1.0, &ground.folder)?;
    std::thread::sleep(SETTLE);
    let before = proxy.running.resident();
    let mut connections = Vec::with_capacity(wanted);
    let mut failed = 0_u32;
    for _ in 0..wanted {
        let opened = proxy.open().and_then(|mut connection| {
            connection.get("/users/1")?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => connections.push(connection),
            Err(_) => failed += 1,
        }
    }
    std::thread::sleep(SETTLE);
    let closed = connections.iter().filter(|connection| connection.is_closed()).count();
    let grown = proxy.running.resident().saturating_sub(before);
    let open = connections.len() - closed;
    if open == 0 {
        return Err(format!("{} keeps no idle connection", contender.name));
    }
    Ok(BTreeMap::from([
        ("idle_bytes".to_owned(), grown as f64 / open as f64),
        ("connections".to_owned(), open as f64),
        ("resident_mib".to_owned(), proxy.running.resident() as f64 / (1024.0 * 1024.0)),
        ("failed".to_owned(), f64::from(failed) + closed as f64),
    ]))
}

/// How many connections a proxy may serve that keeps a descriptor free for what each may ask of the origin.
fn connections() -> Result<usize, Failure> {
    use rustix::process::{Resource, getrlimit};
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(CONNECTIONS) };
    let served = usize::try_from(limit.saturating_sub(SPARE) / 2).unwrap_or(CONNECTIONS);
    if served < FEWEST {
        return Err(format!(
            "the limit of open files is {limit}: too low for {FEWEST} connections of a proxy"
        ));
    }
    Ok(served.min(CONNECTIONS))
}
