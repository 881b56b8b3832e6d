//! Origins of web pages (RFC 6454): `https://app.example.com`, `https://*.example.com`, `http://localhost:*`.
//!
//! Takes what browsers send in `Origin`, letter by letter, with `*` for whole labels at the beginning of the host or for the
//! port. Never matches `null`, which every sandboxed page and file has.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// Which origins are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginPattern {
    /// Every one: `*`.
    Any,
    /// Those of a scheme, a host or all below it, and a port.
    Some(Origins),
}

/// The origins of one pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origins {
    /// `https://`
    scheme: String,
    /// Whether the host is any one that ends with `host`, which then begins with a dot.
    below: bool,
    host: String,
    port: Port,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Port {
    /// That of the scheme, which browsers leave out.
    Usual,
    /// `:8080`
    This(String),
    Any,
}

impl OriginPattern {
    /// Whether an `Origin` as sent by a browser is one of these.
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Some(origins) => origins.contain(origin).is_some(),
        }
    }
}

impl Origins {
    fn contain(&self, origin: &[u8]) -> Option<()> {
        let rest = origin.strip_prefix(self.scheme.as_bytes())?;
        let (host, port) = split_port(rest);
        let port_fits = match &self.port {
            Port::Usual => port.is_empty(),
            Port::This(own) => port == own.as_bytes(),
            Port::Any => port.is_empty() || port.get(1..).is_some_and(is_number),
        };
        let host_fits = if self.below {
            let below = host.strip_suffix(self.host.as_bytes())?;
            below
                .split(|byte| *byte == b'.')
                .all(|label| !label.is_empty() && label.iter().all(is_label_byte))
        } else {
            host == self.host.as_bytes()
        };
        (port_fits && host_fits).then_some(())
    }
}

/// Host and port of an authority; the port with its colon, empty when there is none.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    let bracket = memchr::memrchr(b']', authority).unwrap_or(0);
    match memchr::memrchr(b':', authority).filter(|colon| *colon > bracket) {
        Some(colon) => authority.split_at_checked(colon).unwrap_or((authority, b"")),
        None => (authority, b""),
    }
}

fn is_number(text: &[u8]) -> bool {
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

fn is_label_byte(byte: &u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

impl FromStr for OriginPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not = |remedy: &str| Invalid::new(format!("`{}` is not an origin", text.escape_debug()), remedy);
        if text == "*" {
            return Ok(Self::Any);
        }
        if text == "null" {
            return Err(not("`null` is the origin of every sandboxed page and file: name the page's own"));
        }
        let lower = text.to_ascii_lowercase();
        let form =
            || not("write scheme and host as browsers do: https://app.example.com, https://*.example.com");
        let (scheme, authority) = lower.split_once("://").ok_or_else(form)?;
        let good_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(good_scheme) {
            return Err(form());
        }
        if let Some((_, path)) = authority.split_once('/') {
            let remedy =
                if path.is_empty() { "leave out the `/` at its end" } else { "an origin has no path" };
            return Err(not(remedy));
        }
        let (host, port) = split_port(authority.as_bytes());
        let (host, port) = (as_text(host), as_text(port));
        let port = match (scheme, port) {
            (_, "") | ("https", ":443") | ("http", ":80") => Port::Usual,
            (_, ":*") => Port::Any,
            (_, number) if number.get(1..).is_some_and(|digits| is_number(digits.as_bytes())) => {
                Port::This(number.to_owned())
            }
            _ => return Err(not("the port is a number, or `*` for any")),
        };
        let (below, host) = match host.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, host),
        };
        let name = if below { host.strip_prefix('.').unwrap_or("") } else { host };
        let labels =
            name.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| is_label_byte(&byte)));
        let address = !below
            && name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'))
                .is_some_and(|name| name.parse::<std::net::Ipv6Addr>().is_ok());
        if !labels && !address {
            return Err(match name.contains('*') || (below && name.is_empty()) {
                true => not(
                    "a `*` stands for whole labels at the beginning, https://*.example.com, or for the port",
                ),
                false => form(),
            });
        }
        Ok(Self::Some(Origins { scheme: format!("{scheme}://"), below, host: host.to_owned(), port }))
    }
}

fn as_text(part: &[u8]) -> &str {
    std::str::from_utf8(part).unwrap_or_default()
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Some(Origins { scheme, below, host, port }) = self else { return f.write_str("*") };
        let port = match port {
            Port::Usual => "",
            Port::This(port) => port,
            Port::Any => ":*",
        };
        write!(f, "{scheme}{}{host}{port}", if *below { "*" } else { "" })
    }
}

text_value!(OriginPattern, "OriginPattern", "an origin such as https://app.example.com", {
    "type": "string",
    "description": "An origin, https://app.example.com; all below a host, https://*.example.com; any port, \
                    http://localhost:*; or `*` for every origin.",
    "examples": ["https://app.example.com", "https://*.example.com", "http://localhost:*", "*"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_matched_as_a_whole() {
        for (pattern, matching, others) in [
            (
                "https://a.com",
                &["https://a.com"][..],
                &[
                    "null",
                    "",
                    "https://a.com.evil.com",
                    "https://evila.com",
                    "http://a.com",
                    "https://a.com:444",
                    "https://a.com/",
                    "https://a.com@evil.com",
                    "https://b.a.com",
                    "https://A.com",
                ][..],
            ),
            ("https://A.com:443", &["https://a.com"], &["https://a.com:443"]),
            ("http://a.com:8080", &["http://a.com:8080"], &["http://a.com", "http://a.com:80801"]),
            (
                "https://*.a.com",
                &["https://b.a.com", "https://c.b.a.com"],
                &[
                    "https://a.com",
                    "https://.a.com",
                    "https://evil.com/.a.com",
                    "https://evil.com#.a.com",
                    "https://evil.com:1.a.com",
                    "https://x..a.com",
                    "https://ba.com",
                    "https://b.a.com:1",
                    "null",
                ],
            ),
            (
                "http://localhost:*",
                &["http://localhost", "http://localhost:3000"],
                &[
                    "http://localhost:",
                    "http://localhost:x",
                    "http://localhost.evil.com:1",
                    "http://localhost:1234567",
                ],
            ),
            ("http://[::1]:3000", &["http://[::1]:3000"], &["http://[::1]", "http://[::1]:30000"]),
            ("http://[::1]:*", &["http://[::1]", "http://[::1]:1"], &["http://[::2]"]),
            ("capacitor://localhost", &["capacitor://localhost"], &["http://localhost"]),
            ("*", &["null", "https://a.com"], &[]),
        ] {
            let read: OriginPattern = pattern.parse().unwrap();
            for origin in matching {
                assert!(read.matches(origin.as_bytes()), "{pattern} {origin}");
            }
            for origin in others {
                assert!(!read.matches(origin.as_bytes()), "{pattern} {origin}");
            }
            assert_eq!(read.to_string().parse::<OriginPattern>().unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_origin() {
        for (text, remedy) in [
            ("null", "`null` is the origin of every sandboxed page and file: name the page's own"),
            ("https://a.com/", "leave out the `/` at its end"),
            ("https://a.com/x", "an origin has no path"),
            ("https://a.com:x", "the port is a number, or `*` for any"),
            ("a.com", "write scheme and host as browsers do: https://app.example.com, https://*.example.com"),
            (
                "https://",
                "write scheme and host as browsers do: https://app.example.com, https://*.example.com",
            ),
            (
                "https://*",
                "a `*` stands for whole labels at the beginning, https://*.example.com, or for the port",
            ),
            (
                "https://*a.com",
                "a `*` stands for whole labels at the beginning, https://*.example.com, or for the port",
            ),
            (
                "https://a.*.com",
                "a `*` stands for whole labels at the beginning, https://*.example.com, or for the port",
            ),
            (
                "https://u@a.com",
                "write scheme and host as browsers do: https://app.example.com, https://*.example.com",
            ),
        ] {
            assert_eq!(text.parse::<OriginPattern>().unwrap_err().remedy, remedy, "{text}");
        }
    }
}
