//! One request over a connection of its own, for the checks of the control side: no pool, no task.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;

use super::connection::builder;
use super::wire::{Heard, Wire};
use crate::http::http2::FRAME;
use crate::http::socket::Socket;

/// What came back.
pub struct Answered {
    /// The head.
    pub parts: http::response::Parts,
    /// The body, as far as it was looked at.
    pub body: Vec<u8>,
    /// What came behind it.
    pub trailers: HeaderMap,
}

/// Asks, with this body, and takes at most so many bytes of the answer's. The caller sees to the time.
///
/// # Errors
/// What went wrong, in a few words.
pub async fn ask(
    socket: Rc<Socket>,
    request: http::Request<()>,
    body: Bytes,
    most: usize,
) -> Result<Answered, String> {
    let heard = Heard::new(socket.read_timer.timers());
    heard.opened.set(1);
    let wire = Wire::new(socket, heard);
    let (mut opener, mut connection) =
        builder(FRAME as usize).handshake(wire).await.map_err(|error| error.to_string())?;
    let mut asking = pin!(async {
        let (answer, mut sending) = opener.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sending.send_data(body, true)?;
        }
        let (parts, mut stream) = answer.await?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            let data = data?;
            body.extend_from_slice(
                data.get(..data.len().min(most.saturating_sub(body.len()))).unwrap_or_default(),
            );
            stream.flow_control().release_capacity(data.len())?;
            if body.len() >= most {
                return Ok(Answered { parts, body, trailers: HeaderMap::new() });
            }
        }
        let trailers = stream.trailers().await?.unwrap_or_default();
        Ok(Answered { parts, body, trailers })
    });
    let answered = poll_fn(|cx| {
        // Its end ends the stream too.
        let _ = Pin::new(&mut connection).poll(cx);
        match asking.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(answered),
            Poll::Pending => Poll::Pending,
        }
    });
    answered.await.map_err(|error: h2::Error| error.to_string())
}
