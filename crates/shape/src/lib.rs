//! Makes other bodies of bodies, without I/O: bytes in, bytes out, in any pieces.
//!
//! Reads JSON strictly and as a stream ([`scan`]), runs compiled operations over it ([`Program`]), writes it again, and
//! translates it from and to other formats ([`Format`]). Everything is bounded by [`Limits`]; what does not fit is a
//! [`Misfit`], and of a body that does not fit nothing more is given. Numbers and texts pass byte for byte.

pub mod body;
mod case;
mod chain;
pub mod coding;
pub mod format;
pub mod jq;
pub mod keys;
pub mod misfit;
pub mod op;
pub mod path;
pub mod scan;
mod stage;
pub mod text;
pub mod token;
pub mod tree;
pub mod value;
mod whole;
mod write;

pub use body::{Body, Filled, Plan, shaped};
pub use coding::Coding;
pub use format::Format;
pub use jq::Jq;
pub use misfit::Misfit;
pub use op::{Case, Mask, Op, Part, Program, Skeleton};
pub use path::Path;
pub use tree::{parse, parse_strict};
pub use value::Value;
pub use whole::on_tree;

/// What a body may be, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects and arrays inside each other.
    pub depth: usize,
    /// Members of all objects that are open at once.
    pub members: usize,
    /// Bytes of a member's name.
    pub name: usize,
    /// Bytes of a number.
    pub number: usize,
    /// Bytes of what has to be held whole.
    pub size: usize,
    /// Bytes that a coded body may become; there is no bound but its ratio where this is the largest number.
    pub decoded: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: 64,
            members: 100_000,
            name: 4 * 1024,
            number: 1024,
            size: 1024 * 1024,
            decoded: u64::MAX,
        }
    }
}
