//! How much of something that is bounded is in use: told by whoever bounds it, for whoever watches bounds.

use super::said::Said;

/// Something that is bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// What it is, in words: the concurrency limit `200`.
    pub what: Said,
    /// How much of it is in use.
    pub used: Used,
    /// The bound: of requests, or of requests in a second.
    pub most: f64,
}

/// How much is in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Used {
    /// So much at this moment.
    Now(u64),
    /// What its route let pass of late, in requests of a second.
    Calls,
}
