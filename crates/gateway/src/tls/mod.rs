//! TLS: certificates and keys, who is believed, and what rustls is told of all that.
//!
//! Takes settings and the files they name; gives what a socket needs for a handshake, on either side. Certificates
//! are swapped in one step while connections go on. Reading files happens on the control side only; a worker never
//! waits here.

pub mod acme;
pub mod certificates;
pub mod files;
pub mod identity;
pub mod listener;
pub mod pair;
pub mod target;
pub mod tickets;

use std::sync::{Arc, OnceLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

use crate::config::TlsVersion;

/// The cryptography of the whole process.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// The versions spoken where this one is the oldest.
fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static NEW: [&SupportedProtocolVersion; 1] = [&TLS13];
    match oldest {
        TlsVersion::V12 => &BOTH,
        TlsVersion::V13 => &NEW,
    }
}
