//! Logins of people with browsers (OpenID Connect Core 1.0, authorization code with PKCE): what the policy is made of.
//!
//! `seal` keeps what browsers carry secret and unchanged, `cookies` puts it into cookies, `session` and `login` are what is
//! in them, `party` asks the provider on the control side. The gateway keeps no sessions: every node that has the keys takes
//! those of the others.

pub mod cookies;
pub mod login;
pub mod party;
pub mod seal;
pub mod session;

pub use cookies::Cookies;
pub use login::Login;
pub use party::{Party, PartySettings, Tokens, Trouble};
pub use seal::Sealer;
pub use session::Session;

use std::time::{SystemTime, UNIX_EPOCH};

use super::jose::base64url;

/// Seconds since 1970.
pub fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// So many random bytes as text; none when the system gives no random numbers.
pub fn random_text<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(base64url::encode(&bytes))
}
