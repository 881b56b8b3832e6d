//! A certificate with its key: read from two files, believed only when they belong together.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{files, provider};

/// A certificate that can be shown.
pub struct Pair {
    /// The chain and the key.
    pub key: Arc<CertifiedKey>,
    /// The names it is for, in lower case; wildcards as `*.example.com`.
    pub names: Vec<String>,
    /// Not good before this.
    pub not_before: SystemTime,
    /// Not good after this.
    pub not_after: SystemTime,
    /// The same in words.
    pub until: String,
}

impl Pair {
    /// Reads a pair.
    ///
    /// # Errors
    /// A sentence that says which file is wrong and how.
    pub fn load(cert: &Path, key: &Path) -> Result<Pair, String> {
        let chain = files::certificates(cert)?;
        let key_bytes = files::read(key)?;
        if key_bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
            return Err(format!(
                "the key `{}` is encrypted: store it decrypted, readable by the gateway alone",
                key.display()
            ));
        }
        let private = match PrivateKeyDer::from_pem_slice(&key_bytes) {
            Ok(private) => private,
            Err(rustls::pki_types::pem::Error::NoItemsFound) => {
                return Err(format!(
                    "`{}` holds no private key (`-----BEGIN PRIVATE KEY-----`)",
                    key.display()
                ));
            }
            Err(error) => return Err(files::not_pem(key, &error)),
        };
        Pair::new(chain, private).map_err(|wrong| match wrong {
            Wrong::Certificate => format!("the certificate in `{}` is not well formed", cert.display()),
            Wrong::Key => format!("the key in `{}` is of a kind that is not supported", key.display()),
            Wrong::Mismatch => {
                format!("the key `{}` does not belong to the certificate `{}`", key.display(), cert.display())
            }
        })
    }

    /// A pair of a chain and its key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Pair, Wrong> {
        let Facts { names, not_before, not_after, until } =
            chain.first().and_then(facts).ok_or(Wrong::Certificate)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Wrong::Mismatch,
            rustls::Error::InvalidCertificate(_) => Wrong::Certificate,
            _ => Wrong::Key,
        })?;
        Ok(Pair { key: Arc::new(key), names, not_before, not_after, until })
    }

    /// Why the certificate is not good at this time, as the end of a sentence.
    pub fn untimely(&self, now: SystemTime) -> Option<String> {
        if now > self.not_after {
            return Some(format!("has expired: it was good until {}", self.until));
        }
        (now < self.not_before).then(|| format!("is not valid yet; it is good until {}", self.until))
    }
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// What is wrong with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The certificate is not well formed.
    Certificate,
    /// The key cannot be used.
    Key,
    /// The two do not belong together.
    Mismatch,
}

/// Names and times of a certificate.
struct Facts {
    names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    until: String,
}

fn facts(certificate: &CertificateDer<'_>) -> Option<Facts> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = Vec::new();
    if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
        for name in &alternative.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    if names.is_empty() {
        let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    let time = |seconds: i64| match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        Err(_) => Some(UNIX_EPOCH),
    };
    let validity = parsed.validity();
    Some(Facts {
        names,
        not_before: time(validity.not_before.timestamp())?,
        not_after: time(validity.not_after.timestamp())?,
        until: validity.not_after.to_string(),
    })
}
