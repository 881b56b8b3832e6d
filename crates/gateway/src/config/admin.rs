//! Settings of the admin address: where it is, who may do what there, and where it keeps its records.

use super::codes;
use super::diagnostic::Diagnostics;
use super::pairs::Named;
use super::place::{Span, Spanned};
use crate::values::{Address, Duration, Invalid, KeyHash, Size, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::path::{Path, PathBuf};
use std::{fmt, str::FromStr};

/// Bytes of the path of a unix socket: the kernel takes 107, and a name beside it is needed for a moment.
const LONGEST_PATH: usize = 96;

/// The admin address: health, metrics, schema, explain, the admin API and the console. Never open it to clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Admin {
    /// An IP address and a port, the path of a unix socket (`unix:/run/tidegate/admin.sock`), or `off`. Default
    /// 127.0.0.1:9900, which only this machine reaches.
    pub listen: AdminListen,
    /// Who may connect to the unix socket: `"0600"` (the default) the gateway's own user and root, `"0660"` the socket's group
    /// too, `"0666"` everybody on this machine. Whoever is neither that user nor root gets health, metrics and schema at most:
    /// the admin API is refused to them, with a token too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_mode: Option<Spanned<SocketMode>>,
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
    /// How long the curves of the console are kept on disk as sums of each hour, in `state`: `30d`, or a map. Default: they are
    /// in memory alone, for a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollups: Option<Rollups>,
}

impl Admin {
    /// Checks what no type can say; `span` is where the admin address is written.
    pub(super) fn check(&self, span: Span, diagnostics: &mut Diagnostics) {
        if let Some(mode) = &self.socket_mode
            && !matches!(self.listen, AdminListen::Unix(_))
        {
            diagnostics
                .error(codes::CONFLICT, mode.span(), "`admin.socket_mode` without a unix socket")
                .help("write `listen: unix:/run/tidegate/admin.sock`, or take `socket_mode` away");
        }
        let Some(rollups) = &self.rollups else { return };
        let RollupsMap { keep, size } = rollups.settings();
        if keep < SHORTEST_KEPT || keep > LONGEST_KEPT || size < LEAST_KEPT || size > MOST_KEPT {
            diagnostics
                .error(codes::BAD_VALUE, span, "`admin.rollups` keeps too little or too much")
                .help("keep from 1d to 400d, in 1MiB to 4096MiB");
        }
    }
}

/// Bounds of what is kept on disk.
const SHORTEST_KEPT: Duration = Duration::from_secs(86_400);
const LONGEST_KEPT: Duration = Duration::from_secs(400 * 86_400);
const LEAST_KEPT: Size = Size::from_kib(1024);
const MOST_KEPT: Size = Size::from_kib(4096 * 1024);

/// Sums of each hour on disk: how long they are kept, or a map.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "Rollups", untagged)]
pub enum Rollups {
    /// How long they are kept.
    Text(Duration),
    /// All about them.
    Map(RollupsMap),
}

/// Sums of each hour on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RollupsSettings")]
pub struct RollupsMap {
    /// How long they are kept, in whole days. Default 30d.
    #[serde(default = "month")]
    pub keep: Duration,
    /// How much room they may take on the disk; the oldest day goes first. Default 64MiB: a month of some 80 routes, services and
    /// targets in steady use.
    #[serde(default = "room")]
    pub size: Size,
}

const fn month() -> Duration {
    Duration::from_secs(30 * 86_400)
}

const fn room() -> Size {
    Size::from_kib(64 * 1024)
}

impl Rollups {
    /// The long form.
    pub const fn settings(&self) -> RollupsMap {
        match self {
            Self::Text(keep) => RollupsMap { keep: *keep, size: room() },
            Self::Map(map) => *map,
        }
    }
}

impl Serialize for Rollups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(keep) => keep.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// Nowhere.
    Off,
    /// Here.
    At(Address),
    /// At the unix socket of this path.
    Unix(SocketPath),
}

impl Default for AdminListen {
    fn default() -> Self {
        Self::At(std::net::SocketAddr::from(([127, 0, 0, 1], 9900)).into())
    }
}

impl FromStr for AdminListen {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix("unix:") {
            _ if text == "off" => Ok(Self::Off),
            Some(path) => path.parse().map(Self::Unix),
            None => text.parse().map(Self::At),
        }
    }
}

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.0),
        }
    }
}

text_value!(AdminListen, "AdminListen", "an address such as 127.0.0.1:9900, a unix socket, or off", {
    "type": "string",
    "description": "An IP address and a port, `unix:` and the path of a socket, or `off`.",
    "examples": ["127.0.0.1:9900", "unix:/run/tidegate/admin.sock", "off"]
});

/// The path of a unix socket: absolute, and short enough for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPath(String);

impl SocketPath {
    /// As a path.
    pub fn get(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl FromStr for SocketPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let told = |why: &str| {
            let what = format!("`unix:{}` is not the place of a unix socket: {why}", text.escape_debug());
            Err(Invalid::new(what, "write the whole path of a file: unix:/run/tidegate/admin.sock"))
        };
        if !text.starts_with('/') || text.ends_with('/') || text.split('/').any(|part| part == "..") {
            return told("its path does not lead from `/` to a file");
        }
        if text.len() > LONGEST_PATH || text.chars().any(char::is_control) {
            return told("its path is longer than 96 bytes, or not printable");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Who may connect to a unix socket, as permissions of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The permissions.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.trim_start_matches("0o").trim_start_matches('0') {
            "600" => Ok(Self(0o600)),
            "660" => Ok(Self(0o660)),
            "666" => Ok(Self(0o666)),
            _ => Err(Invalid::new(
                format!("`{}` does not say who may connect", text.escape_debug()),
                "write \"0600\" for the gateway's user, \"0660\" for its group too, \"0666\" for everybody on this machine",
            )),
        }
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

text_value!(SocketMode, "SocketMode", "0600, 0660 or 0666", {
    "type": ["string", "integer"],
    "description": "Permissions of the file of a unix socket.",
    "examples": ["0600", "0660", "0666"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_admin_address() {
        for good in ["off", "127.0.0.1:9900", "unix:/run/tidegate/admin.sock"] {
            assert_eq!(good.parse::<AdminListen>().unwrap().to_string(), good);
        }
        let long = format!("unix:/{}", "x".repeat(LONGEST_PATH));
        for bad in ["unix:", "unix:admin.sock", "unix:/run/", "unix:/run/../a", "unix:/a\nb", &long] {
            let remedy = bad.parse::<AdminListen>().unwrap_err().remedy;
            assert!(remedy.contains("unix:/run/tidegate/admin.sock"), "{bad}: {remedy}");
        }
        for (text, mode) in
            [("0600", Some(0o600)), ("660", Some(0o660)), ("0o666", Some(0o666)), ("0777", None)]
        {
            assert_eq!(text.parse::<SocketMode>().ok().map(SocketMode::get), mode, "{text}");
        }
    }
}
