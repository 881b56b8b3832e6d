//! One POST over a connection of its own, on a thread that may block.
//!
//! Takes where and what; gives the status of the answer, of which nothing else is of use. Every step ends at the
//! deadline, also with a peer that takes or gives one byte at a time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::settings::{Encoding, TraceSettings};

/// Most bytes read of an answer before its status line must be whole.
const MOST_START: usize = 1024;

/// Posts the body; gives the status of the answer.
///
/// # Errors
/// The collector cannot be reached, does not take the body in time, or does not answer in HTTP.
pub(crate) fn post(settings: &TraceSettings, body: &[u8], within: Duration) -> io::Result<u16> {
    let deadline = Instant::now().checked_add(within).ok_or(ErrorKind::InvalidInput)?;
    let mut stream = connect(settings, deadline)?;
    send(&mut stream, head(settings, body.len()).as_bytes(), deadline)?;
    send(&mut stream, body, deadline)?;
    status(&mut stream, deadline)
}

fn connect(settings: &TraceSettings, deadline: Instant) -> io::Result<TcpStream> {
    let endpoint = &settings.endpoint;
    let mut fault = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

fn head(settings: &TraceSettings, length: usize) -> String {
    let endpoint = &settings.endpoint;
    let host = match &endpoint.host {
        host if host.contains(':') => format!("[{host}]"),
        host => host.clone(),
    };
    let content_type = match settings.encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/x-protobuf",
    };
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: tidegate/{}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n",
        endpoint.path,
        endpoint.port,
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in &settings.headers {
        head.push_str(&format!("{name}: {}\r\n", value.0));
    }
    head.push_str("\r\n");
    head
}

fn send(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads `HTTP/1.1 200`.
fn status(stream: &mut TcpStream, deadline: Instant) -> io::Result<u16> {
    let mut start = Vec::new();
    let mut piece = [0; 512];
    while start.len() < MOST_START && !start.contains(&b'\n') {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => start.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&start);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP/1"))
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
