//! Waits for a client and for policies: notes when an exchange went on, and watches the client while a policy takes its time:
//! one that goes away is waited for by nobody.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::{ClientConnection, ClientReader};
use crate::policies::{self, Stop};
use crate::route::compiled::Route;

/// Reads the head of a request: false when the client has none to send.
///
/// # Errors
/// It is none, or it did not come.
pub(super) async fn head(exchange: &mut Exchange, client: &mut ClientConnection) -> Result<bool, Fault> {
    let mut waited = false;
    let mut reading = pin!(client.reader.head(&client.limits, &mut exchange.request));
    let received = poll_fn(|cx| {
        let read = reading.as_mut().poll(cx);
        waited |= read.is_pending();
        read
    });
    let received = received.await;
    if waited {
        exchange.record.resumed = Instant::now();
    }
    received
}

/// What the policies say of a request.
///
/// # Errors
/// The client went away while a policy waited for somebody else.
pub(super) async fn policies(
    route: &Route,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> Result<Result<(), Stop>, Fault> {
    let mut judging = pin!(policies::request(&route.policies, exchange));
    // Nearly always that is all.
    if let Poll::Ready(judged) = poll_fn(|cx| Poll::Ready(judging.as_mut().poll(cx))).await {
        return Ok(judged);
    }
    // A body that is still to come says that the client is there, and is nothing to be read yet.
    if !client.reader.is_done() {
        return Ok(judging.await);
    }
    Box::pin(watched(judging, &mut client.reader)).await
}

/// Waits for something while the client is there.
///
/// # Errors
/// The client went away.
pub(super) async fn watched<T>(
    mut judging: Pin<&mut impl Future<Output = T>>,
    reader: &mut ClientReader,
) -> Result<T, Fault> {
    let mut watch = pin!(reader.watch());
    poll_fn(|cx| match judging.as_mut().poll(cx) {
        Poll::Ready(judged) => Poll::Ready(Ok(judged)),
        Poll::Pending => watch.as_mut().poll(cx).map(Err),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use http1::HeadLimits;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http::client::ClientLimits;
    use crate::http::socket::Socket;
    use crate::http::timer::Timers;

    fn limits() -> ClientLimits {
        let long = Duration::from_secs(60);
        ClientLimits {
            handshake: long,
            head: HeadLimits::default(),
            head_timeout: long,
            keep_alive: long,
            body_idle: long,
            min_body_rate: 0,
            write_stall: long,
            max_requests: 100,
            max_age: long,
            reject_encoded_slash: false,
        }
    }

    #[tokio::test]
    async fn a_head_that_was_waited_for_is_there_when_it_is_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Rc::new(Socket::new(listener.accept().await.unwrap().0, &Timers::new()));
        let mut client = ClientConnection::new(socket.clone(), Default::default(), Arc::new(limits()));
        let mut exchange = Exchange::default();
        let started = exchange.record.started;
        sender.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        socket.readable().await.unwrap();
        assert_eq!(head(&mut exchange, &mut client).await, Ok(true));
        assert_eq!(exchange.record.resumed, started, "it was there at once");
        sender.write_all(b"GET /a HTTP/1.1\r\n").await.unwrap();
        let whole = {
            let mut reading = pin!(head(&mut exchange, &mut client));
            assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await);
            let whole = Instant::now();
            sender.write_all(b"Host: a\r\n\r\n").await.unwrap();
            assert_eq!(reading.await, Ok(true));
            whole
        };
        assert!(exchange.record.resumed >= whole);
    }
}
