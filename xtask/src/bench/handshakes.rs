//! Connections that carry one request each, under TLS: what a handshake costs.
//! Takes a proxy and whether sessions are taken up again; gives how many came about in a time, and what failed.
//! It must never count a handshake of the other kind: one that should have been resumed and was not is a failure.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, HandshakeKind};

use super::load::Done;
use crate::wire::Connection;
use crate::{Failure, tls};

/// Clients that do one connection after the other.
const CLIENTS: usize = 8;

pub(super) fn run(address: SocketAddr, resumed: bool, time: f64, folder: &Path) -> Result<Done, Failure> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(time);
    let configs = (0..CLIENTS).map(|_| tls::client(folder, resumed)).collect::<Result<Vec<_>, Failure>>()?;
    let counted: Vec<(u64, u64, String)> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            configs.iter().map(|config| scope.spawn(|| one_client(address, config, resumed, end))).collect();
        clients.into_iter().filter_map(|client| client.join().ok()).collect()
    });
    let requests = counted.iter().map(|(done, ..)| done).sum::<u64>();
    let failed = counted.iter().map(|(_, failed, _)| failed).sum::<u64>();
    if let Some((.., why)) = counted.iter().find(|(_, failed, _)| *failed > 0) {
        eprintln!("failed handshakes: {why}");
    }
    if requests == 0 {
        return Err(format!("no handshake with {address}"));
    }
    Ok(Done { requests, per_second: requests as f64 / begin.elapsed().as_secs_f64(), failed })
}

/// Connections done, those that failed, and why the last one did.
fn one_client(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    resumed: bool,
    end: Instant,
) -> (u64, u64, String) {
    let (mut done, mut failed, mut why) = (0, 0, String::new());
    let wanted = if resumed { HandshakeKind::Resumed } else { HandshakeKind::Full };
    // The first of all gives the ticket for the second.
    let mut first = resumed;
    while Instant::now() < end {
        match connection(address, config) {
            _ if std::mem::take(&mut first) => {}
            Ok(kind) if kind == Some(wanted) => done += 1,
            Ok(kind) => (failed, why) = (failed + 1, format!("{kind:?} where {wanted:?} was wanted")),
            Err(e) => (failed, why) = (failed + 1, e.to_string()),
        }
    }
    (done, failed, why)
}

fn connection(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Option<HandshakeKind>> {
    let mut connection = Connection::open_secure(address, config)?;
    let answer = connection.get_last("/users/1")?;
    if answer.status != 200 {
        return Err(crate::wire::broken("an answer other than 200"));
    }
    Ok(connection.handshake_kind())
}
