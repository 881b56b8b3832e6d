//! What the tests are made of: origins that record every byte, raw clients, a gateway under test.
//!
//! Everything is std threads and blocking sockets: what a test reads is what the wire carried, in order.
//! Nothing here speaks HTTP through a library, because the kit judges one: it parses strictly and flags
//! whatever is odd. Every wait has an end ([`PATIENCE`]), so that a hang is a failure with a message.
//! The kit must never be lenient where a real client or origin would not be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a fault of the kit, or of what it looks at, is a failure of the test that runs"
)]

use std::time::Duration;

pub mod client;
pub mod event;
pub mod gateway;
pub mod mail;
pub mod metrics;
pub mod origin;
pub mod redis;
pub mod tls;
pub mod wire;

/// How long any wait of the kit lasts before it fails the test.
pub const PATIENCE: Duration = Duration::from_secs(180);
