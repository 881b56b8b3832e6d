//! Gentle traffic: a client in the gateway's own process that visits the shop about ten times a second.
//!
//! Takes the gateway's address, gives requests over all routes in a fixed round, good and bad ones. Its
//! answers are thrown away: the gateway's log and metrics tell. It must never outrun a slow shop: each of its
//! two visitors waits for an answer before it asks again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The round of a visitor: method, target, body.
const ROUND: [(&str, &str, &str); 17] = [
    ("GET", "/v2/users/1", ""),
    ("GET", "/products/", ""),
    ("GET", "/orders/?user=3&limit=5", ""),
    ("GET", "/dashboard?user=3", ""),
    ("GET", "/recommendations/4", ""),
    ("POST", "/payments/", r#"{"user":5,"amount_cents":1250}"#),
    ("GET", "/products/?q=lantern", ""),
    ("GET", "/v1/users/2", ""),
    ("GET", "/orders/7", ""),
    ("GET", "/products/12", ""),
    ("GET", "/v2/users/99", ""),
    ("GET", "/recommendations/8", ""),
    ("GET", "/old-shop/mugs", ""),
    ("POST", "/payments/", r#"{"user":2,"amount_cents":990}"#),
    ("DELETE", "/products/1", ""),
    ("GET", "/health", ""),
    ("GET", "/attic", ""),
];

/// Pause of a visitor between two requests; two visitors with it make about ten requests a second.
const PAUSE: Duration = Duration::from_millis(190);
/// How long a visitor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers longer than this are not read to their end.
const LONGEST_ANSWER: u64 = 1 << 20;

/// The visitors; they go when this is dropped.
pub(crate) struct Traffic {
    over: Arc<AtomicBool>,
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Lets two visitors in, half a round apart. They ask for orders with a token of the issuer.
pub(crate) fn start(gateway: SocketAddr, issuer: Option<SocketAddr>) -> Traffic {
    let over = Arc::new(AtomicBool::new(false));
    for first in [0, ROUND.len() / 2] {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let mut token = String::new();
            for (nth, (method, target, body)) in ROUND.iter().cycle().skip(first).enumerate() {
                if nth % ROUND.len() == 0 {
                    token = issuer.and_then(|issuer| ask_token(issuer).ok()).unwrap_or_default();
                }
                let token = if target.starts_with("/orders/") { token.as_str() } else { "" };
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // A failed visit is an answer too: the demo shows how the gateway tells of it.
                let _ = visit(gateway, method, target, body, token);
                thread::sleep(PAUSE);
            }
        });
    }
    Traffic { over }
}

/// One request on a connection of its own; gives the status.
fn visit(gateway: SocketAddr, method: &str, target: &str, body: &str, token: &str) -> io::Result<u16> {
    let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: shop.localhost\r\n{bearer}");
    let answer = converse(gateway, head, body)?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no status line"))
}

/// A token of the development issuer.
fn ask_token(issuer: SocketAddr) -> io::Result<String> {
    let answer =
        converse(issuer, format!("POST /token HTTP/1.1\r\nHost: {issuer}\r\n"), r#"{"sub":"visitor"}"#)?;
    let body = memchr::memmem::find(&answer, b"\r\n\r\n").and_then(|at| answer.get(at.saturating_add(4)..));
    let answer: serde_json::Value = serde_json::from_slice(body.unwrap_or_default())?;
    Ok(answer.get("access_token").and_then(|token| token.as_str()).unwrap_or_default().to_owned())
}

/// Sends a request with this beginning of its head, and reads the answer.
fn converse(address: SocketAddr, mut head: String, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    head += "User-Agent: tidegate-demo\r\nConnection: close\r\n";
    if !body.is_empty() {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::origin::{Origin, Reply};

    #[test]
    fn a_visitor_goes_round_and_leaves_when_told() {
        let origin = Origin::answering(|request| match request.method.as_str() {
            "POST" => Reply::status(201).then(testkit::origin::After::Close),
            _ => Reply::ok("").then(testkit::origin::After::Close),
        });
        assert_eq!(visit(origin.addr(), "POST", "/payments/", "{}", "").unwrap(), 201);
        let traffic = start(origin.addr(), None);
        let requests = origin.wait_for_requests(5);
        drop(traffic);
        assert_eq!(requests[0].text(), "{}");
        let known = |target: &str| ROUND.iter().any(|(_, known, _)| *known == target);
        assert!(requests.iter().all(|request| known(&request.target)), "{requests:?}");
        origin.assert_clean();
    }
}
