//! TLS on both sides: what a listener shows and asks of clients, and what a service must show.
//!
//! Files are named here and read where the configuration is compiled; relative paths start at the folder of the file
//! that names them.

use super::pairs::OneOrMany;
use super::place::Spanned;
use crate::values::{Duration, Invalid, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// TLS on a listener.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ListenerTls {
    /// The certificates with their keys: one map with `cert` and `key`, or a list of such maps. The name a client asks
    /// for (SNI) chooses among them, wildcards included; the first is for clients that ask for none of them. The files
    /// are watched: a new pair is taken over without touching a connection, a bad one is refused and the old one kept.
    #[serde(default)]
    pub certificates: OneOrMany<CertificateFiles>,
    /// Certificates ordered from an authority (ACME, such as Let's Encrypt) and renewed without anybody's doing.
    #[serde(default)]
    pub acme: Option<Acme>,
    /// The oldest version of TLS that is spoken: `1.2` (the default) or `1.3`.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// A PEM file with the authorities whose client certificates are believed. With it, clients are asked for a
    /// certificate. The file is watched.
    #[serde(default)]
    pub client_ca: Option<Spanned<String>>,
    /// Whether a client must have a certificate: `required` (the default where `client_ca` is set) or `optional`. A
    /// certificate that is shown and not believed is refused in either case.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
    /// Send the client's certificate to services as `Client-Cert` (RFC 9440). Default: false. What a client itself
    /// sends under that name is removed in any case.
    #[serde(default)]
    pub client_cert_header: bool,
    /// Tell browsers to come with TLS only, for this long (`Strict-Transport-Security`): a duration such as `365d`, or a
    /// map. Default: it is not said.
    #[serde(default)]
    pub hsts: Option<Hsts>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct CertificateFiles {
    /// A PEM file with the certificate and, behind it, those that lead to the authority.
    pub cert: Spanned<String>,
    /// A PEM file with the private key, not encrypted.
    pub key: Spanned<String>,
}

/// Certificates from an authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Acme {
    /// The names the certificate is for; no wildcards. Each must lead to this gateway.
    pub domains: OneOrMany<String>,
    /// Where the authority writes when something is wrong with the account.
    #[serde(default)]
    pub email: Option<String>,
    /// The authority's directory. Default: Let's Encrypt. For trials take
    /// `https://acme-staging-v02.api.letsencrypt.org/directory`, which has no strict limits and is not believed by
    /// browsers.
    #[serde(default = "lets_encrypt")]
    pub directory: Spanned<String>,
    /// A PEM file with the authorities of the directory's own certificate. Default: those of the system.
    #[serde(default)]
    pub directory_ca: Option<Spanned<String>>,
    /// The folder for account and certificates. Keep it: without it every start orders anew, and authorities count.
    pub folder: Spanned<String>,
    /// How this gateway proves that the names lead to it: `tls-alpn-01` (the default, on this listener, which must be
    /// reached at port 443) or `http-01` (on any listener without TLS that is reached at port 80).
    #[serde(default)]
    pub challenge: Challenge,
    /// Says that the terms of the authority are agreed to. Nothing is ordered without it.
    #[serde(default)]
    pub agree_to_terms: bool,
}

fn lets_encrypt() -> Spanned<String> {
    Spanned::new("https://acme-v02.api.letsencrypt.org/directory".to_owned(), super::Span::NONE)
}

/// How a name is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub enum Challenge {
    /// By a certificate shown in a handshake (RFC 8737).
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By a file served in clear (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
}

/// Whether a client must have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// It must.
    Required,
    /// It may.
    Optional,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    V12,
    /// RFC 8446.
    V13,
}

impl FromStr for TlsVersion {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "1.2" => Ok(Self::V12),
            "1.3" => Ok(Self::V13),
            _ => Err(Invalid::new(
                format!("`{}` is not a version of TLS that is spoken here", text.escape_debug()),
                "write 1.2 or 1.3; what is older is not safe",
            )),
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        })
    }
}

text_value!(TlsVersion, "TlsVersion", "1.2 or 1.3", {
    "enum": ["1.2", "1.3", 1.2, 1.3],
    "description": "A version of TLS: 1.2 or 1.3."
});

/// For how long browsers come with TLS only.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "WrittenHsts")]
pub struct Hsts {
    /// For how long.
    pub max_age: Duration,
    /// Also for all names below.
    pub include_subdomains: bool,
    /// Whether the name may be put on the browsers' own lists.
    pub preload: bool,
}

/// As written: a duration, or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum WrittenHsts {
    Text(Duration),
    Map(HstsSettings),
}

/// For how long browsers come with TLS only.
#[derive(Deserialize, JsonSchema)]
struct HstsSettings {
    /// For how long.
    max_age: Duration,
    /// Also for all names below. Default: false.
    #[serde(default)]
    include_subdomains: bool,
    /// Whether the name may be put on the browsers' own lists. Default: false.
    #[serde(default)]
    preload: bool,
}

impl From<WrittenHsts> for Hsts {
    fn from(written: WrittenHsts) -> Self {
        match written {
            WrittenHsts::Text(max_age) => Self { max_age, include_subdomains: false, preload: false },
            WrittenHsts::Map(HstsSettings { max_age, include_subdomains, preload }) => {
                Self { max_age, include_subdomains, preload }
            }
        }
    }
}

/// What is asked of targets with `https://`, and shown to them. Without any of it a target must have a certificate for
/// its name from an authority that the system believes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ServiceTls {
    /// A PEM file with the authorities that are believed. Default: those of the system.
    pub ca: Option<Spanned<String>>,
    /// The name that the target's certificate must have, and that is asked for (SNI). Default: the host of the target's
    /// URL.
    pub server_name: Option<Spanned<String>>,
    /// The certificate that the gateway shows when it is asked for one: a map with `cert` and `key`.
    pub certificate: Option<CertificateFiles>,
    /// The oldest version of TLS that is spoken: `1.2` (the default) or `1.3`.
    pub min_version: TlsVersion,
    /// Believe any certificate. Whoever stands between gateway and target can then read and change everything. Default:
    /// false.
    pub insecure_skip_verify: bool,
}
