//! Where to listen: `0.0.0.0:8080`, `[::]:8080`, `127.0.0.1:0`.
//!
//! Takes no host names: what a name means may change between two starts, and a listener must not.

use super::{Invalid, text_value};
use std::{fmt, net::SocketAddr, str::FromStr};

/// An IP address and a port; port 0 lets the system choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(SocketAddr);

impl Address {
    /// As the standard library's type.
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
        let remedy = match port.parse::<u16>() {
            Ok(port) => format!(
                "write an IP address and a port: 0.0.0.0:{port} for all, 127.0.0.1:{port} for this machine"
            ),
            Err(_) => "write an IP address and a port: 0.0.0.0:8080, 127.0.0.1:8080, [::]:8080".to_owned(),
        };
        Err(Invalid::new(format!("`{text}` is not an address to listen on"), remedy))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(Address, "Address", "an address such as 0.0.0.0:8080", {
    "type": "string",
    "description": "An IP address and a port to listen on; port 0 lets the system choose.",
    "examples": ["0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["0.0.0.0:8080", "127.0.0.1:0", "[::1]:443"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for (bad, remedy) in [
            ("8080", "write an IP address and a port: 0.0.0.0:8080 for all, 127.0.0.1:8080 for this machine"),
            (
                "localhost:80",
                "write an IP address and a port: 0.0.0.0:80 for all, 127.0.0.1:80 for this machine",
            ),
            ("1.2.3.4", "write an IP address and a port: 0.0.0.0:8080, 127.0.0.1:8080, [::]:8080"),
            ("1.2.3.4:99999", "write an IP address and a port: 0.0.0.0:8080, 127.0.0.1:8080, [::]:8080"),
        ] {
            assert_eq!(bad.parse::<Address>().unwrap_err().remedy, remedy, "{bad}");
        }
    }
}
