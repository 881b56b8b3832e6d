//! Where something is fetched from: an `http` or `https` URL with its path.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// An absolute URL of `http` or `https`, without a login and without a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebUrl {
    text: String,
    tls: bool,
    authority: usize,
    path: usize,
}

impl WebUrl {
    /// The URL as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https`.
    pub const fn is_https(&self) -> bool {
        self.tls
    }

    /// Host and port as written: the value of `Host`.
    pub fn authority(&self) -> &str {
        self.text.get(self.authority..self.path).unwrap_or_default()
    }

    /// The host, without port and brackets.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// The port, that of the scheme when none is written.
    pub fn port(&self) -> u16 {
        let after = self.authority().rsplit(']').next().unwrap_or_default();
        let written = after.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Path and query; at least `/`.
    pub fn target(&self) -> &str {
        match self.text.get(self.path..) {
            None | Some("") => "/",
            Some(path) => path,
        }
    }

    /// Whether nobody but this machine hears what is said there: its host is this machine.
    pub fn is_local(&self) -> bool {
        let address = self.host().parse::<std::net::IpAddr>();
        self.host().eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for WebUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        read(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Invalid::new(
                format!("`{}` is not a URL to fetch from", shown.escape_debug()),
                "write https://host/path, without a login and without a #",
            )
        })
    }
}

fn read(text: &str) -> Option<WebUrl> {
    let (tls, authority) = match text.split_once("://")?.0 {
        "https" => (true, "https://".len()),
        "http" => (false, "http://".len()),
        _ => return None,
    };
    let plain = text.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && !b"\\\"<>^`{|}#".contains(&byte));
    let rest = text.get(authority..)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = rest.get(..end)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if !plain || !host.bytes().all(good) || rest.get(end..)?.starts_with('?') {
        return None;
    }
    let url = WebUrl { text: text.to_owned(), tls, authority, path: authority.checked_add(end)? };
    let port = host.rsplit(']').next()?.rsplit_once(':').map(|(_, port)| port);
    let bracketed = host.starts_with('[');
    let shaped = if bracketed {
        url.host().parse::<std::net::Ipv6Addr>().is_ok() && host.contains(']')
    } else {
        !url.host().is_empty() && !host.contains(['[', ']']) && host.matches(':').count() <= 1
    };
    (shaped && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))).then_some(url)
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_value!(WebUrl, "WebUrl", "a URL such as https://id.example/jwks", {
    "type": "string",
    "pattern": r"^https?://|\$\{",
    "description": "An http or https URL to fetch from."
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (text, host, port, target) in [
            ("https://id.example", "id.example", 443, "/"),
            ("https://id.example/a/b?c=d", "id.example", 443, "/a/b?c=d"),
            ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, "/x"),
            ("http://[::1]:81/", "::1", 81, "/"),
            ("http://[::1]/", "::1", 80, "/"),
        ] {
            let url: WebUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
        }
        for wrong in [
            "",
            "id.example",
            "ftp://a/",
            "https://",
            "https:///x",
            "https://a@b/",
            "https://a/#x",
            "https://a b/",
            "https://a:b/",
            "https://a:0/",
            "https://a:99999/",
            "https://::1/",
            "https://[::1/",
            "https://a?x",
            "HTTPS://a/",
        ] {
            assert!(wrong.parse::<WebUrl>().is_err(), "{wrong}");
        }
        assert!("http://localhost:1/".parse::<WebUrl>().unwrap().is_local());
        assert!(!"http://10.0.0.1/".parse::<WebUrl>().unwrap().is_local());
    }
}
