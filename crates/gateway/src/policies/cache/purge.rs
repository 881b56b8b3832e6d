//! What is to go out of the cache by command: one URL, all below one, a route's answers, a group, or all.

use std::sync::Arc;

use super::entry::Entry;
use super::key::parts;

/// What is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// Everything of this host and path; with a query only that of this query. All variants, all callers.
    pub url: Option<Url>,
    /// Everything of this host, and of paths that begin so.
    pub prefix: Option<Url>,
    /// Everything that this route has answered.
    pub route: Option<String>,
    /// Everything in this group: `Cache-Groups`, `Surrogate-Key`, `Cache-Tag`, or `groups` of the route.
    pub group: Option<String>,
    /// It becomes stale instead of going: it is still there when the service fails, and asked about before.
    pub soft: bool,
    /// Nothing is changed; it is only counted.
    pub dry_run: bool,
}

/// A URL taken apart: what is not there is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// The host, canonical, without port.
    pub host: Option<Vec<u8>>,
    /// The path, canonical; of a prefix its beginning.
    pub path: Vec<u8>,
    /// The query as it stands.
    pub query: Option<Vec<u8>>,
}

/// What a purge has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many answers.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the disk could not be told, so that they may be there again after a restart.
    pub unwritten: bool,
}

impl Purged {
    pub(super) fn count(&mut self, entries: &[Arc<Entry>]) {
        self.objects = self.objects.saturating_add(entries.len() as u64);
        let bytes: u64 = entries.iter().map(|entry| entry.weight() as u64).sum();
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Purge {
    /// Whether an answer is meant.
    pub(super) fn means(&self, key: &[u8], entry: &Entry) -> bool {
        self.chooses(key, &|group| entry.groups.names.iter().any(|name| **name == *group))
    }

    /// The same for one of which it is known whether it is in a group.
    pub(super) fn chooses(&self, key: &[u8], is_in: &dyn Fn(&str) -> bool) -> bool {
        let mut parts = parts(key);
        let (_, host, _) = (parts.next(), parts.next().flatten(), parts.next());
        let (path, query) = (parts.next().flatten().unwrap_or_default(), parts.next().flatten());
        let route = parts.next().flatten();
        let of_host = |url: &Url| url.host.as_deref().is_none_or(|wanted| host == Some(wanted));
        let by_url = self.url.as_ref().is_none_or(|url| {
            of_host(url) && url.path == path && (url.query.is_none() || url.query.as_deref() == query)
        });
        by_url
            && self.prefix.as_ref().is_none_or(|url| of_host(url) && path.starts_with(&url.path))
            && self.route.as_ref().is_none_or(|wanted| route == Some(wanted.as_bytes()))
            && self.group.as_ref().is_none_or(|wanted| is_in(wanted))
    }
}
