//! Settings of the admin address: where it is, who may do what there, and where it keeps its records.

use super::pairs::Named;
use crate::values::{Address, Invalid, KeyHash, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

/// The admin address: health, metrics, schema, explain, the admin API and the console. Never open it to clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Admin {
    /// An IP address and a port, or `off`. Default 127.0.0.1:9900, which only this machine reaches.
    pub listen: AdminListen,
    /// Whether nothing may be changed over the admin address, whoever asks. Default false. For gateways whose
    /// configuration comes from elsewhere.
    pub readonly: bool,
    /// The folder for what the admin address keeps: the hash of its first token, the audit log, the history of the
    /// configuration. Default: the folder that systemd gives (`STATE_DIRECTORY`), else `.tidegate` beside the
    /// configuration. Without a file of its own a gateway keeps them in memory.
    pub state: Option<PathBuf>,
    /// Who may use the admin API, by name. Default: one token, made at the first start and shown once, or the one in
    /// the environment variable `TIDEGATE_ADMIN_TOKEN`.
    pub tokens: Named<AdminToken>,
}

/// A token of the admin API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct AdminToken {
    /// Its hash, as `tidegate key new --prefix tga` prints it.
    pub hash: KeyHash,
    /// What its bearer may do. Default `viewer`.
    #[serde(default)]
    pub role: Role,
}

/// What a caller of the admin API may do. Each may do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look: status, topology, curves, samples, explain.
    #[default]
    Viewer,
    /// Also work: read the configuration, reload, drain.
    Operator,
    /// Also change the configuration.
    Admin,
}

impl Role {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Where the admin address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminListen {
    /// Nowhere.
    Off,
    /// Here.
    At(Address),
}

impl Default for AdminListen {
    fn default() -> Self {
        Self::At(std::net::SocketAddr::from(([127, 0, 0, 1], 9900)).into())
    }
}

impl FromStr for AdminListen {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

text_value!(AdminListen, "AdminListen", "an address such as 127.0.0.1:9900, or off", {
    "type": "string",
    "description": "An IP address and a port, or `off`.",
    "examples": ["127.0.0.1:9900", "off"]
});
