//! A question: the request that is asked about, and the bytes in which a client would send it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshot;

/// A request that is asked about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The method.
    pub method: String,
    /// A URL, or a path with or without a query.
    pub url: String,
    /// Field lines: names and values. Without a `Host` it is the one of the URL, or `localhost`.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The address that the connection comes from.
    #[serde(default = "this_machine")]
    pub from: IpAddr,
    /// The listener it comes in on: the first, unless named.
    #[serde(default)]
    pub listener: Option<String>,
    /// Bytes of the body; none unless said.
    #[serde(default)]
    pub body_size: Option<u64>,
}

const fn this_machine() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear(String);

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unclear {}

impl Unclear {
    pub(super) fn no_listener(name: &str, snapshot: &Snapshot) -> Unclear {
        let names: Vec<&str> = snapshot.listeners.iter().map(|listener| &*listener.name).collect();
        Unclear(format!("there is no listener `{}`; there is {}", name.escape_debug(), names.join(", ")))
    }

    pub(super) fn no_listeners() -> Unclear {
        Unclear("the configuration has no listener".into())
    }
}

impl Question {
    /// A question without headers, from this machine.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Question {
        Question {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            from: this_machine(),
            listener: None,
            body_size: None,
        }
    }

    /// Whether the client would speak TLS, where the URL says so.
    pub(super) fn is_https(&self) -> Option<bool> {
        let begins = |scheme: &str| {
            self.url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        if begins("https://") { Some(true) } else { begins("http://").then_some(false) }
    }

    /// The name that the client would ask for in its handshake: the host of the URL, or of the `Host` that stands for it.
    pub(super) fn server_name(&self) -> Option<Box<str>> {
        let named = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let (authority, _) = self.take_apart().ok()?;
        let authority = authority.or(named.map(|(_, value)| value.as_str())).unwrap_or("localhost");
        // An address is no name, and is not asked for.
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let is_name = !host.starts_with('[') && host.parse::<IpAddr>().is_err();
        is_name.then(|| host.to_ascii_lowercase().into())
    }

    /// The head of the request as a client would send it. What it may say is for the parser to judge; only what would
    /// be another request than the one asked about is refused.
    pub(super) fn to_wire(&self) -> Result<Vec<u8>, Unclear> {
        let (authority, target) = self.take_apart()?;
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut lines = vec![format!("{} {target} HTTP/1.1", self.method)];
        if !has("host") {
            lines.push(format!("Host: {}", authority.unwrap_or("localhost")));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if let Some(size) = self.body_size
            && !has("content-length")
            && !has("transfer-encoding")
        {
            lines.push(format!("Content-Length: {size}"));
        }
        let broken = |line: &&String| line.is_empty() || line.contains(['\r', '\n']);
        if let Some(line) = lines.iter().find(broken) {
            return Err(Unclear(format!("`{}` is not one line", line.escape_debug())));
        }
        if self.method.is_empty() {
            return Err(Unclear("the method is empty".into()));
        }
        Ok((lines.join("\r\n") + "\r\n\r\n").into_bytes())
    }

    /// Authority and target of the URL, without its fragment, which clients keep for themselves.
    fn take_apart(&self) -> Result<(Option<&str>, String), Unclear> {
        let url = self.url.split('#').next().unwrap_or_default();
        if url.starts_with('/') || url == "*" {
            return Ok((None, url.to_owned()));
        }
        let scheme = ["http://", "https://"]
            .into_iter()
            .find(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let rest = scheme.and_then(|scheme| url.get(scheme.len()..)).ok_or_else(|| {
            let url = self.url.escape_debug();
            Unclear(format!("`{url}` is no URL: write `http://shop.example/path`, or just `/path`"))
        })?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok((Some(authority), format!("{slash}{path}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(url: &str, headers: &[(&str, &str)], body_size: Option<u64>) -> Result<String, String> {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let question = Question { headers, body_size, ..Question::new("GET", url) };
        let bytes = question.to_wire().map_err(|unclear| unclear.to_string())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_question_is_written_as_a_client_would() {
        for (url, headers, size, head) in [
            ("/a?b#c", &[][..], None, "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("http://h:81", &[], None, "GET / HTTP/1.1\r\nHost: h:81\r\n\r\n"),
            ("HTTP://h?q", &[], None, "GET /?q HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("https://h/a", &[("host", "x")], None, "GET /a HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("/", &[], Some(7), "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n"),
        ] {
            assert_eq!(wire(url, headers, size).as_deref(), Ok(head), "{url}");
        }
    }

    #[test]
    fn what_is_another_request_is_not_asked() {
        for (url, headers) in [
            ("shop.example/a", &[][..]),
            ("ftp://h/", &[]),
            ("/a\r\nX: y", &[]),
            ("/", &[("X", "a\r\n\r\nGET / HTTP/1.1")]),
        ] {
            assert!(wire(url, headers, None).is_err(), "{url}");
        }
    }
}
