//! The codec's tests: tables for each rule, properties, and the comparison with other parsers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    missing_docs
)]

mod body;
mod connection;
#[path = "../corpus/mod.rs"]
mod corpus;
mod differential;
mod encode;
mod fields;
mod foreign;
mod messages;
mod request;
mod response;
mod roundtrip;
mod splits;
mod wire;
