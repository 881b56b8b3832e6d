//! JSON Web Signatures (RFC 7515), Keys (RFC 7517) and Algorithms (RFC 7518, 8037): what tokens are checked by.
//!
//! Bytes in, verdict out; no I/O, no clock. The algorithm belongs to the key and is never the token's to choose
//! (RFC 8725 section 3.1). Keys that a token brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.

pub mod algorithm;
pub mod base64url;
pub mod key;
pub mod key_set;
pub mod sign;
pub mod token;
pub mod unique;

pub use algorithm::Algorithm;
pub use key::{BadKey, Key};
pub use key_set::{KeySet, Unproven};
pub use sign::Signer;
pub use token::{BadToken, Token};

#[cfg(test)]
mod tests;
