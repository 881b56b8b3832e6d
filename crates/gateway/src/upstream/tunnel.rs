//! Carries bytes both ways after a switch of protocols (101), until both sides have ended or both are silent.
//!
//! The client's side is a connection of HTTP/1.1 or a stream of HTTP/2 (RFC 8441); the end of a stream is the end of
//! what its client sends. Knows nothing of what it carries. Holds no buffer while nothing moves.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http1::Fields;

use crate::fault::Fault;
use crate::http::buffer::SIZE;
use crate::http::client::ClientReader;
use crate::http::http2::inflow::Inflow;
use crate::http::http2::outflow::Outflow;
use crate::http::incoming::{Broken, Incoming, Piece};
use crate::http::socket::Socket;

/// Time in which a side takes less than 16 KiB.
const STALL: Duration = Duration::from_secs(30);

/// When something moved last, and how long nothing may.
struct Silence {
    moved: Cell<u64>,
    idle: Duration,
}

/// Where bytes go.
enum Side<'s> {
    Connection(Rc<Socket>),
    Stream(&'s Outflow),
}

/// Runs until both directions have ended. What the two sides had sent ahead goes first.
pub async fn run(client: &mut ClientReader, service: &mut Incoming, idle: Duration) -> Result<(), Fault> {
    let timers = service.socket.read_timer.timers().clone();
    let silence = Silence { moved: Cell::new(timers.now()), idle };
    let to_service = service.socket.clone();
    let ended = if let Some(client) = client.connection() {
        let to_client = Side::Connection(client.socket.clone());
        both(pipe(client, Side::Connection(to_service), &silence), pipe(service, to_client, &silence)).await
    } else if let Some((inflow, outflow)) = client.stream() {
        both(take(inflow, &to_service, &silence), pipe(service, Side::Stream(outflow), &silence)).await
    } else {
        Ok(())
    };
    ended.or_else(|error| match error.kind() {
        // A side that just goes away is the usual end of a tunnel.
        ErrorKind::TimedOut => Err(Fault::AnswerStalled),
        _ => Ok(()),
    })
}

/// Ends when both have ended, or one has failed.
async fn both(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let (mut up, mut down) = (pin!(up), pin!(down));
    let (mut up_done, mut down_done) = (false, false);
    poll_fn(|cx| {
        if !up_done && let Poll::Ready(ended) = up.as_mut().poll(cx) {
            up_done = true;
            ended?;
        }
        if !down_done && let Poll::Ready(ended) = down.as_mut().poll(cx) {
            down_done = true;
            ended?;
        }
        if up_done && down_done { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

impl Silence {
    /// Whether this error says no more than that one direction is silent, while the other is not.
    fn is_of_one_side(&self, kind: ErrorKind, now: u64) -> bool {
        kind == ErrorKind::TimedOut
            && u128::from(now.saturating_sub(self.moved.get())) < self.idle.as_millis()
    }
}

impl Side<'_> {
    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Side::Connection(socket) => socket.write_all([bytes], STALL).await,
            Side::Stream(outflow) => outflow.send(bytes, STALL).await,
        }
    }

    /// Says that no more comes.
    async fn finish(&self) -> io::Result<()> {
        match self {
            Side::Connection(socket) => {
                socket.finish();
                Ok(())
            }
            Side::Stream(outflow) => {
                outflow.end(&Fields::new());
                outflow.send(b"", STALL).await
            }
        }
    }
}

/// From a connection.
async fn pipe(from: &mut Incoming, to: Side<'_>, silence: &Silence) -> io::Result<()> {
    let timers = from.socket.read_timer.timers().clone();
    loop {
        if !from.input.is_empty() {
            to.write(from.input.filled()).await?;
            let count = from.input.len();
            from.received = from.received.saturating_add(count as u64);
            from.input.consume(count);
        }
        from.input.release();
        from.socket.read_timer.arm(silence.idle);
        // Something to read may turn out to be nothing after all: either wait can be the one that runs out.
        let received = match from.socket.readable().await {
            Ok(()) => from.socket.fill(&mut from.input, SIZE).await,
            Err(error) => Err(error),
        };
        match received {
            Ok(0) => return to.finish().await,
            Ok(_) => silence.moved.set(timers.now()),
            Err(error) if silence.is_of_one_side(error.kind(), timers.now()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// From a stream.
async fn take(from: &mut Inflow, to: &Socket, silence: &Silence) -> io::Result<()> {
    let timers = to.read_timer.timers().clone();
    from.let_go();
    loop {
        match from.piece() {
            Piece::Data(span) => to.write_all([from.data(span)], STALL).await?,
            Piece::Done => {
                to.finish();
                return Ok(());
            }
            Piece::Starved => {
                from.timer.arm(silence.idle);
                match from.fill().await {
                    Ok(_) => silence.moved.set(timers.now()),
                    Err(Broken::Io(kind)) if silence.is_of_one_side(kind, timers.now()) => {}
                    Err(Broken::Io(kind)) => return Err(kind.into()),
                    Err(Broken::Rule(_)) => return Err(ErrorKind::InvalidData.into()),
                }
            }
        }
    }
}
