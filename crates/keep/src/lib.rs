//! What outlives the process: records under keys in a folder, bounded in bytes, appended to segments that go in the order
//! in which they were made.
//!
//! Takes answers as opaque values with what is to be known of them without reading; gives them back whole or not at all.
//! Each record carries a sum of its own bytes, its place and its file; by option it is sealed. Writing is the work of one
//! thread, reading that of two; nobody else waits for the disk. It knows no HTTP.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a failure here is a failure of the test"
    )
)]

mod index;
mod log;
pub mod pieces;
mod reader;
mod record;
mod seal;
mod segment;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use store::{About, Answer, Item, Keep, Load, Numbers, Read, Settings, Sum, Taken, Variant};
