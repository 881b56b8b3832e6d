//! Settings of the whole process: workers, forwarding headers, log, drain, DNS.

use crate::values::{Duration, HeaderName, Invalid, nearest, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, path::PathBuf, str::FromStr};

/// How many workers, each a thread that serves clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Workers {
    /// One for each core that this process may use.
    #[default]
    Auto,
    /// So many, 1 to 1024.
    Count(u16),
}

impl FromStr for Workers {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(count @ 1..=1024) => Ok(Self::Count(count)),
            _ if text == "auto" => Ok(Self::Auto),
            _ => Err(Invalid::new(
                format!("`{text}` is not a number of workers"),
                "write a number from 1 to 1024, or `auto` for one on each core",
            )),
        }
    }
}

impl Serialize for Workers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => serializer.serialize_u16(*count),
        }
    }
}

text_value!(@read Workers, "Workers", "a number of workers or auto", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 1024 },
        { "type": "string", "pattern": r"^(auto|.*\$\{.*)$" }
    ]
});

/// Which headers tell services where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Forwarded {
    /// `X-Forwarded-*` and `Forwarded`.
    #[default]
    Both,
    /// Only `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    X,
    /// Only `Forwarded` (RFC 7239).
    Rfc7239,
    /// None. What clients sent of them is still removed.
    Off,
}

/// What is written where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Log {
    /// Where the access log goes: `stdout` (the default), `stderr`, `off`, or the path of a file. Lines wait in a bounded
    /// queue; when it is full they are dropped and counted, requests never wait.
    pub access: AccessLog,
    /// The form of a line: `json` (the default) or `text`.
    pub format: LogFormat,
    /// What the gateway says of itself on stderr: `error`, `warn`, `info` (the default), `debug`, `trace`.
    pub level: LogLevel,
    /// Headers whose values never stand in a log, besides Authorization, Proxy-Authorization, Cookie, Set-Cookie.
    pub redact: Vec<HeaderName>,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// To standard output.
    #[default]
    Stdout,
    /// To standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// To a file, appended.
    File(PathBuf),
}

impl FromStr for AccessLog {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "off" => Ok(Self::Off),
            path if path.contains('/') && !path.ends_with('/') => Ok(Self::File(path.into())),
            word => {
                let remedy = match nearest(word, ["stdout", "stderr", "off"]) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "write `stdout`, `stderr`, `off`, or a path with a slash such as ./access.log"
                        .to_owned(),
                };
                Err(Invalid::new(format!("`{word}` is not a place for the access log"), remedy))
            }
        }
    }
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::Off => f.write_str("off"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

text_value!(AccessLog, "AccessLog", "stdout, stderr, off or a path", {
    "type": "string",
    "description": "`stdout`, `stderr`, `off`, or the path of a file, which must contain a slash.",
    "examples": ["stdout", "off", "/var/log/tidegate/access.log"]
});

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object on each line.
    #[default]
    Json,
    /// Words for people.
    Text,
}

/// How much the gateway says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what fails.
    Error,
    /// Also what is odd.
    Warn,
    /// Also what happens.
    #[default]
    Info,
    /// Also why.
    Debug,
    /// Everything.
    Trace,
}

/// How the gateway ends: it stops being ready, then closes connections one by one, then stops.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Drain {
    /// How long requests under way may take until the gateway stops in any case. Default 30s.
    pub timeout: Duration,
    /// Over how long idle connections are closed, so that clients do not all come back at once elsewhere. Default 20s;
    /// at most `timeout`.
    pub spread: Duration,
    /// How long a new process, started by SIGUSR2 to take over, may take until it serves. Default 30s. Then it is ended
    /// and this one goes on.
    pub handover: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            spread: Duration::from_secs(20),
            handover: Duration::from_secs(30),
        }
    }
}

/// How names of targets become addresses. Resolving happens in the background; requests never wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Dns {
    /// An answer is kept at least so long, whatever its own time to live. Default 1s.
    pub min_ttl: Duration,
    /// An answer is kept at most so long. Default 60s.
    pub max_ttl: Duration,
    /// How long the last good answer is used while the name server fails. Default 1h.
    pub keep_last_good: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(60),
            keep_last_good: Duration::from_secs(3_600),
        }
    }
}
