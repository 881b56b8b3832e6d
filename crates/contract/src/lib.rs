//! What requests and answers must be, by an OpenAPI document (3.0, 3.1) or a JSON Schema; and answers made up from it.
//!
//! Takes a document that was read into JSON, and later the parts of requests and answers as bytes; gives what is wrong with
//! them, by place. Does no I/O, follows no reference out of the document, and is bounded in all it does.

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

mod api;
mod check;
mod convert;
mod document;
mod json;
mod media;
mod mock;
mod parameter;
mod path;
mod sample;
mod schema;
mod shape;
#[cfg(test)]
mod tests;

pub use api::{Api, Body, Found, Media, Operation, Response};
pub use check::{Asked, Limits, Violation};
pub use json::{JsonFlaw, read as read_json};
pub use media::MediaKind;
pub use mock::{Mocked, Wanted};
pub use parameter::{Parameter, Place};
pub use path::{Part, Segment, Template};
pub use schema::{Judged, Schema, View};

/// What is wrong with a document, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// A JSON pointer into the document.
    pub pointer: String,
    /// What is wrong there.
    pub what: String,
}

impl Flaw {
    pub(crate) fn new(pointer: impl Into<String>, what: impl Into<String>) -> Flaw {
        Flaw { pointer: pointer.into(), what: what.into() }
    }
}

/// A key as a part of a JSON pointer (RFC 6901).
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
