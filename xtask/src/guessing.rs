//! `cargo xtask guessing`: whether the time of a refusal tells how much of an API key was guessed.
//! Takes a number of tries; gives the mean times of keys that nobody has and of a key that is right but for its last
//! letter, and Welch's t, which must stay below 4.5; a failure if it does not.
//! It must never compare tries of different moments: the two kinds come in random order over one connection.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::bench::contender::wait_for_ready_file;
use crate::process::Running;
use crate::wire::Connection;
use crate::{Failure, workspace};

/// The threshold beyond which the two are told apart, as usual in tests of leaks.
const THRESHOLD: f64 = 4.5;
/// The slowest share of the tries, which say more of the machine than of the gateway, is left out.
const LEFT_OUT: f64 = 0.05;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Tries of each kind
    #[arg(long, default_value_t = 100_000)]
    tries: usize,
    /// Try this binary instead of building one
    #[arg(long)]
    gateway: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("guessing-{}", std::process::id()));
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    let made = Command::new(&binary).args(["key", "new", "--json"]).output().map_err(failed)?;
    let made: serde_json::Value =
        serde_json::from_slice(&made.stdout).map_err(|e| format!("key new: {e}"))?;
    let made_text = |name: &str| made.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let (key, hash) = (made_text("key"), made_text("hash"));
    let (file, ready, log) =
        (folder.join("gateway.yaml"), folder.join("ready.json"), folder.join("gateway.log"));
    let text = format!(
        "listen: 127.0.0.1:0\nworkers: 1\nlog: {{ access: \"off\" }}\nconsumers: {{ one: {{ api_keys: \"{hash}\" }} }}\n\
         routes: {{ /*: {{ respond: ok, api_key: {{ max_failures: 1000000000/s }} }} }}\n"
    );
    fs::write(&file, text).map_err(failed)?;
    let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
    let mut running = Running::start("tidegate", None, &line, &log)?;
    let address = wait_for_ready_file(&mut running, &ready)
        .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
    let guess = key.get(..key.len().saturating_sub(1)).map(|most| format!("{most}~")).unwrap_or_default();
    let stranger = format!("tgk_{}", "~".repeat(key.len().saturating_sub(4)));
    let mut connection = Connection::open(address).map_err(|e| format!("{address}: {e}"))?;
    let mut times = [Vec::with_capacity(options.tries), Vec::with_capacity(options.tries)];
    let (coin, warm) = (RandomState::new(), options.tries / 10);
    for nth in 0..options.tries.saturating_mul(2).saturating_add(warm) {
        let kind = usize::from(coin.hash_one(nth) & 1 == 1);
        let key = if kind == 1 { &guess } else { &stranger };
        let line = format!("X-API-Key: {key}\r\n");
        let started = Instant::now();
        let answer = connection.get_with("/", &line).map_err(|e| format!("a guess: {e}"))?;
        let took = started.elapsed().as_nanos() as f64;
        if answer.status != 401 {
            return Err(format!("a guess was answered with {}", answer.status));
        }
        if answer.closes {
            connection = Connection::open(address).map_err(|e| format!("{address}: {e}"))?;
        } else if nth >= warm
            && let Some(times) = times.get_mut(kind)
        {
            times.push(took);
        }
    }
    drop(running);
    let _ = fs::remove_dir_all(&folder);
    tell(times)
}

fn tell(mut times: [Vec<f64>; 2]) -> Result<(), Failure> {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let place = (all.len() as f64 * (1.0 - LEFT_OUT)) as usize;
    let longest = all.get(place).copied().unwrap_or(f64::MAX);
    times.iter_mut().for_each(|times| times.retain(|time| *time <= longest));
    let [(a, mean_a, var_a), (b, mean_b, var_b)] = times.map(|times| moments(&times));
    let t = (mean_a - mean_b) / (var_a / a + var_b / b).sqrt();
    println!("keys that nobody has: {mean_a:.0} ns ({a} tries)");
    println!("a key right but for its last letter: {mean_b:.0} ns ({b} tries)");
    println!("Welch's t: {t:.2}");
    if t.abs() < THRESHOLD { Ok(()) } else { Err(format!("|t| is not below {THRESHOLD}: the time tells")) }
}

/// How many, their mean and their variance.
fn moments(times: &[f64]) -> (f64, f64, f64) {
    let count = times.len().max(2) as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (count, mean, variance)
}
