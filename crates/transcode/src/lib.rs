//! Calls of gRPC told as JSON over HTTP, without I/O: a descriptor set in, and by it requests to messages, messages to answers.
//!
//! A [`Catalog`] is made once of a descriptor set and its `google.api.http` annotations; [`Catalog::ask`] finds the call for a
//! method and a path, [`Asked::frame`] makes its message, [`Reply`] reads what comes back. Everything is bounded; what does not
//! fit is a [`Wrong`] that names the field.

mod ask;
mod catalog;
mod depth;
mod field;
mod json;
mod percent;
mod reply;
mod rule;
pub mod status;
mod template;
mod wrong;

pub use ask::{Asked, Missed};
pub use catalog::{Call, Catalog, Flaw};
pub use reply::Reply;
pub use wrong::Wrong;

/// How calls are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a message, either way.
    pub size: usize,
    /// Whether members and parameters that no field has are passed over.
    pub ignore_unknown: bool,
    /// Whether fields that have their default value are told.
    pub defaults: bool,
    /// Whether fields are told by the names of the file, and not in camel case.
    pub proto_names: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { size: 4 << 20, ignore_unknown: false, defaults: false, proto_names: false }
    }
}
