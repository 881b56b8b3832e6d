//! Who the caller is: what the policies that check credentials are made of.
//!
//! `callers` knows the consumers and their keys, `place` where in a request a credential stands, `gate` asks one or
//! several kinds of credential and answers those that have none, `memory` keeps what held for a while. `jose` and
//! `claims` judge tokens by the keys that `provider` keeps fresh. Never lets a
//! credential through to a service, a log or an answer, unless the configuration wants the service to have it.

mod aws;
pub mod callers;
pub mod claims;
pub mod failures;
pub mod fetch;
pub mod gate;
pub mod introspect;
pub mod jose;
pub mod lives;
pub mod memory;
pub mod oidc;
pub mod passwords;
pub mod patience;
pub mod place;
pub mod provider;
pub mod sending;
pub mod shelf;
pub mod signatures;
pub mod totp;
pub mod tried;
pub mod word;

pub use callers::Callers;
pub use gate::{Check, Finding, Gate, GateSettings, Recalled, Refusal};
pub use lives::{Lives, Remembered};
pub use memory::Realm;
pub use place::{Found, Place};
pub use provider::{Keeper, Provider};
pub use sending::{Sending, TokenSource};
pub use shelf::{Kept, Shelf};
pub use totp::Totp;
