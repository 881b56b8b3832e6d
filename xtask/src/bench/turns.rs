//! What one thing adds to a request: two of our own proxies, one with it and one without, in turns of a moment.
//! Takes a job that has both; gives the median of the differences between neighbours, and where it lies with 95 % certainty.
//! It must never compare times of the machine that are far apart: rounds of a second differ by more than what is looked for.

use std::time::Duration;

use super::contender::{Ground, Proxy};
use super::jobs::Job;
use super::load::Requests;
use crate::Failure;
use crate::wire::Connection;

/// Connections to each proxy; all of them ask before any answer is read.
const CONNECTIONS: usize = 64;
/// How often all of them ask in one turn.
const ASKED: usize = 30;
/// How often they ask in the beginning of a turn without being counted: the caches of the core are full of the other proxy,
/// and each of the callers is seen once. A gateway in use shares its core with no other.
const UNCOUNTED: usize = 16;
/// Rounds after which both proxies are started anew: where a process happens to lie in memory is worth as much as what is
/// looked for.
const ROUNDS_OF_A_START: usize = 25;
/// Turns that only warm: every caller has been seen then.
const WARM_UP: usize = 3;

/// A proxy and the connections that ask it.
struct Side {
    // Closed before the proxy is asked to end, which would wait for them.
    connections: Vec<Connection>,
    proxy: Proxy,
    /// Which request is next.
    next: usize,
}

/// What was found, in microseconds of CPU time for each request.
struct Added {
    without: f64,
    with: f64,
    median: f64,
    /// Where the true median lies with a certainty of 95 %.
    between: (f64, f64),
}

/// Measures jobs so, each in so many rounds, and prints a table.
pub(super) fn run(jobs: &[&Job], rounds: usize, ground: &Ground) -> Result<(), Failure> {
    println!(
        "| job | without | with | added, median of {rounds} rounds | with 95 % certainty |\n|---|---|---|---|---|"
    );
    for job in jobs {
        let Added { without, with, median, between: (least, most) } = added(job, rounds, ground)?;
        let name = job.name;
        println!(
            "| {name} | {without:.2} µs | {with:.2} µs | {median:+.2} µs | {least:+.2} to {most:+.2} µs |"
        );
    }
    Ok(())
}

fn added(job: &Job, rounds: usize, ground: &Ground) -> Result<Added, Failure> {
    let contenders = job.contenders(&["Tidegate".to_owned()]);
    let (Some(requests), [without, with]) = (job.requests(), contenders.as_slice()) else {
        return Err(format!("`{}` does not measure the gateway with and without one thing", job.name));
    };
    let (mut bare, mut full, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    while differences.len() < rounds.max(1) {
        let mut sides = [Side::start(ground.start(without)?)?, Side::start(ground.start(with)?)?];
        let texts = texts(requests, ground)?;
        for side in &mut sides {
            for _ in 0..WARM_UP {
                side.turn(&texts)?;
            }
        }
        let [without, with] = &mut sides;
        for _ in 0..ROUNDS_OF_A_START.min(rounds) {
            // What drifts in the course of a round is the same for both.
            let turns =
                [without.turn(&texts)?, with.turn(&texts)?, with.turn(&texts)?, without.turn(&texts)?];
            let [first, second, third, last] = turns;
            bare.extend([first, last]);
            full.extend([second, third]);
            differences.push((second + third - first - last) / 2.0);
        }
    }
    differences.sort_by(f64::total_cmp);
    let place = |share: f64| (share.clamp(0.0, 1.0) * (differences.len() - 1) as f64).round() as usize;
    // Ranks between which the median of a population lies (David and Nagaraja, Order Statistics, 3rd edition, section 7.1).
    let reach = 0.98 / (differences.len() as f64).sqrt();
    let at = |share: f64| differences.get(place(share)).copied().unwrap_or_default();
    let between = (at(0.5 - reach), at(0.5 + reach));
    Ok(Added { without: middle(bare), with: middle(full), median: at(0.5), between })
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The requests, which are sent in turn.
fn texts(requests: Requests, ground: &Ground) -> Result<Vec<Vec<u8>>, Failure> {
    let text = |line: &str| format!("GET /users/1 HTTP/1.1\r\nHost: bench\r\n{line}\r\n").into_bytes();
    let Requests::Shown(shown) = requests else { return Ok(vec![text("")]) };
    let file = ground.folder.join(shown.file());
    let all = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let (name, before) = shown.header();
    Ok(all.lines().map(|value| text(&format!("{name}: {before}{value}\r\n"))).collect())
}

impl Side {
    fn start(proxy: Proxy) -> Result<Side, Failure> {
        let connections = (0..CONNECTIONS).map(|_| proxy.open()).collect::<Result<_, _>>();
        Ok(Side { connections: connections.map_err(|e| format!("a client: {e}"))?, proxy, next: 0 })
    }

    /// Microseconds of CPU time for each request of a turn.
    fn turn(&mut self, texts: &[Vec<u8>]) -> Result<f64, Failure> {
        self.ask(texts, UNCOUNTED)?;
        let before = self.proxy.running.cpu();
        self.ask(texts, ASKED)?;
        let spent: Duration = self.proxy.running.cpu().saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / (ASKED * CONNECTIONS) as f64)
    }

    /// All connections ask, so often.
    fn ask(&mut self, texts: &[Vec<u8>], times: usize) -> Result<(), Failure> {
        for _ in 0..times {
            for connection in &mut self.connections {
                let text = texts.get(self.next % texts.len().max(1)).map_or(&[][..], Vec::as_slice);
                self.next += 1;
                connection.send(text).map_err(|e| format!("a client: {e}"))?;
            }
            for connection in &mut self.connections {
                let answer = connection.read_answer().map_err(|e| format!("a client: {e}"))?;
                if answer.status != 200 {
                    return Err(format!("a client got {}: {}", answer.status, answer.head));
                }
            }
        }
        Ok(())
    }
}
