//! The origin of these tries: says of each request what a try wants it to say, and closes connections that rest too long.
//! Takes a free port; gives an address and threads that serve until the program ends.
//! It must never close before an answer has gone out whole.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::wire::{Connection, broken, field};

/// For the first request of a connection, and the rest of one that has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the status of the answer to a request of this method and path; its body is the path.
type Judge = dyn Fn(&str, &str) -> u16 + Send + Sync;

/// `idle` is how long a connection may rest.
pub(super) fn start(
    idle: Duration,
    judge: impl Fn(&str, &str) -> u16 + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let judge: Arc<Judge> = Arc::new(judge);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let judge = judge.clone();
            // The end of a connection is no failure here.
            std::thread::spawn(move || {
                let connection = Connection::over(stream)?;
                serve(connection, idle, &*judge)
            });
        }
    });
    Ok(address)
}

fn serve(mut connection: Connection, idle: Duration, judge: &Judge) -> io::Result<()> {
    loop {
        let head = connection.read_head()?;
        connection.set_patience(PATIENCE)?;
        let mut words = head.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(broken("no path")) };
        let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        connection.read_exactly(length)?;
        let status = judge(method, path);
        let length = path.len();
        let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: {length}\r\n\r\n{path}");
        connection.send(answer.as_bytes())?;
        connection.set_patience(idle)?;
    }
}

#[test]
fn it_answers_as_it_is_told_and_closes_what_rests() {
    let address =
        start(Duration::from_secs(60), |method, _| if method == "POST" { 503 } else { 200 }).unwrap();
    let mut client = Connection::open(address).unwrap();
    assert_eq!(client.get("/a").unwrap().status, 200);
    assert_eq!(client.post("/b").unwrap().status, 503);
    let address = start(Duration::from_millis(1), |_, _| 200).unwrap();
    let mut client = Connection::open(address).unwrap();
    assert_eq!(client.get("/a").unwrap().body, b"/a");
    let begin = std::time::Instant::now();
    while !client.is_closed() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it rests for ever");
        std::thread::yield_now();
    }
}
