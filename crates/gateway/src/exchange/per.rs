//! What requests are counted by: the key that several sources make together.

use std::hash::Hasher;
use std::net::IpAddr;

use super::Exchange;
use crate::values::Source;

/// What an IPv4 address has where an IPv6 address begins: that of a group, from which nobody can send.
const IPV4: u64 = 0xffff << 48;

impl Exchange {
    /// The client's address as a number, as far as it counts: another for each two that [`Exchange::hash_per`] tells apart.
    #[inline]
    pub fn address_word(&self) -> u64 {
        match self.client.ip.to_canonical() {
            IpAddr::V4(address) => IPV4 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        }
    }

    /// Adds the key that these sources make to a hash: each with its length, so that no two keys are alike. A source that
    /// the exchange has nothing of counts as such. Of an IPv6 address only the /64 counts: whoever has one address has
    /// them all. What it writes is found again in files and in Redis, so it stays as it is.
    pub fn hash_per(&self, sources: &[Source], hasher: &mut impl Hasher) {
        for source in sources {
            if matches!(source, Source::Ip) {
                match self.client.ip.to_canonical() {
                    IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
                    IpAddr::V6(address) => hasher.write_u64((address.to_bits() >> 64) as u64),
                }
                continue;
            }
            match self.source(source) {
                None => hasher.write_u64(u64::MAX),
                Some(text) => {
                    hasher.write_u64(text.len() as u64);
                    hasher.write(&text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    fn key(exchange: &Exchange, sources: &[&str]) -> u64 {
        let sources: Vec<Source> = sources.iter().map(|source| source.parse().unwrap()).collect();
        let mut hasher = DefaultHasher::new();
        exchange.hash_per(&sources, &mut hasher);
        hasher.finish()
    }

    fn from(address: &str) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.client.ip = address.parse().unwrap();
        exchange
    }

    #[test]
    fn addresses_count_by_what_one_customer_has() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("192.0.2.1", "0:0:c000:201::1", false),
        ] {
            assert_eq!(key(&from(one), &["ip"]) == key(&from(other), &["ip"]), same, "{one} {other}");
            assert_eq!(from(one).address_word() == from(other).address_word(), same, "{one} {other}");
        }
    }

    #[test]
    fn parts_are_kept_apart_and_nothing_is_not_empty() {
        let with = |query: &str| Exchange { query: query.as_bytes().to_vec(), ..Exchange::default() };
        let sources = ["query.a", "query.b"];
        let keys: Vec<u64> = ["a=1&b=23", "a=12&b=3", "a=&b=123", "b=123", "a=123", "a=123&b="]
            .map(|query| key(&with(query), &sources))
            .to_vec();
        for (nth, one) in keys.iter().enumerate() {
            assert!(!keys[..nth].contains(one), "{nth}");
        }
    }
}
