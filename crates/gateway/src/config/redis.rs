//! The Redis that gateways share: for limits that hold over all of them.

use super::codes;
use super::decode::decode_key;
use super::diagnostic::Diagnostics;
use super::node::Node;
use super::pairs::OneOrMany;
use super::place::Spanned;
use super::read::{entry, long_form};
use crate::values::{Duration, Name, RedisUrl, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the shared Redis is: one of `url`, `cluster` and `sentinel`. It needs Redis 7 or later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Redis {
    /// One server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Spanned<RedisUrl>>,
    /// Servers of a cluster, some of them; they name the others.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub cluster: OneOrMany<Spanned<RedisUrl>>,
    /// Sentinels that know which server is the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// What every key begins with. Gateways that share limits have the same. Default: tidegate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Name>,
    /// How long a request may wait for an answer; after that it goes on as its policy says. Default: 50ms.
    #[serde(default = "fifty_millis")]
    pub timeout: Duration,
}

/// Sentinels that know which server is the master.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Sentinel {
    /// The name of the master.
    pub master: Name,
    /// The sentinels, with their own passwords if they have any.
    pub nodes: OneOrMany<Spanned<RedisUrl>>,
    /// The user at the master. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password at the master. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

impl Redis {
    /// All addresses, those of sentinels included.
    pub fn addresses(&self) -> impl Iterator<Item = &RedisUrl> {
        let sentinels = self.sentinel.iter().flat_map(|sentinel| sentinel.nodes.iter());
        self.url.iter().chain(self.cluster.iter()).chain(sentinels).map(|url| &**url)
    }
}

const fn fifty_millis() -> Duration {
    Duration::from_millis(50)
}

/// Reads `redis`, which is in one place.
pub(super) fn read(root: &Node, diagnostics: &mut Diagnostics) -> Option<Redis> {
    let entry = entry(root, "redis")?;
    let before = diagnostics.errors();
    let redis: Redis = decode_key(&entry.key, &long_form(&entry.value, "url"), diagnostics)?;
    let ways = [redis.url.is_some(), !redis.cluster.is_empty(), redis.sentinel.is_some()];
    // What could not be read is missing as well.
    if diagnostics.errors() == before && ways.into_iter().filter(|way| *way).count() != 1 {
        let what = "`redis` says in one way where it is: `url`, `cluster` or `sentinel`";
        diagnostics
            .error(codes::CONFLICT, entry.key.span(), what)
            .help("write `redis: redis://127.0.0.1:6379`, or one of the three");
    }
    if redis.timeout.is_zero() {
        let fault = diagnostics.error(codes::BAD_VALUE, entry.key.span(), "`redis.timeout` of no time");
        fault.help("write at least 1ms");
    }
    Some(redis)
}
