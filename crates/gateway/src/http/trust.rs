//! What is believed of a request's own words about where it came from, and what is not.
//!
//! Takes a request as parsed; removes hop-by-hop fields, forwarding fields of peers that are no trusted proxies,
//! and fields that look like an identity given by a gateway. Names are compared folded (lower case, everything but
//! letters and digits a `-`), because services fold them too: `X_User.Id` is `X-User-Id` to many of them.

use std::net::IpAddr;

use http1::{FieldId, Fields, Name, names};

use crate::exchange::Exchange;
use crate::values::Cidr;

/// Names that only a gateway or proxy may set, folded. A trailing `*` stands for any rest.
const FORWARDING: [&str; 8] = [
    "forwarded",
    "x-forwarded-*",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-*",
];

/// Names for the certificate of a client, which the gateway alone may tell (RFC 9440 section 2.4): taken from everybody,
/// whatever the configuration says. Folded.
const CERTIFICATES: [&str; 2] = ["client-cert", "client-cert-chain"];

/// Most hops of an `X-Forwarded-For` or `Forwarded` that are looked at.
const MOST_HOPS: usize = 64;

/// Whom and what to believe, for one listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// Networks whose forwarding fields are believed.
    pub proxies: Vec<Cidr>,
    /// Names that tell who calls.
    identity: Vec<Pattern>,
    /// Names that tell which way a request came.
    forwarding: Vec<Pattern>,
    /// Which of the names that the codec knows are among these, a bit for each number.
    known: u128,
    /// Which others may be.
    sieve: Sieve,
}

impl Default for Trust {
    /// Believes nobody about anything.
    fn default() -> Trust {
        Trust::new(Vec::new(), [])
    }
}

/// Tells of nearly every name that it is none of a list, from its third and fourth byte: the first two are `x-` so often.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sieve {
    /// A bit for each two bytes, as far as their last five bits go.
    seen: [u64; 16],
    /// Some pattern is too short to be told from others by these bytes.
    holds_nothing: bool,
}

impl Sieve {
    fn add(&mut self, pattern: &Pattern) {
        match Sieve::place(&pattern.folded) {
            Some((word, bit)) => self.seen.iter_mut().skip(word).take(1).for_each(|seen| *seen |= bit),
            None => self.holds_nothing = true,
        }
    }

    /// Whether a name may be one of the list.
    #[inline]
    fn lets_pass(&self, name: &[u8]) -> bool {
        let bit = Sieve::place(name).and_then(|(word, bit)| Some(self.seen.get(word)? & bit));
        bit.unwrap_or(0) != 0 || self.holds_nothing
    }

    #[inline]
    fn place(name: &[u8]) -> Option<(usize, u64)> {
        let [_, _, third, fourth, ..] = name else { return None };
        let (third, fourth) = (fold(*third) & 31, fold(*fourth) & 31);
        Some((usize::from(third) / 2, 1 << ((third & 1) * 32 + fourth)))
    }
}

/// A name of a field, or its beginning, compared folded.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    folded: Box<[u8]>,
    prefix: bool,
}

impl Pattern {
    /// A name; with a `*` at its end the beginning of one.
    pub fn new(text: &str) -> Pattern {
        let (name, prefix) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        Pattern { folded: name.bytes().map(fold).collect(), prefix }
    }

    /// Whether a name is this one, however it is spelled.
    pub fn matches(&self, name: &[u8]) -> bool {
        let fits =
            if self.prefix { name.len() >= self.folded.len() } else { name.len() == self.folded.len() };
        // Many names begin alike; where the pattern ends they differ.
        let ends = || {
            let last = name.get(self.folded.len().wrapping_sub(1)).map(|byte| fold(*byte));
            last.as_ref() == self.folded.last()
        };
        fits && ends() && self.folded.iter().zip(name).all(|(pattern, byte)| *pattern == fold(*byte))
    }
}

fn fold(byte: u8) -> u8 {
    static FOLDED: [u8; 256] = folded();
    FOLDED.get(usize::from(byte)).copied().unwrap_or(b'-')
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of bounds does not build"
)]
const fn folded() -> [u8; 256] {
    let mut folded = [b'-'; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            folded[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    folded
}

impl Trust {
    /// Believes these proxies about where requests come from, and nobody about who sends them: `identity` are the
    /// names, or patterns with a `*` at their end, that are taken from every request.
    pub fn new<'a>(proxies: Vec<Cidr>, identity: impl IntoIterator<Item = &'a str>) -> Trust {
        let identity: Vec<Pattern> = identity.into_iter().chain(CERTIFICATES).map(Pattern::new).collect();
        let forwarding: Vec<Pattern> = FORWARDING.into_iter().map(Pattern::new).collect();
        let mut sieve = Sieve::default();
        identity.iter().chain(&forwarding).for_each(|pattern| sieve.add(pattern));
        let listed =
            |name: &Name<'_>| identity.iter().chain(&forwarding).any(|pattern| pattern.matches(name.text()));
        let known =
            names::ALL.iter().filter(|name| listed(name)).fold(0, |known, name| known | bit(name.id()));
        Trust { proxies, identity, forwarding, known, sieve }
    }

    /// Whether an address is a trusted proxy.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }

    /// Cleans the request of an exchange and finds out who sent it.
    pub fn receive(&self, exchange: &mut Exchange) {
        exchange.request.remove_hop_by_hop();
        let trusted = self.is_proxy(exchange.client.peer.ip());
        exchange.client.trusted = trusted;
        exchange.client.ip = canonical(exchange.client.peer.ip());
        let fields = &mut exchange.request.fields;
        if fields.iter().any(|field| self.is_unwanted(field.id, field.name, trusted)) {
            fields.retain(|field| !self.is_unwanted(field.id, field.name, trusted));
        }
        if trusted {
            if let Some(address) = self.forwarded_client(fields) {
                exchange.client.ip = address;
            }
            let proto = fields.get(names::X_FORWARDED_PROTO);
            exchange.client.https |= proto.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"));
        }
    }

    /// Takes from trailers what would have been taken from a stranger's head.
    pub fn clean_trailers(&self, trailers: &mut Fields) {
        if !trailers.is_empty() {
            trailers.retain(|field| !self.is_unwanted(field.id, field.name, false));
        }
    }

    fn is_unwanted(&self, id: FieldId, name: &[u8], trusted: bool) -> bool {
        let may_be =
            if id == FieldId::Other { self.sieve.lets_pass(name) } else { self.known & bit(id) != 0 };
        if !may_be {
            return false;
        }
        if self.identity.iter().any(|pattern| pattern.matches(name)) {
            return true;
        }
        // From a trusted proxy only the true spelling is believed.
        let odd = name.iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        (!trusted || odd) && self.forwarding.iter().any(|pattern| pattern.matches(name))
    }

    /// The nearest address, from the right, that is no trusted proxy.
    fn forwarded_client(&self, fields: &Fields) -> Option<IpAddr> {
        let mut hops: Vec<&[u8]> = Vec::new();
        if fields.contains(names::X_FORWARDED_FOR) {
            let lines: Vec<&[u8]> = fields.get_all(names::X_FORWARDED_FOR).collect();
            hops.extend(lines.iter().flat_map(|line| line.split(|byte| *byte == b',')));
        } else {
            let lines: Vec<&[u8]> = fields.get_all(names::FORWARDED).collect();
            let elements = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
            hops.extend(elements.map(|element| for_parameter(element).unwrap_or_default()));
        }
        let mut found = None;
        for hop in hops.iter().rev().take(MOST_HOPS) {
            // What cannot be read ends the chain of those who can be believed.
            let Some(address) = address(hop) else { break };
            found = Some(address);
            if !self.is_proxy(address) {
                break;
            }
        }
        found
    }
}

/// The bit of a name that the codec knows, of which there are fewer than 128.
#[inline]
fn bit(id: FieldId) -> u128 {
    1_u128.checked_shl(id as u32).unwrap_or_default()
}

/// The value of `for=` in one element of `Forwarded` (RFC 7239 section 4).
fn for_parameter(element: &[u8]) -> Option<&[u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then(|| value.trim_ascii())
    })
}

/// An address as proxies write it: bare, with a port, in quotes, in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse().ok().map(canonical)
}

/// An IPv4 address in an IPv6 coat is that IPv4 address.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(peer: &str, fields: &[(&str, &str)]) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.client.peer = format!("{peer}:9").parse().unwrap();
        for (name, value) in fields {
            exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
        }
        exchange
    }

    fn trust() -> Trust {
        Trust::new(vec!["10.0.0.0/8".parse().unwrap()], ["X-User-*", "X-Consumer-*", "Client-Cert"])
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_no_proxy() {
        for (peer, fields, client) in [
            ("192.0.2.1", &[("X-Forwarded-For", "127.0.0.1")][..], "192.0.2.1"),
            ("10.0.0.1", &[("X-Forwarded-For", "1.2.3.4")], "1.2.3.4"),
            ("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.0.0.9")], "1.2.3.4"),
            ("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "1.2.3.4:80")], "1.2.3.4"),
            ("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6, junk")], "10.0.0.1"),
            ("10.0.0.1", &[("X-Forwarded-For", "::ffff:1.2.3.4")], "1.2.3.4"),
            (
                "10.0.0.1",
                &[("Forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=https")],
                "2001:db8::1",
            ),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let mut exchange = exchange(peer, fields);
            trust().receive(&mut exchange);
            assert_eq!(exchange.client.ip.to_string(), client, "{peer} {fields:?}");
        }
    }

    #[test]
    fn words_about_identity_are_taken_from_everybody_however_they_are_spelled() {
        for name in ["X-User-Id", "x-user-id", "X_User_Id", "X.User.Id", "X-USER-", "Client_Cert"] {
            for peer in ["192.0.2.1", "10.0.0.1"] {
                let mut exchange = exchange(peer, &[(name, "root"), ("X-Usher", "stays")]);
                trust().receive(&mut exchange);
                assert_eq!(exchange.request.fields.len(), 1, "{name}");
            }
        }
    }

    #[test]
    fn names_that_the_codec_knows_are_taken_where_they_are_listed() {
        assert!(names::ALL.len() < 128, "each has a bit");
        for (pattern, left) in
            [("X-API-*", 1), ("x-api-key", 1), ("From", 2), ("X-Request-Id", 1), ("*", 0), ("X-*", 0)]
        {
            let mut exchange = exchange("10.0.0.1", &[("X-Api-Key", "k"), ("x-request-id", "r")]);
            Trust::new(vec!["10.0.0.0/8".parse().unwrap()], [pattern]).receive(&mut exchange);
            assert_eq!(exchange.request.fields.len(), left, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_two_letters_takes_all_that_begins_so() {
        let trust = Trust::new(Vec::new(), ["Q-*"]);
        for (name, left) in [("q-api-key", 0), ("Q-", 0), ("q", 1), ("x-api-key", 1)] {
            let mut exchange = exchange("192.0.2.1", &[(name, "any")]);
            trust.receive(&mut exchange);
            assert_eq!(exchange.request.fields.len(), left, "{name}");
        }
    }

    #[test]
    fn words_about_the_way_are_taken_from_strangers() {
        let named = [
            "Forwarded",
            "X-Forwarded-Host",
            "X_Forwarded_For",
            "X-Real-IP",
            "True-Client-IP",
            "x-forwarded-user",
            "X-Forwarded-Port",
            "X-Forwarded-Prefix",
            "X-Original-URL",
        ];
        for name in named {
            let mut exchange = exchange("192.0.2.1", &[(name, "evil")]);
            trust().receive(&mut exchange);
            assert!(exchange.request.fields.is_empty(), "{name}");
        }
        for name in ["x-api-key", "priority", "dnt", "x-originating-ip", "x-realm"] {
            let mut exchange = exchange("192.0.2.1", &[(name, "good")]);
            trust().receive(&mut exchange);
            assert_eq!(exchange.request.fields.len(), 1, "{name}");
        }
        let mut exchange = exchange("10.0.0.1", &[("X-Forwarded-Host", "a"), ("X_Forwarded_Host", "evil")]);
        trust().receive(&mut exchange);
        assert_eq!(exchange.request.fields.len(), 1, "of a proxy only the true spelling is believed");
    }
}
