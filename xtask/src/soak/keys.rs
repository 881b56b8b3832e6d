//! `cargo xtask soak --keys 1000000`: what so many live keys of a local limit weigh.
//! Takes how many keys and clients; gives the resident memory of a gateway without the limit and of one with it, and a
//! failure where the keys weigh more than 100 bytes each, more than one in ten thousand was dropped for others, or a
//! request failed.
//! It must never reckon what can be measured: memory is what the system says of the process.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Options, shared};
use crate::bench::contender::wait_for_ready_file;
use crate::process::Running;
use crate::wire::Connection;
use crate::{Failure, workspace};

/// Bytes that a key may weigh: a million in 100 MB.
const MOST_BYTES: f64 = 100.0;
/// Of so many keys one may find its place taken by others.
const DROPPED_OF: f64 = 10_000.0;

pub(super) fn run(keys: u64, options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    // What a process takes for requests alone: as many from as many clients.
    let (running, address, _) = start(&binary, &folder, "")?;
    let failed = ask_all(address, keys, options.clients);
    let without = running.resident();
    drop(running);
    let limit = ", rate_limit: { rate: 100/day, per: header.x-key }";
    let (running, address, admin) = start(&binary, &folder, limit)?;
    let begin = Instant::now();
    let failed = failed + ask_all(address, keys, options.clients);
    let (with, took) = (running.resident(), begin.elapsed());
    let live = shared::figure(admin, "tidegate_rate_limit_keys ")?;
    let dropped = shared::figure(admin, "tidegate_rate_limit_dropped_total ")?;
    drop(running);
    let each = with.saturating_sub(without) as f64 / keys.max(1) as f64;
    println!("| keys of a local limit | figure |\n|---|---|");
    println!("| keys, each with a request | {keys} in {:.0} s |", took.as_secs_f64());
    println!("| keys that are known after, and dropped | {live:.0}, {dropped:.0} |");
    println!("| requests that failed | {failed} |");
    println!(
        "| resident memory without the limit and with it | {:.1} MB, {:.1} MB |",
        without as f64 / 1e6,
        with as f64 / 1e6
    );
    println!("| for each key | {each:.1} bytes |");
    if failed > 0 || dropped > keys as f64 / DROPPED_OF || live + dropped < keys as f64 {
        return Err("not every key was counted".to_owned());
    }
    if each > MOST_BYTES {
        return Err(format!("a key weighs {each:.1} bytes, {MOST_BYTES} at most"));
    }
    let _ = fs::remove_dir_all(&folder);
    Ok(())
}

fn start(binary: &Path, folder: &Path, limit: &str) -> Result<(Running, SocketAddr, SocketAddr), Failure> {
    let (file, ready) = (folder.join("gateway.yaml"), folder.join("ready.json"));
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ access: \"off\" }}\n\
         routes:\n  /*: {{ respond: ok{limit} }}\n"
    );
    // Another gateway has served from here.
    let _ = fs::remove_file(&ready);
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
    let log = folder.join("gateway.log");
    let mut running = Running::start("tidegate", None, &line, &log)?;
    let address = wait_for_ready_file(&mut running, &ready);
    let address = address.map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
    Ok((running, address, shared::admin_in(&ready)?))
}

/// Sends one request for each key; how many were not answered by 200.
fn ask_all(address: SocketAddr, keys: u64, clients: u32) -> u64 {
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut kept: Option<Connection> = None;
                loop {
                    let key = next.fetch_add(1, Ordering::Relaxed);
                    if key >= keys {
                        return;
                    }
                    if ask(&mut kept, address, key).is_none() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failed.into_inner()
}

fn ask(kept: &mut Option<Connection>, address: SocketAddr, key: u64) -> Option<()> {
    if kept.is_none() {
        *kept = Connection::open(address).ok();
    }
    let answer = kept.as_mut()?.get_with("/", &format!("X-Key: client-{key}\r\n"));
    if answer.as_ref().map_or(true, |answer| answer.closes) {
        *kept = None;
    }
    (answer.ok()?.status == 200).then_some(())
}
