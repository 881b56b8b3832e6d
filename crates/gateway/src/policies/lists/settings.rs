//! What a user writes under `lists`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{OneOrMany, Spanned};
use crate::values::{Cidr, Duration, WebUrl};

/// Keeps clients out with 403 by their network, their country, their user agent, or a list that others keep.
///
/// What `allow` names passes in any case. Lists from a URL are fetched beside the road, at most 32 MiB and a million networks each;
/// one that cannot be fetched, does not have the right checksum or is no list changes nothing: the last good one holds, also over a
/// restart where the file says `state`. Until a list has been there once, nobody is on it. Who is kept out by hand for a time is
/// banned: `tidegate ban`.
///
/// ```yaml
/// lists:
///   allow: [10.0.0.0/8]
///   deny: [198.51.100.0/24]
///   agents: [sqlmap, nikto]
/// ```
///
/// ```yaml
/// lists:
///   countries: { file: /var/lib/GeoIP/GeoLite2-Country.mmdb, deny: [XX] }
///   shared: { url: "https://lists.example/drop.txt", checksum: "https://lists.example/drop.txt.sha256" }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Lists {
    /// Networks, or single addresses, that pass whatever else is said here. Default: none.
    pub(super) allow: Vec<Cidr>,
    /// Networks, or single addresses, that get 403. Default: none.
    pub(super) deny: Vec<Cidr>,
    /// Parts of user agents that get 403, in whatever letters. Default: none.
    pub(super) agents: Vec<String>,
    /// Countries, by a database. Default: all may come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) countries: Option<Countries>,
    /// Lists of networks that others keep, whose members get 403. Default: none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) shared: OneOrMany<Shared>,
}

/// Countries, by a database.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "ListedCountries")]
pub(super) struct Countries {
    /// A database in the format of MaxMind (`.mmdb`) that tells `country.iso_code`. It is read again when it changes; one that
    /// cannot be read changes nothing, and at the start nobody's country is known then.
    pub(super) file: Spanned<String>,
    /// Codes of countries (ISO 3166-1, two letters) that get 403.
    #[serde(default)]
    pub(super) deny: Vec<Spanned<String>>,
    /// Codes of countries that alone may come.
    #[serde(default)]
    pub(super) allow: Vec<Spanned<String>>,
    /// Whether addresses pass whose country nobody knows, where `allow` names some. Default: true.
    #[serde(default = "yes")]
    pub(super) unknown: bool,
}

/// A list of networks that others keep.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "SharedList")]
pub(super) struct Shared {
    /// Where it is: a text with one network or address on each line; what stands behind `#` or `;` is a comment.
    pub(super) url: Spanned<WebUrl>,
    /// How often it is fetched. Default: 1h.
    #[serde(default = "an_hour")]
    pub(super) every: Duration,
    /// A URL whose first word is the SHA-256 of the list in hexadecimal, as `sha256sum` writes it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<Spanned<WebUrl>>,
    /// The SHA-256 that the list must have, in hexadecimal. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    /// Authorities that may certify the server, in PEM, instead of those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<String>,
}

fn an_hour() -> Duration {
    Duration::from_secs(3_600)
}

fn yes() -> bool {
    true
}
