//! What of kept answers outlives restarts, on the disk in the folder `state`.

use super::codes;
use super::decode::decode_key;
use super::diagnostic::Diagnostics;
use super::node::Node;
use super::place::Spanned;
use super::read::entry;
use crate::values::{Secret, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The least that is kept of one kind: below, hardly an answer fits.
const LEAST: Size = Size::from_kib(1024);
/// The shortest secret.
const SHORTEST: usize = 32;

/// What of kept answers is on the disk as well, and so outlives restarts and crashes. It needs `state`. Who may read that
/// folder reads heads and bodies of answers, unless there is a `secret`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Disk {
    /// Bytes for the answers of routes with a `cache`, from 1MiB; may be more than `cache_memory`. Default: none, they live in
    /// memory alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Spanned<Size>>,
    /// Bytes for the last good answers of routes with `fallback: [{ last_good: .. }]`, from 1MiB. Default: none, they live in
    /// memory alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Spanned<Size>>,
    /// A text of at least 32 characters by which everything is sealed (AES-256-GCM-SIV). With another one what was kept
    /// is not read any more and goes. Default: none, nothing is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Spanned<Secret>>,
}

/// Reads `disk`, and what it needs.
pub(super) fn read(root: &Node, diagnostics: &mut Diagnostics) -> Option<Disk> {
    let found = entry(root, "disk")?;
    let before = diagnostics.errors();
    let disk: Disk = decode_key(&found.key, &found.value, diagnostics)?;
    for (name, size) in [("cache", &disk.cache), ("last_good", &disk.last_good)] {
        if let Some(size) = size.as_ref().filter(|size| ***size < LEAST) {
            let what = format!("`disk.{name}` of {} is too little to keep anything", **size);
            diagnostics.error(codes::BAD_VALUE, size.span(), what).help("write at least 1MiB");
        }
    }
    if let Some(secret) = disk.secret.as_ref().filter(|secret| secret.expose().len() < SHORTEST) {
        let what = "`disk.secret` is shorter than 32 characters";
        let help = "make one with `openssl rand -base64 32`";
        diagnostics.error(codes::BAD_VALUE, secret.span(), what).help(help);
    }
    if diagnostics.errors() > before {
        return Some(disk);
    }
    if disk.cache.is_none() && disk.last_good.is_none() {
        let what = "`disk` says nothing that is to be kept";
        diagnostics
            .error(codes::CONFLICT, found.key.span(), what)
            .help("write `disk: { cache: 1GiB }`, `last_good: 64MiB`, or both");
    } else if entry(root, "state").is_none() {
        let what = "`disk` keeps answers, and the file does not say where";
        diagnostics
            .error(codes::CONFLICT, found.key.span(), what)
            .help("write `state: /var/lib/tidegate` at its top");
    }
    Some(disk)
}
