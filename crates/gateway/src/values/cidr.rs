//! A network of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
//!
//! IPv4 addresses mapped into IPv6 (`::ffff:10.0.0.1`) are the same as their IPv4 form, in the network and in the
//! address asked about: a dual-stack socket must not open a way around a list.

use super::{Invalid, text_value};
use std::{fmt, net::IpAddr, str::FromStr};

/// A network: an address whose bits beyond the prefix are zero, and the length of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether the address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(asked)) => {
                masked(u128::from(asked.to_bits()), 32, self.prefix) == u128::from(network.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(asked)) => {
                masked(asked.to_bits(), 128, self.prefix) == network.to_bits()
            }
            _ => false,
        }
    }

    /// The first address of the network.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is a single address.
    pub const fn is_address(&self) -> bool {
        match self.address {
            IpAddr::V4(_) => self.prefix == 32,
            IpAddr::V6(_) => self.prefix == 128,
        }
    }

    /// How many leading bits are fixed.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

/// The number with all bits after the first `prefix` of `width` cleared.
fn masked(bits: u128, width: u32, prefix: u8) -> u128 {
    let host_bits = width.saturating_sub(u32::from(prefix));
    bits.checked_shr(host_bits).and_then(|kept| kept.checked_shl(host_bits)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || {
            Invalid::new(
                format!("`{text}` is not a network"),
                "write an address or an address and a prefix: 10.0.0.0/8, 192.0.2.7, 2001:db8::/32",
            )
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| not())?;
        let width: u8 = if written.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            None => width,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| not())?
            }
            Some(_) => return Err(not()),
        };
        if prefix > width {
            return Err(not());
        }
        let (address, prefix) = match written.to_canonical() {
            // A shorter prefix than the mapping's own 96 bits holds more than IPv4 addresses: it stays IPv6.
            folded @ IpAddr::V4(_) if written.is_ipv6() && prefix >= 96 => {
                (folded, prefix.saturating_sub(96))
            }
            _ => (written, prefix),
        };
        let network = match address {
            IpAddr::V4(v4) => {
                let bits = masked(u128::from(v4.to_bits()), 32, prefix);
                IpAddr::V4(u32::try_from(bits).unwrap_or_default().into())
            }
            IpAddr::V6(v6) => IpAddr::V6(masked(v6.to_bits(), 128, prefix).into()),
        };
        if network != address {
            return Err(Invalid::new(
                format!("`{text}` has bits set after its prefix"),
                format!("write `{network}/{prefix}` for the network or `{address}` for the one address"),
            ));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

text_value!(Cidr, "Cidr", "a network such as 10.0.0.0/8", {
    "type": "string",
    "description": "A network: an address and the length of its prefix, or a single address.",
    "examples": ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            ("::1", "::1", true),
        ] {
            let network: Cidr = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn display_round_trips() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::1", "::1/128"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/", "10.0.0.0/+8", "::/129", "10.0.0.0/8/8"]
        {
            assert!(text.parse::<Cidr>().unwrap_err().what.ends_with("is not a network"), "{text}");
        }
        assert_eq!(
            "10.0.0.5/8".parse::<Cidr>().unwrap_err().to_string(),
            "`10.0.0.5/8` has bits set after its prefix: write `10.0.0.0/8` for the network or `10.0.0.5` for the one \
             address"
        );
    }
}
