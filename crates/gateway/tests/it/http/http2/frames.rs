//! Frames that no good client sends, by hand: injections, lengths that do not agree, floods (H1 to H7).

use testkit::client::Raw;
use testkit::origin::Origin;

use super::{ask, converse, in_front_of, open, request};

/// What a client begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of fields as literals that are not indexed (RFC 7541 section 6.2.2), without Huffman.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

fn headers(fields: &[(&str, &str)], flags: u8, stream: u32) -> Vec<u8> {
    frame(1, END_HEADERS | flags, stream, &block(fields))
}

fn connect(gateway: &testkit::gateway::Gateway) -> Raw {
    let mut client = Raw::connect(gateway.addr());
    client.send([PREFACE, &frame(4, 0, 0, &[])].concat());
    client
}

/// How a stream, or the connection, ended.
#[derive(Debug, PartialEq)]
enum Ended {
    /// An answer: the first byte of its head, 0x88 for 200, 0x8c for 400.
    Answer(u8),
    Reset(u32),
    GoAway(u32),
    Closed,
}

/// Reads frames until the first answer, reset or farewell.
fn ended(client: &mut Raw) -> Ended {
    loop {
        let Ok(head) = client.wire().exact(9) else { return Ended::Closed };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Ok(payload) = client.wire().exact(length) else { return Ended::Closed };
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            1 => return Ended::Answer(payload[0]),
            3 => return Ended::Reset(code(0)),
            7 => return Ended::GoAway(code(4)),
            _ => {}
        }
    }
}

/// H1 to H4: nothing of it reaches a service.
#[test]
fn heads_that_break_a_rule_are_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let with = |more: &[(&'static str, &'static str)]| [&GET[..], more].concat();
    let instead = |name: &str, value: &'static str| {
        GET.map(|(known, old)| if known == name { (known, value) } else { (known, old) }).to_vec()
    };
    for fields in [
        with(&[("x", "a\r\nb: c")]),
        with(&[("x", "a\nb: c")]),
        with(&[("x", "a\0b")]),
        with(&[("x:", "a")]),
        with(&[("x y", "a")]),
        with(&[("X", "a")]),
        with(&[("x\r\ny", "a")]),
        with(&[("connection", "x")]),
        with(&[("keep-alive", "x")]),
        with(&[("upgrade", "h2c")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("te", "gzip")]),
        with(&[("host", "b.example")]),
        with(&[("content-length", "10")]),
        with(&[("content-length", "0"), ("content-length", "1")]),
        with(&[(":path", "/again")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "x")]),
        with(&[("x", "a"), (":protocol", "websocket")]),
        instead(":path", "/ HTTP/1.1\r\nX: y"),
        instead(":path", "foo"),
        instead(":path", ""),
        instead(":path", "/a b"),
        instead(":path", "http://b.example/"),
        instead(":method", "GET / HTTP/1.1"),
        instead(":method", "CONNECT"),
        instead(":scheme", "http://evil/?"),
        instead(":authority", "a\r\nb"),
        instead(":authority", "u@a"),
        instead(":authority", "a,b"),
        instead(":authority", ""),
        [&[("x", "a")][..], &GET].concat(),
        GET[..3].to_vec(),
    ] {
        let mut client = connect(&gateway);
        client.send(headers(&fields, END_STREAM, 1));
        let how = ended(&mut client);
        let refused = matches!(how, Ended::Reset(_) | Ended::GoAway(_) | Ended::Answer(0x8c));
        // 405 and 421 stand in no table of HPACK.
        assert!(refused || matches!(how, Ended::Answer(first) if first != 0x88), "{fields:?}: {how:?}");
        assert_eq!(origin.received(), "", "{fields:?}");
    }
    let mut client = connect(&gateway);
    client.send(headers(&GET, END_STREAM, 1));
    assert_eq!(ended(&mut client), Ended::Answer(0x88), "the frames of this test are good ones");
}

/// H4: a body that is not as long as was said.
#[test]
fn a_body_of_another_length_never_ends_at_the_service() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    for (length, data) in [("5", &b"abc"[..]), ("2", b"abc"), ("0", b"abc")] {
        let mut client = connect(&gateway);
        let mut fields = GET.to_vec();
        fields[0].1 = "POST";
        fields.push(("content-length", length));
        client.send([headers(&fields, 0, 1), frame(0, END_STREAM, 1, data)].concat());
        let how = ended(&mut client);
        assert!(!matches!(how, Ended::Answer(0x88)), "{length}: {how:?}");
    }
    let seen: Vec<_> = origin.requests().into_iter().filter(|request| request.whole).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

/// The frames that are sent as the how many-eth.
type Nth<'a> = &'a dyn Fn(u32) -> Vec<u8>;

/// H5 and its kin: the connection ends with ENHANCE_YOUR_CALM, and others are served.
#[test]
fn floods_end_the_connection() {
    const CALM: u32 = 0xb;
    let origin = Origin::hanging();
    let gateway = in_front_of(&origin, "");
    let rapid = |nth: u32| {
        let stream = nth * 2 + 1;
        [headers(&GET, END_STREAM, stream), frame(3, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let endless = |nth: u32| match nth {
        0 => frame(1, END_STREAM, 1, &block(&GET)),
        _ => frame(9, 0, 1, &block(&[("x", "y")])),
    };
    let floods: [(&str, Nth<'_>); 6] = [
        ("resets", &rapid),
        ("pings", &|_| frame(6, 0, 0, &[0; 8])),
        ("settings", &|_| frame(4, 0, 0, &[])),
        ("continuations", &endless),
        ("priorities", &|_| frame(2, 0, 1, &[0, 0, 0, 3, 1])),
        ("unknown frames", &|_| frame(0xbe, 0, 0, &[])),
    ];
    for (name, one) in floods {
        let mut client = connect(&gateway);
        for nth in 0..3000 {
            if !client.try_send(one(nth)) {
                break;
            }
        }
        let how = ended(&mut client);
        assert!(matches!(how, Ended::GoAway(CALM) | Ended::Closed), "{name}: {how:?}");
    }
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let mut client = connect(&gateway);
    client.send((0..101).flat_map(|_| frame(6, 0, 0, &[0; 8])).collect::<Vec<u8>>());
    assert_eq!(ended(&mut client), Ended::GoAway(CALM));
    converse(async {
        let (client, _) = open(gateway.addr()).await;
        assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 200);
    });
}
