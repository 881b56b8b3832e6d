//! The address of a target: `http://users-a:8000`.
//!
//! Takes scheme, host and port only. A path belongs into a route (`rewrite`), a password into a header: each is refused
//! with a sentence of its own.

use super::{Invalid, text_value};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

const REMEDY: &str = "write a scheme, a host and a port: http://users:8000";

/// Where a target is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    secure: bool,
    host: TargetHost,
    port: u16,
}

/// The host of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetHost {
    /// A name to be resolved, in lower case.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl TargetUrl {
    /// The host.
    pub const fn host(&self) -> &TargetHost {
        &self.host
    }

    /// Whether it is reached under TLS (`https`).
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The port; 80, under TLS 443, when none was written.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What stands in a `Host` field for this target: the port is left out when it is that of the scheme (RFC 9110
    /// section 4.2).
    pub fn authority(&self) -> String {
        if self.port == usual_port(self.secure) {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for TargetUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || Invalid::new(format!("`{}` is not the URL of a target", text.escape_debug()), REMEDY);
        let (scheme, rest) = text.split_once("://").ok_or_else(not)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(not()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            // The text is not repeated: it may hold a password.
            return Err(Invalid::new(
                "a target's URL holds no user or password",
                "set an Authorization header instead",
            ));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(Invalid::new(
                format!("`{}` has more than a host and a port", text.escape_debug()),
                "leave the path out here and change it on the route with `rewrite`",
            ));
        }
        let (host, port) = split_port(authority).ok_or_else(not)?;
        let port = match port {
            None => usual_port(secure),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| not())?
            }
            Some(_) => return Err(not()),
        };
        if port == 0 {
            return Err(not());
        }
        Ok(Self { secure, host: host.parse()?, port })
    }
}

const fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Splits `host:port`, where the host may be a bracketed IPv6 address.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let end = authority.find(']')?.checked_add(1)?;
        let (host, rest) = authority.split_at_checked(end)?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

impl FromStr for TargetHost {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = || {
            Invalid::new(
                format!("`{}` is not a host", text.escape_debug()),
                "write a name such as users or users.example.com, or an address such as 10.0.0.7 or [::1]",
            )
        };
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(not)?;
            return inner.parse::<Ipv6Addr>().map(|ip| Self::Ip(ip.into())).map_err(|_| not());
        }
        if let Ok(ip) = text.parse::<std::net::Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let name = text.to_ascii_lowercase();
        // Underscores are not host names by RFC 1123, but names of containers have them.
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let labels = name.strip_suffix('.').unwrap_or(&name);
        // A last label of digits alone is a mistyped IPv4 address to every resolver.
        let numeric = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if labels.len() > 253 || numeric || !labels.split('.').all(label) {
            return Err(not());
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

text_value!(TargetUrl, "TargetUrl", "the URL of a target such as http://users:8000", {
    "type": "string",
    "description": "Where a target is reached: scheme, host and port. The port is 80, with https 443, unless written.",
    "examples": ["http://users:8000", "https://users.example.com", "http://10.0.0.7:8000"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, shown, port) in [
            ("http://users:8000", "http://users:8000", 8000),
            ("http://Users.Example.com", "http://users.example.com", 80),
            ("http://users:80/", "http://users", 80),
            ("HTTP://10.0.0.7:1", "http://10.0.0.7:1", 1),
            ("http://[::1]:8000", "http://[::1]:8000", 8000),
            ("http://[2001:DB8::1]", "http://[2001:db8::1]", 80),
            ("http://my_service-1:9", "http://my_service-1:9", 9),
            ("http://users.:8000", "http://users.:8000", 8000),
            ("https://users", "https://users", 443),
            ("https://users:443/", "https://users", 443),
            ("https://users:80", "https://users:80", 80),
            ("http://users:443", "http://users:443", 443),
        ] {
            let url: TargetUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.port()), (shown, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for text in [
            "",
            "users",
            "users:8000",
            "http://",
            "http:///",
            "http://:80",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://a:+1",
            "ftp://a",
            "http://[::1",
            "http://[::1]x",
            "http://a b",
            "http://-a",
            "http://1.2.3",
            "http://a..b",
            "http://ä",
        ] {
            assert!(text.parse::<TargetUrl>().is_err(), "{text}");
        }
        for (text, message) in [
            (
                "http://a/b",
                "`http://a/b` has more than a host and a port: leave the path out here and change it on the route \
                 with `rewrite`",
            ),
            (
                "http://me:secret@a",
                "a target's URL holds no user or password: set an Authorization header instead",
            ),
        ] {
            assert_eq!(text.parse::<TargetUrl>().unwrap_err().to_string(), message);
        }
    }
}
