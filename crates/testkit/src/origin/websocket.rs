//! An origin that speaks WebSocket: it accepts every handshake and sends each message back.
//!
//! Takes a handshake that must be complete (RFC 6455 section 4.2.1), gives back every text, binary and ping.
//! Bytes that came before its 101 are odd: no byte of a tunnel moves before both sides agree.

use super::conversation::{After, Conversation};
use super::request::Recorded;
use super::{Origin, Reply};
use crate::client::{Frame, websocket};

/// An origin whose every path is a WebSocket that echoes.
pub struct WebSocketEcho;

impl WebSocketEcho {
    /// Starts it on a free port.
    pub fn start() -> Origin {
        Origin::conversing(WebSocketEcho::converse)
    }

    /// Serves one request: a tunnel when it is a handshake, 400 when not. For origins that do other work too.
    pub fn converse(request: &Recorded, conversation: &mut Conversation) -> After {
        if !WebSocketEcho::accept(request, conversation) {
            return conversation.answer(request, Reply::status(400).body("a WebSocket is wanted"));
        }
        conversation.wire().set_read_timeout(None);
        while let Ok(frame) = websocket::decode(conversation.wire(), true) {
            let (back, last) = match frame {
                Frame::Ping(payload) => (Frame::Pong(payload), false),
                Frame::Close(code) => (Frame::Close(code), true),
                other => (other, false),
            };
            if !conversation.write(&websocket::encode(&back, None)) || last {
                break;
            }
        }
        After::Close
    }

    /// Agrees to a handshake; false, and nothing written, when the request is none. For tunnels that do not echo.
    pub fn accept(request: &Recorded, conversation: &mut Conversation) -> bool {
        if conversation.read_request().is_none() {
            return false;
        }
        let upgrade = request.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
        let Some(key) = request.header("sec-websocket-key").filter(|_| upgrade) else { return false };
        let accept = websocket::accept_key(key);
        let agreed =
            [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept.as_str())];
        conversation.write_head(101, &agreed)
    }
}
