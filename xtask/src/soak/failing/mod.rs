//! `cargo xtask soak --failing`: an origin that fails half of the time, one that closes connections at rest, and one that all ask
//! for the same.
//! Takes a gateway; gives a table for each, and a failure where what `docs/failing.md` and `docs/cache.md` promise did not hold.
//! It must never send a request again itself, and each answer is compared with what was asked.

mod closing;
mod halves;
mod one_key;
mod origin;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::Options;
use crate::bench::contender::wait_for_ready_file;
use crate::process::Running;
use crate::wire::{Answer, Connection};
use crate::{Failure, workspace};

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let tried = [
        halves::run(&binary, &folder, options.rate),
        closing::run(&binary, &folder, closing::Rest::Told),
        closing::run(&binary, &folder, closing::Rest::Untold),
        one_key::run(&binary, &folder),
    ];
    let faults: Vec<Failure> = tried.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() {
        let _ = fs::remove_dir_all(&folder);
        return Ok(());
    }
    Err(faults.join("; "))
}

/// A gateway in front of one origin; `service` and `route` are what stands beside its target and its name.
fn start(
    (binary, folder): (&Path, &Path),
    origin: SocketAddr,
    (service, route): (&str, &str),
) -> Result<(Running, SocketAddr), Failure> {
    let (file, ready) = (folder.join("gateway.yaml"), folder.join("ready.json"));
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: \"127.0.0.1:0\" }}\nlog: {{ access: \"off\" }}\n\
         services:\n  origin: {{ targets: \"http://{origin}\"{service} }}\nroutes:\n  /*: {{ to: origin{route} }}\n"
    );
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let _ = fs::remove_file(&ready);
    let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
    let log = folder.join("gateway.log");
    let mut running = Running::start("tidegate", None, &line, &log)?;
    let address = wait_for_ready_file(&mut running, &ready);
    let address = address.map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
    Ok((running, address))
}

/// One request over a connection that is kept while both sides want that.
fn ask(kept: &mut Option<Connection>, address: SocketAddr, method: &str, path: &str) -> Option<Answer> {
    if kept.as_ref().is_none_or(Connection::is_closed) {
        *kept = Connection::open(address).ok();
    }
    let connection = kept.as_mut()?;
    let answer = if method == "POST" { connection.post(path) } else { connection.get(path) }.ok();
    if answer.as_ref().is_none_or(|answer| answer.closes) {
        *kept = None;
    }
    answer
}

/// Whether it is the good answer to this request.
fn is_good(answer: Option<&Answer>, path: &str) -> bool {
    answer.is_some_and(|answer| answer.status == 200 && answer.body == path.as_bytes())
}
