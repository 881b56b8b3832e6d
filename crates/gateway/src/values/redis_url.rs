//! Where a Redis server is: `redis://user:password@host:6379/0`. The password never prints.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

const REMEDY: &str =
    "write redis://HOST, redis://HOST:PORT or redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS";

/// The address of a Redis server, with whatever is needed to log in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The whole address, password included. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // What was written may hold a password, so no fault repeats it.
        let not = |what: &str| Invalid::new(what, REMEDY);
        let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
        let rest = rest.ok_or_else(|| not("this is not the address of a Redis server"))?;
        let (place, database) = match rest.split_once('/') {
            Some((place, database)) => (place, database),
            None => (rest, ""),
        };
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let port = match host.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port,
            _ => "6379",
        };
        let named = !host.is_empty() && !host.starts_with(':');
        let clean = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#'));
        if !named || !clean || port.parse::<u16>().is_err() || port == "0" {
            return Err(not("this is not the address of a Redis server"));
        }
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err(not("the database of a Redis server is a number"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rsplit_once('@') {
            Some((login, place)) => {
                let (scheme, login) = login.split_once("://").unwrap_or(("redis", login));
                let user = login.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}:***@{place}")
            }
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

text_value!(RedisUrl, "RedisUrl", "an address such as redis://127.0.0.1:6379", {
    "type": "string",
    "description": "Where a Redis server is: redis://USER:PASSWORD@HOST:PORT/DATABASE; all but the host may be left out. With \
                    rediss:// it is spoken to under TLS, and has to show a certificate that the system believes.",
    "examples": ["redis://127.0.0.1:6379", "${REDIS_URL}"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_what_is_none() {
        for (text, shown) in [
            ("redis://h", "redis://h"),
            ("redis://h:7000/3", "redis://h:7000/3"),
            ("redis://[::1]:6379", "redis://[::1]:6379"),
            ("redis://[::1]", "redis://[::1]"),
            ("redis://:s%40cret@h", "redis://:***@h"),
            ("redis://me:secret@h:1/0", "redis://me:***@h:1/0"),
            ("rediss://me:secret@h:1/0", "rediss://me:***@h:1/0"),
        ] {
            let url: RedisUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.expose()), (shown, text));
            assert!(!format!("{url:?}").contains("cret"));
        }
        for text in
            ["", "h:1", "http://h", "redis://", "redis://:6379", "redis://h:0", "redis://h:x", "redis://h/a"]
        {
            let fault = text.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(fault.ends_with(REMEDY) && !fault.contains("secret"), "{text}: {fault}");
        }
    }
}
