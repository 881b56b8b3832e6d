//! Addresses that are kept out by hand, each until its time is over.
//!
//! Changed on the control side, asked on the road: a branch where nobody is banned, a look at a list where somebody is.
//! With a folder for what outlives restarts the list is kept there.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::values::Cidr;

/// The most bans at a time.
pub const MOST: usize = 10_000;
/// The name of the file.
const FILE: &str = "bans";

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Who is banned.
    pub network: Cidr,
    /// Until which second since 1970.
    pub until: u64,
    /// What whoever banned it said.
    #[serde(default)]
    pub why: String,
}

/// What the road looks at.
#[derive(Default)]
struct Looked {
    addresses: HashMap<IpAddr, u64>,
    networks: Vec<(Cidr, u64)>,
}

/// Everybody who is banned.
#[derive(Default)]
pub struct Bans {
    any: AtomicBool,
    looked: ArcSwap<Looked>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bans: Vec<Ban>,
    file: Option<PathBuf>,
}

impl Bans {
    /// Whether an address is banned.
    #[inline]
    pub fn refuse(&self, address: IpAddr) -> bool {
        self.any.load(Ordering::Relaxed) && self.look(address)
    }

    #[cold]
    fn look(&self, address: IpAddr) -> bool {
        let looked = self.looked.load();
        let known = looked.addresses.get(&address.to_canonical()).copied();
        let within = looked.networks.iter().filter(|(network, _)| network.contains(address));
        known.into_iter().chain(within.map(|(_, until)| *until)).any(|until| until > now())
    }

    /// Bans a network, or one already banned for another time. What is banned then.
    ///
    /// # Errors
    /// A sentence when there are too many, or the list could not be kept.
    pub fn ban(&self, network: Cidr, time: Duration, why: &str) -> Result<Ban, String> {
        let until = now().saturating_add(time.as_secs().max(1));
        let ban = Ban { network: widened(network), until, why: why.chars().take(200).collect() };
        let mut kept = self.kept();
        kept.bans.retain(|known| known.network != ban.network && known.until > now());
        if kept.bans.len() >= MOST {
            return Err(format!("there are {MOST} bans already"));
        }
        kept.bans.push(ban.clone());
        self.publish(&kept)?;
        Ok(ban)
    }

    /// Lifts a ban. Whether there was one.
    ///
    /// # Errors
    /// A sentence when the list could not be kept.
    pub fn lift(&self, network: Cidr) -> Result<bool, String> {
        let network = widened(network);
        let mut kept = self.kept();
        let before = kept.bans.len();
        kept.bans.retain(|known| known.network != network);
        let lifted = kept.bans.len() < before;
        self.publish(&kept)?;
        Ok(lifted)
    }

    /// All bans whose time is not over.
    pub fn list(&self) -> Vec<Ban> {
        let mut bans = self.kept().bans.clone();
        bans.retain(|ban| ban.until > now());
        bans
    }

    /// Keeps the list in this folder from now on, and reads what is there.
    pub(super) fn keep_in(&self, folder: &Path) {
        let mut kept = self.kept();
        let file = folder.join(FILE);
        if kept.file.as_ref() == Some(&file) {
            return;
        }
        match std::fs::read(&file) {
            Ok(bytes) => match serde_json::from_slice::<Vec<Ban>>(&bytes) {
                Ok(bans) => {
                    let known: Vec<Cidr> = kept.bans.iter().map(|ban| ban.network).collect();
                    kept.bans.extend(bans.into_iter().filter(|ban| !known.contains(&ban.network)));
                    kept.bans.truncate(MOST);
                }
                Err(error) => tracing::error!("the bans in {} cannot be read: {error}", file.display()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!("the bans in {} cannot be read: {error}", file.display()),
        }
        kept.file = Some(file);
        self.show(&kept.bans);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the road see the list, and keeps it.
    fn publish(&self, kept: &Kept) -> Result<(), String> {
        self.show(&kept.bans);
        let Some(file) = &kept.file else { return Ok(()) };
        let told =
            |error: std::io::Error| format!("it holds, but is not kept in {}: {error}", file.display());
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(told)?;
        }
        let text = serde_json::to_string_pretty(&kept.bans).unwrap_or_default();
        let draft = file.with_extension("new");
        std::fs::write(&draft, text).map_err(told)?;
        std::fs::rename(&draft, file).map_err(told)
    }

    fn show(&self, bans: &[Ban]) {
        let mut looked = Looked::default();
        for Ban { network, until, .. } in bans {
            if network.is_address() {
                looked.addresses.insert(network.address(), *until);
            } else {
                looked.networks.push((*network, *until));
            }
        }
        self.looked.store(Arc::new(looked));
        self.any.store(!bans.is_empty(), Ordering::Relaxed);
    }
}

/// Of a single IPv6 address its /64: whoever has one has them all.
fn widened(network: Cidr) -> Cidr {
    match network.address() {
        IpAddr::V6(address) if network.is_address() => {
            let address = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("{address}/64").parse().unwrap_or(network)
        }
        _ => network,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn refuses(bans: &Bans, address: &str) -> bool {
        bans.refuse(address.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks_are_kept_out_until_they_are_not() {
        let bans = Bans::default();
        assert!(!refuses(&bans, "192.0.2.7"));
        bans.ban("192.0.2.7".parse().unwrap(), HOUR, "").unwrap();
        bans.ban("198.51.100.0/24".parse().unwrap(), HOUR, "scanners").unwrap();
        let wide = bans.ban("2001:db8:1:2::9".parse().unwrap(), HOUR, "").unwrap();
        assert_eq!(wide.network.to_string(), "2001:db8:1:2::/64");
        for address in ["192.0.2.7", "::ffff:192.0.2.7", "198.51.100.200", "2001:db8:1:2:3::4"] {
            assert!(refuses(&bans, address), "{address}");
        }
        for address in ["192.0.2.8", "198.51.101.1", "2001:db8:1:3::"] {
            assert!(!refuses(&bans, address), "{address}");
        }
        assert_eq!(bans.lift("192.0.2.7".parse().unwrap()), Ok(true));
        assert_eq!(bans.lift("192.0.2.7".parse().unwrap()), Ok(false));
        assert!(!refuses(&bans, "192.0.2.7"));
        assert_eq!(bans.list().len(), 2);
    }

    #[test]
    fn a_ban_whose_time_is_over_is_none_and_one_again_changes_the_time() {
        let bans = Bans::default();
        let network: Cidr = "192.0.2.7".parse().unwrap();
        bans.ban(network, HOUR, "").unwrap();
        bans.ban(network, HOUR * 2, "again").unwrap();
        assert_eq!(bans.list().len(), 1);
        bans.kept().bans[0].until = 5;
        let over = bans.kept().bans.clone();
        bans.show(&over);
        assert!(!refuses(&bans, "192.0.2.7") && bans.list().is_empty());
    }

    #[test]
    fn the_list_outlives_the_process_that_made_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let bans = Bans::default();
        bans.keep_in(&state);
        bans.ban("192.0.2.7".parse().unwrap(), HOUR, "by night").unwrap();
        let next = Bans::default();
        next.keep_in(&state);
        assert_eq!(next.list(), bans.list());
        assert!(refuses(&next, "192.0.2.7"));
        std::fs::write(state.join(FILE), "not a list").unwrap();
        let broken = Bans::default();
        broken.keep_in(&state);
        assert!(broken.list().is_empty());
    }
}
