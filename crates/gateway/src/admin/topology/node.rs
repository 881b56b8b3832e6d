//! The gateway, a route, a service or a target as an object of JSON.
//!
//! Takes what was counted of it and what only some have; writes at the end of a text. By hand: whoever looks at the topology
//! gets a hundred of these each second, and what serde does for each of their fields took half of a message's time.

use std::io::Write;
use std::net::SocketAddr;

use crate::observe::escape;
use crate::observe::telemetry::Counts;
use crate::values::push_ip;

/// What is told of one of them.
#[derive(Default)]
pub(super) struct Node<'s> {
    pub(super) name: Option<&'s str>,
    pub(super) service: Option<&'s str>,
    pub(super) addresses: Option<Vec<SocketAddr>>,
    pub(super) in_flight: Option<u64>,
}

impl Node<'_> {
    /// Writes it with what was counted in so many seconds; not in full it lacks what no graph shows.
    pub(super) fn write(&self, out: &mut Vec<u8>, counted: &Counts, covered: u64, full: bool) {
        out.push(b'{');
        counts(out, counted, covered, full);
        if let Some(name) = self.name {
            text(out, ",\"name\":", name);
        }
        if let Some(service) = self.service {
            text(out, ",\"service\":", service);
        }
        if let Some(addresses) = &self.addresses {
            out.extend_from_slice(b",\"addresses\":");
            list(out, addresses, |out, at| address(out, *at));
        }
        if let Some(in_flight) = self.in_flight {
            number(out, ",\"in_flight\":", in_flight);
        }
        out.push(b'}');
    }
}

/// Writes the fields that all have.
pub(super) fn counts(out: &mut Vec<u8>, counts: &Counts, covered: u64, full: bool) {
    let (failed, of) = counts.failed();
    number(out, "\"calls\":", counts.calls);
    decimal(out, ",\"rate\":", Some(counts.calls as f64 / covered as f64));
    decimal(out, ",\"average_ms\":", counts.average_ms());
    decimal(out, ",\"p50_ms\":", counts.quantile_ms(0.5));
    decimal(out, ",\"p90_ms\":", counts.quantile_ms(0.9));
    decimal(out, ",\"p99_ms\":", counts.quantile_ms(0.99));
    number(out, ",\"errors\":", failed);
    out.extend_from_slice(b",\"error_rate\":");
    share(out, failed, of);
    if full {
        let [_, good, moved, client, server] = counts.classes;
        number(out, ",\"statuses\":{\"2xx\":", good);
        number(out, ",\"3xx\":", moved);
        number(out, ",\"4xx\":", client);
        number(out, ",\"5xx\":", server);
        number(out, "},\"faults\":", counts.faults);
        number(out, ",\"bytes_in\":", counts.bytes_in);
        number(out, ",\"bytes_out\":", counts.bytes_out);
    }
    number(out, ",\"refused\":", counts.refused);
}

/// Writes a list.
pub(super) fn list<T>(
    out: &mut Vec<u8>,
    things: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (nth, thing) in things.into_iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        write(out, thing);
    }
    out.push(b']');
}

/// Writes what stands before a number, and the number.
pub(super) fn number(out: &mut Vec<u8>, before: &str, value: u64) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes what stands before a text, and the text between quotes.
pub(super) fn text(out: &mut Vec<u8>, before: &str, value: &str) {
    out.extend_from_slice(before.as_bytes());
    escape::json(out, value.as_bytes(), usize::MAX);
}

/// Writes an address between quotes.
pub(super) fn address(out: &mut Vec<u8>, address: SocketAddr) {
    out.push(b'"');
    match address {
        SocketAddr::V4(address) => {
            push_ip(out, (*address.ip()).into());
            number(out, ":", address.port().into());
        }
        SocketAddr::V6(address) => _ = write!(out, "{address}"),
    }
    out.push(b'"');
}

/// To a thousandth: more was not measured.
fn decimal(out: &mut Vec<u8>, before: &str, value: Option<f64>) {
    let Some(value) = value else {
        out.extend_from_slice(before.as_bytes());
        return out.extend_from_slice(b"null");
    };
    let thousandths = (value * 1000.0 + 0.5) as u64;
    number(out, before, thousandths / 1000);
    let digit = |of: u64| b'0' | (of % 10) as u8;
    let digits = [b'.', digit(thousandths / 100), digit(thousandths / 10), digit(thousandths)];
    out.extend_from_slice(match digits.as_slice() {
        [short @ .., b'0', b'0'] | [short @ .., b'0'] | short => short,
    });
}

/// A part of the whole, which is most often nothing.
fn share(out: &mut Vec<u8>, part: u64, whole: u64) {
    match part {
        0 => out.extend_from_slice(b"0.0"),
        _ => _ = write!(out, "{:?}", part as f64 / whole.max(1) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_thing_is_told_in_full_or_without_what_no_graph_shows() {
        let mut counts = Counts { calls: 4, classes: [0, 2, 0, 1, 1], bytes_in: 5, ..Counts::default() };
        let told = |counts: &Counts, full| {
            let node = Node { name: Some("a"), service: Some(""), ..Node::default() };
            written(|out| node.write(out, counts, 3, full))
        };
        let (head, tail) = (
            r#"{"calls":4,"rate":1.333,"average_ms":null,"p50_ms":null,"p90_ms":null,"p99_ms":null,"errors":1,"error_rate":0.25"#,
            r#""refused":0,"name":"a","service":""}"#,
        );
        let details = r#""statuses":{"2xx":2,"3xx":0,"4xx":1,"5xx":1},"faults":0,"bytes_in":5,"bytes_out":0"#;
        assert_eq!(told(&counts, false), format!("{head},{tail}"));
        assert_eq!(told(&counts, true), format!("{head},{details},{tail}"));
        counts.latency.buckets[0] = 4;
        counts.latency.sum_micros = 1_000;
        let told = told(&counts, false);
        assert!(told.contains(r#""average_ms":0.25,"p50_ms":0.25,"p90_ms":0.45,"#), "{told}");
    }

    #[test]
    fn numbers_and_texts_are_those_of_json() {
        for value in [0.0, 0.0004, 0.0005, 0.001, 0.01, 0.1, 1.0, 1.05, 1.333, 9.9996, 10_000.0, 123_456.789]
        {
            let told = written(|out| decimal(out, "", Some(value)));
            let rounded = super::super::rounded(value);
            assert_eq!(told, serde_json::to_string(&rounded).unwrap(), "{value}");
        }
        for (part, whole) in [(0, 0), (0, 7), (7, 7), (1, 3), (1, 1_000_000_000)] {
            let told: f64 = serde_json::from_str(&written(|out| share(out, part, whole))).unwrap();
            assert_eq!(told, part as f64 / whole.max(1) as f64, "{part} of {whole}");
        }
        for name in ["", "/a/{b}/*", "a \"quoted\" \\ one", "caf\u{e9}\n\u{202e}\u{1f980}"] {
            let told: String = serde_json::from_str(&written(|out| text(out, "", name))).unwrap();
            assert_eq!(told, name);
        }
        for at in ["127.0.0.1:80", "255.1.10.0:65535", "[::1]:8080", "[fe80::1%3]:1"] {
            let parsed: SocketAddr = at.parse().unwrap();
            assert_eq!(written(|out| address(out, parsed)), format!("\"{at}\""));
        }
    }
}
