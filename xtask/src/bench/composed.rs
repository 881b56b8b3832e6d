//! What one answer made of three costs, and how long it takes.
//! Takes a contender; gives its processor time for one such answer and the time of three services that take 100 ms each.
//! It must never set one request beside three: who is asked three times is counted for all of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Plan;
use super::contender::{Contender, Ground, Proxy, Routes};
use super::load::{self, Requests};
use super::results::Round;
use crate::Failure;
use crate::wire::Connection;

/// What each of the slow services takes.
const SLOW: Duration = Duration::from_millis(100);
/// Requests a second and connections for the slow ones: none waits for another.
const PACE: (u32, u32) = (40, 10);

/// What is asked for of a contender while its processor time is counted.
pub(super) fn requests(contender: &Contender) -> Requests {
    if is_whole(contender) { Requests::Composed } else { Requests::Small }
}

/// Adds what is told of a contender besides, and counts three requests as one where there are three.
pub(super) fn round(proxy: &Proxy, contender: &Contender, plan: &Plan, mut round: Round) -> Round {
    let (path, times) = if is_whole(contender) { ("/slow", 1.0) } else { ("/slow-one", 3.0) };
    let of_three = [("cpu_us", times), ("per_second", 1.0 / times)];
    for (figure, factor) in of_three {
        if let Some(value) = round.get_mut(figure) {
            *value *= factor;
        }
    }
    let time = Duration::from_secs_f64(plan.seconds);
    let paced = load::paced(proxy.address, path, PACE, time, &AtomicBool::new(false));
    if paced.failed > 0 {
        eprintln!("failed: {}", load::told(&paced.reasons));
    }
    for (figure, share) in [("slow_p50_ms", 0.50), ("slow_p99_ms", 0.99)] {
        round.insert(figure.to_owned(), times * paced.quantile(share).as_secs_f64() * 1e3);
    }
    *round.entry("failed".to_owned()).or_default() += paced.failed as f64;
    round
}

/// Whether it gives the whole answer itself, and is not asked three times.
fn is_whole(contender: &Contender) -> bool {
    contender.routes == Routes::Composed
}

/// The routes of our own contender.
pub(super) fn routes(ground: &Ground) -> String {
    let slow = format!("http://{}", ground.slow);
    let parts = |to: &str| format!("user: {to} /users/1, orders: {to} /users/2, payments: {to} /users/3");
    format!(
        "  /*: {{ to: origin }}\n  /composed: {{ aggregate: {{ {} }} }}\n  /slow: {{ aggregate: {{ {} }} }}\n",
        parts("origin"),
        parts(&slow)
    )
}

/// The route to one slow service, for who asks three times.
pub(super) fn plain_routes(ground: &Ground) -> String {
    format!("  /*: {{ to: origin }}\n  /slow-one: {{ to: \"http://{}\" }}\n", ground.slow)
}

/// A service that takes its time, on a thread for each connection, until the program ends.
pub(super) fn start_slow() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The end of a connection is its owner's business.
            std::thread::spawn(move || Connection::over(stream).and_then(serve));
        }
    });
    Ok(address)
}

fn serve(mut connection: Connection) -> io::Result<()> {
    loop {
        connection.read_head()?;
        std::thread::sleep(SLOW);
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"id\":1}",
        )?;
    }
}

/// What has to be there for a contender that stands beside ours.
pub(super) fn node() -> Result<std::path::PathBuf, Failure> {
    crate::programs::find("node").ok_or_else(|| "node is not installed".to_owned())
}
