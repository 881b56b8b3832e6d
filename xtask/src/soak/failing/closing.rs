//! An origin that closes each connection that has rested for a fraction of a second, and requests that come just then.
//! Takes whether the gateway knows that time; gives what became of 20,000 requests, half of them POSTs.
//! It must never take a POST for sent that the origin has not read whole: the origin writes each down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{ask, is_good, origin, start};
use crate::Failure;

const REQUESTS: usize = 20_000;
/// All may connect at once: fewer than may wait to be accepted by the origin (128).
const CLIENTS: usize = 100;
/// The pauses between the moments at which all clients send, in hundredths of the origin's time, one after the other: over and
/// over through the instants in which either side gives a connection up. All send at once, so that each takes a connection that
/// has rested since the moment before.
const PAUSES: std::ops::Range<u32> = 50..125;

/// What the gateway knows of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Its own connections rest for a shorter time, as they do by default (4 s) where an origin closes after 5 s.
    Told,
    /// It lets them rest for as long as it likes.
    Untold,
}

impl Rest {
    /// How long a connection may rest at the origin. A gateway that is told needs more between the two times than the longest
    /// pause that a busy machine makes.
    fn idle(self) -> Duration {
        Duration::from_millis(if self == Rest::Told { 250 } else { 100 })
    }

    /// What stands at the service.
    fn settings(self) -> &'static str {
        if self == Rest::Told { ", keep_alive: { idle: 150ms }" } else { "" }
    }
}

/// How often the origin has read each POST.
type Read = Arc<Mutex<HashMap<String, u32>>>;

pub(super) fn run(binary: &Path, folder: &Path, rest: Rest) -> Result<(), Failure> {
    let read = Read::default();
    let noted = read.clone();
    let origin = origin::start(rest.idle(), move |method, path| {
        if method == "POST" {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            *noted.entry(path.to_owned()).or_default() += 1;
        }
        200
    });
    let origin = origin.map_err(|e| format!("origin: {e}"))?;
    let (gateway, address) = start((binary, folder), origin, (rest.settings(), ""))?;
    let begin = Instant::now();
    let sent: Vec<One> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|nth| scope.spawn(move || keep_asking((nth, rest), address, begin))).collect();
        clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect()
    });
    drop(gateway);
    let read = read.lock().unwrap_or_else(PoisonError::into_inner);
    tell(&sent, &read, rest)
}

/// One request, and whether its answer was good.
struct One {
    path: String,
    is_post: bool,
    good: bool,
    /// None where there was no answer at all.
    status: Option<u16>,
}

fn keep_asking((client, rest): (usize, Rest), address: SocketAddr, begin: Instant) -> Vec<One> {
    let (mut kept, mut sent, mut moment) = (None, Vec::new(), begin);
    let pauses = PAUSES.cycle().take(REQUESTS / CLIENTS);
    for (nth, hundredths) in pauses.enumerate() {
        std::thread::sleep(moment.saturating_duration_since(Instant::now()));
        moment += rest.idle() * hundredths / 100;
        let (path, is_post) = (format!("/{client}/{nth}"), (nth + client) % 2 == 1);
        let method = if is_post { "POST" } else { "GET" };
        let answer = ask(&mut kept, address, method, &path);
        let status = answer.as_ref().map(|answer| answer.status);
        sent.push(One { good: is_good(answer.as_ref(), &path), path, is_post, status });
    }
    sent
}

fn tell(sent: &[One], read: &HashMap<String, u32>, rest: Rest) -> Result<(), Failure> {
    let count = |which: &dyn Fn(&One) -> bool| sent.iter().filter(|one| which(one)).count();
    let times = |one: &One| read.get(&one.path).copied().unwrap_or(0);
    let gets = count(&|one| !one.is_post && !one.good);
    let refused = count(&|one| one.is_post && !one.good);
    let unknown = count(&|one| one.is_post && !one.good && times(one) > 0);
    let twice = count(&|one| times(one) > 1);
    let lost = count(&|one| one.is_post && one.good && times(one) == 0);
    let title = if rest == Rest::Told { "sooner than the origin" } else { "as they like" };
    println!("| connections that an origin closes, and the gateway {title} | figure |\n|---|---|");
    println!("| requests, of them POSTs | {}, {} |", sent.len(), count(&|one| one.is_post));
    println!("| GETs without their answer | {gets} |");
    println!("| POSTs without their answer, of them read by the origin | {refused}, {unknown} |");
    println!("| POSTs read twice, and answered but never read | {twice}, {lost} |");
    for one in sent.iter().filter(|one| !one.good).take(10) {
        eprintln!("{}: {:?}", one.path, one.status);
    }
    let mut faults = Vec::new();
    if gets > 0 {
        faults.push(format!("{gets} GETs failed because a connection was closed"));
    }
    if twice > 0 || lost > 0 || unknown > 0 {
        faults.push("POSTs were read twice, or not as clients were told".to_owned());
    }
    // Who lets connections rest for longer than the origin can only find out by sending.
    if rest == Rest::Told && refused > 0 {
        faults.push(format!("{refused} POSTs failed because a connection was closed"));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}
