//! Carries bytes both ways after a switch of protocols (101), until both sides have ended or both are silent.
//!
//! Knows nothing of what it carries. Holds no buffer while nothing moves.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::fault::Fault;
use crate::http::buffer::SIZE;
use crate::http::incoming::Incoming;
use crate::http::socket::Socket;

/// Time in which a side takes less than 16 KiB.
const STALL: Duration = Duration::from_secs(30);

/// Runs until both directions have ended. What the two sides had sent ahead goes first.
pub async fn run(client: &mut Incoming, service: &mut Incoming, idle: Duration) -> Result<(), Fault> {
    let moved = Cell::new(client.socket.read_timer.timers().now());
    let (to_service, to_client) = (service.socket.clone(), client.socket.clone());
    let mut up = pin!(pipe(client, to_service, idle, &moved));
    let mut down = pin!(pipe(service, to_client, idle, &moved));
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
    .or_else(|error: io::Error| match error.kind() {
        // A side that just goes away is the usual end of a tunnel.
        ErrorKind::TimedOut => Err(Fault::AnswerStalled),
        _ => Ok(()),
    })
}

async fn pipe(from: &mut Incoming, to: Rc<Socket>, idle: Duration, moved: &Cell<u64>) -> io::Result<()> {
    let timers = from.socket.read_timer.timers().clone();
    loop {
        if !from.input.is_empty() {
            to.write_all([from.input.filled()], STALL).await?;
            from.input.consume(from.input.len());
        }
        from.input.release();
        from.socket.read_timer.arm(idle);
        // Something to read may turn out to be nothing after all: either wait can be the one that runs out.
        let received = match from.socket.readable().await {
            Ok(()) => from.socket.fill(&mut from.input, SIZE).await,
            Err(error) => Err(error),
        };
        match received {
            Ok(0) => {
                to.finish();
                return Ok(());
            }
            Ok(_) => moved.set(timers.now()),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                // Silence in one direction alone is no silence.
                if u128::from(timers.now().saturating_sub(moved.get())) >= idle.as_millis() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}
