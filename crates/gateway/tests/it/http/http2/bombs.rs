//! Heads that are small on the wire and large in memory, and what else can be wrong with compressed fields (H8, H9).

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use super::in_front_of;
use super::wire::{
    END_HEADERS, END_STREAM, Ended, GET, block, code, connect, ended, farewell, frame, headers, kind,
    literal, memory, next, window, with_settings,
};

/// A literal that enters the table (RFC 7541 section 6.2.1).
const INDEXED: u8 = 0x40;
/// The entry that came last.
const LAST: u8 = 0xbe;
const INITIAL_WINDOW_SIZE: u16 = 4;
const HEADER_TABLE_SIZE: u16 = 1;

/// A head with a field and so many further mentions of it.
fn bomb(name: &str, value: &str, mentions: usize) -> Vec<u8> {
    [block(&GET), literal(INDEXED, name, value), vec![LAST; mentions]].concat()
}

/// H8: fields are counted as well as bytes, whatever becomes of them: 100 are too many, crumbs of cookies and fields
/// that are dropped included. A thousand such heads, whose answers nobody takes, hold no memory to speak of.
#[test]
fn heads_that_grow_in_memory_are_refused_and_hold_nothing() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "timeouts: { write_idle: 30s }");
    let long = "v".repeat(4000);
    let bombs: [(&str, Vec<u8>); 6] = [
        ("16,000 fields of a byte", bomb("a", "", 16_000)),
        ("16,000 crumbs of a cookie", bomb("cookie", "", 16_000)),
        ("cookies of 4 KiB", bomb("cookie", &long, 1_000)),
        ("more hosts than one", bomb("host", "a.example", 1_000)),
        ("fields that are dropped", bomb("te", "trailers", 1_000)),
        ("one field more than there may be", bomb("cookie", "a", 100)),
    ];
    // What a first connection makes once is not counted.
    refuse(&gateway, &bombs[5].1, 1);
    let before = memory(&gateway);
    for (name, block) in &bombs {
        let held: Vec<Raw> = (0..10).map(|_| refuse(&gateway, block, 100)).collect();
        let grown = memory(&gateway) - before;
        assert!(grown <= 20.0, "{name}: {grown} MiB held by ten connections of 100 streams");
        drop(held);
    }
    assert_eq!(origin.received(), "");
    // A hundred fields are taken: three besides the cookie that comes and its 96 mentions.
    let mut client = connect(&gateway);
    let fits = bomb("cookie", "a", 99);
    client.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &fits));
    assert_eq!(ended(&mut client), Ended::Answer(200));
}

/// Sends the block on so many streams of a connection whose client takes no data; each is refused, or the connection.
fn refuse(gateway: &Gateway, block: &[u8], streams: u32) -> Raw {
    let mut client = with_settings(gateway, &[(INITIAL_WINDOW_SIZE, 0)]);
    for nth in 0..streams {
        let sent = client.try_send(frame(kind::HEADERS, END_HEADERS | END_STREAM, nth * 2 + 1, block));
        match if sent { ended(&mut client) } else { farewell(&mut client) } {
            Ended::Answer(status) => assert!([400, 431].contains(&status), "{status}"),
            Ended::Reset(_) => {}
            Ended::GoAway(..) | Ended::Closed => break,
            Ended::TimedOut => panic!("neither an answer nor an end"),
        }
    }
    client
}

/// H8: an answer that is taken by a byte now and then is reset when its time is over, on every one of 100 streams.
#[test]
fn answers_that_are_hardly_taken_are_reset() {
    let origin = Origin::answering(|_| Reply::ok(vec![b'x'; 100_000]));
    let gateway = in_front_of(&origin, "timeouts: { write_idle: 700ms }");
    let before = memory(&gateway);
    let mut client = with_settings(&gateway, &[(INITIAL_WINDOW_SIZE, 0)]);
    for nth in 0..100 {
        client.send(headers(&GET, END_STREAM, nth * 2 + 1));
    }
    let mut resets = 0;
    while resets < 100 {
        // Every frame that comes is thanked for with a byte of room: there is progress all the time.
        let (kind, _, stream, payload) = next(&mut client).unwrap();
        match kind {
            kind::HEADERS | kind::DATA if stream > 0 => {
                assert!(payload.len() < 1000 || kind == kind::HEADERS);
                client.send(window(stream, 1));
            }
            kind::RST_STREAM => resets += 1,
            7 => panic!("the connection is ended: {payload:?}"),
            _ => {}
        }
    }
    let grown = memory(&gateway) - before;
    assert!(grown <= 100.0 * 0.25, "{grown} MiB for 100 streams");
    gateway.wait_for_log(|line| line["reason"] == "client_stalled");
}

/// H9: fields that cannot be decompressed end the connection.
#[test]
fn fields_that_cannot_be_decompressed_end_the_connection() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let wrong: [(&str, &[u8]); 6] = [
        ("an index without end", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("a length without end", &[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("the index 0", &[0x80]),
        ("an index that was never entered", &[0xff, 0x10]),
        ("a table beyond its bound", &[0x3f, 0xe2, 0x1f]),
        ("the end of string in Huffman", &[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00]),
    ];
    for (name, bytes) in wrong {
        let mut client = connect(&gateway);
        client.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, bytes));
        let how = farewell(&mut client);
        assert!(how.says(code::COMPRESSION_ERROR), "{name}: {how:?}");
    }
    let metric = "tidegate_http2_connections_ended_total{reason=\"compression_error\"}";
    gateway.wait_metric(metric, |count| count == wrong.len() as f64);
    assert_eq!(origin.received(), "");
}

/// H9: a client cannot make the gateway keep a large table for what it sends.
#[test]
fn the_own_table_stays_small() {
    let origin = Origin::answering(|request| {
        let value = format!("{}{}", request.target.len(), "v".repeat(15_000));
        Reply::ok("").header("X-Some", &value)
    });
    let gateway = in_front_of(&origin, "");
    let mut client = with_settings(&gateway, &[(HEADER_TABLE_SIZE, u32::MAX)]);
    let mut before = 0.0;
    // Seven megabytes, if all were kept that is told after the first hundred.
    for nth in 0..600 {
        if nth == 100 {
            before = memory(&gateway);
        }
        let path = "/".to_owned() + &"a".repeat(nth as usize);
        let mut fields = GET.to_vec();
        fields[2].1 = &path;
        client.send(headers(&fields, END_STREAM, nth * 2 + 1));
        loop {
            let (kind, _, _, payload) = next(&mut client).unwrap();
            if kind == kind::HEADERS {
                assert_table_within(&payload);
                break;
            }
        }
    }
    assert!(memory(&gateway) - before < 4.0);
}

/// A block may begin with a new size of the table (RFC 7541 section 6.3): at most 4 KiB.
fn assert_table_within(block: &[u8]) {
    if block[0] & 0xe0 != 0x20 {
        return;
    }
    let mut size = usize::from(block[0] & 0x1f);
    if size == 31 {
        for (place, byte) in block[1..].iter().enumerate() {
            size += usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    assert!(size <= 4096, "{size}");
}
