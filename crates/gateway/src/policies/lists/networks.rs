//! Many networks, looked up quickly: one look for each length of prefix that is there, however many networks.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::values::Cidr;

/// A set of networks.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    four: BTreeMap<u8, HashSet<u32>>,
    six: BTreeMap<u8, HashSet<u128>>,
    count: usize,
}

impl Networks {
    /// Of these.
    pub(super) fn new<'n>(networks: impl IntoIterator<Item = &'n Cidr>) -> Networks {
        let mut all = Networks::default();
        for network in networks {
            let new = match network.address() {
                IpAddr::V4(address) => {
                    all.four.entry(network.prefix()).or_default().insert(address.to_bits())
                }
                IpAddr::V6(address) => all.six.entry(network.prefix()).or_default().insert(address.to_bits()),
            };
            all.count = all.count.saturating_add(usize::from(new));
        }
        all
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether an address is in one of them.
    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        if self.count == 0 {
            return false;
        }
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let masked = |prefix: u8| {
                    address.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
                };
                self.four.iter().any(|(prefix, networks)| networks.contains(&masked(*prefix)))
            }
            IpAddr::V6(address) => {
                let masked = |prefix: u8| {
                    address.to_bits() & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
                };
                self.six.iter().any(|(prefix, networks)| networks.contains(&masked(*prefix)))
            }
        }
    }

    /// Of a text with one on each line. None where it is no such text: nothing in it is a network, or every tenth line is
    /// something else.
    pub(super) fn read(text: &str, most: usize) -> Option<Networks> {
        let lines = text.lines().filter_map(|line| line.split(['#', ';']).next()?.split_whitespace().next());
        let (mut networks, mut wrong) = (Vec::new(), 0usize);
        for word in lines {
            match word.parse::<Cidr>() {
                Ok(network) if networks.len() < most => networks.push(network),
                Ok(_) => return None,
                Err(_) => wrong = wrong.saturating_add(1),
            }
        }
        let is_list = !networks.is_empty() && wrong.saturating_mul(10) <= networks.len();
        is_list.then(|| Networks::new(&networks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_is_found_whatever_the_prefix() {
        let text = "# a list\n10.0.0.0/8 ; all of it\n192.0.2.7\n\n203.0.113.0/25 # half\n2001:db8::/32\n::1\n0.0.0.0/32\n";
        let networks = Networks::read(text, 100).unwrap();
        assert_eq!(networks.count(), 6);
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("203.0.113.127", true),
            ("203.0.113.128", false),
            ("::ffff:10.1.1.1", true),
            ("2001:db8:ffff::", true),
            ("2001:db9::", false),
            ("::1", true),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(Networks::new(&["0.0.0.0/0".parse().unwrap()]).contains("192.0.2.1".parse().unwrap()));
        assert!(Networks::new(&["::/0".parse().unwrap()]).contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_list_is_none() {
        for text in ["", "<html>\n<body>", "# nothing\n", "10.0.0.1\nhello\n", "10.0.0.1\n10.0.0.2\n"] {
            assert!(Networks::read(text, 1).is_none(), "{text}");
        }
    }
}
