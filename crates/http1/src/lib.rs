//! A strict HTTP/1.1 codec without I/O, for both roles.
//!
//! It takes bytes that came from a peer and gives heads, one [`Framing`] decision for each message, and the
//! bytes of bodies; it takes heads and gives the bytes to send. It knows nothing of sockets, time or gateways.
//! It never guesses: what RFC 9112 does not clearly allow is refused, because a message that two parties read
//! differently is how requests are smuggled. It never copies a received head to the other side: a head is
//! always written anew from its parsed form.

mod body;
mod chunk;
mod encode;
mod error;
mod field_line;
mod fields;
mod foreign;
mod head;
mod host;
mod lines;
mod marks;
mod method;
mod name;
pub mod names;
mod octets;
mod prepared;
mod request;
mod response;
mod status;
mod target;
mod trailers;

pub use body::{BodyDecoder, BodyLimits, Decoded};
pub use encode::{CHUNK_END, encode_chunk_line, encode_last_chunk, encode_request, encode_response};
pub use error::{BodyError, HeadError};
pub use fields::{Field, Fields};
pub use foreign::Pseudo;
pub use head::{Framing, HeadLimits, Upgrade, Version};
pub use method::Method;
pub use name::{InvalidName, Name, NameBuf};
pub use names::FieldId;
pub use prepared::Prepared;
pub use request::{RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};
pub use status::canonical_reason;
