//! 5,000 requests a second for one answer that is kept for a second.
//! Gives how often the origin was asked, which takes its time for each answer.
//! It must never count what the gateway says: the origin counts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::Pace;
use super::{ask, is_good, origin, start};
use crate::Failure;

const CLIENTS: u32 = 64;
const RATE: u32 = 5_000;
const TIME: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(1);
/// How long the origin takes: long enough that hundreds would ask meanwhile.
const TAKES: Duration = Duration::from_millis(50);
const PATH: &str = "/one";

pub(super) fn run(binary: &Path, folder: &Path) -> Result<(), Failure> {
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = asked.clone();
    let origin = origin::start(Duration::from_secs(60), move |_, _| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        std::thread::sleep(TAKES);
        200
    });
    let origin = origin.map_err(|e| format!("origin: {e}"))?;
    let route = format!(", cache: {{ ttl: {}s }}", TTL.as_secs());
    let (gateway, address) = start((binary, folder), origin, ("", &route))?;
    let begin = Instant::now();
    let (good, bad) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|nth| Pace::of((nth, CLIENTS), RATE, begin + TIME))
            .map(|mut pace| {
                scope.spawn(move || {
                    let (mut kept, mut counts) = (None, (0_u64, 0_u64));
                    while pace.goes_on() {
                        let good = is_good(ask(&mut kept, address, "GET", PATH).as_ref(), PATH);
                        *(if good { &mut counts.0 } else { &mut counts.1 }) += 1;
                    }
                    counts
                })
            })
            .collect();
        let counts = clients.into_iter().filter_map(|client| client.join().ok());
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let took = begin.elapsed();
    drop(gateway);
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    tell((good, bad), took, &asked)
}

fn tell((good, bad): (u64, u64), took: Duration, asked: &[Instant]) -> Result<(), Failure> {
    let gaps =
        asked.windows(2).filter_map(|pair| Some(pair.get(1)?.saturating_duration_since(*pair.first()?)));
    let shortest = gaps.min().unwrap_or_default();
    let seconds = took.as_secs_f64();
    println!("| one answer, kept for {} s, asked for by all | figure |\n|---|---|", TTL.as_secs());
    println!("| requests | {good} in {seconds:.1} s, {:.0}/s |", good as f64 / seconds);
    println!("| failed | {bad} |");
    println!("| requests at the origin | {} |", asked.len());
    println!("| shortest time between two of them | {:.0} ms |", shortest.as_secs_f64() * 1e3);
    let most = (seconds / TTL.as_secs_f64()).floor() as usize + 1;
    if asked.is_empty() || good == 0 {
        return Err("nothing was tried".to_owned());
    }
    if bad > 0 {
        return Err(format!("{bad} requests for what is kept failed"));
    }
    if asked.len() > most {
        return Err(format!("the origin was asked {} times in {seconds:.1} s", asked.len()));
    }
    Ok(())
}
