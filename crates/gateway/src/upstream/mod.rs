//! Connections to endpoints: connecting, pooling, speaking HTTP/1.1 or HTTP/2.
//!
//! `service` is what all workers share, `local` what one worker owns, `forward` the way of one exchange through them, `ask`
//! that of a question which the gateway has itself.

pub mod ask;
pub mod breaker;
pub mod budget;
pub mod care;
pub mod connection;
pub mod door;
pub mod failures;
pub mod forward;
pub mod health;
pub mod hedge;
pub mod http2;
pub mod ladder;
pub mod local;
pub mod mirror;
pub mod pace;
pub mod request;
pub mod resolve;
pub mod retry;
pub mod service;
pub mod tunnel;
mod way;
