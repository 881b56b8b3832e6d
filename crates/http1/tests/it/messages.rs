//! Strategies for messages: sound ones, odd ones, and ones with damaged bytes.

use http1::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const START_LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "GET /v2/users/1?full=1 HTTP/1.1",
    "POST /orders HTTP/1.1",
    "PUT /a%2Fb HTTP/1.1",
    "PATCH / HTTP/1.0",
    "HEAD / HTTP/1.0",
    "DELETE /x HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT a:80 HTTP/1.1",
    "GET http://a/b HTTP/1.1",
    "GET https://a:443 HTTP/1.1",
    "PURGE /x HTTP/1.1",
    "GET x HTTP/1.1",
    "GET /#x HTTP/1.1",
    "GET / HTTP/2.0",
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 ",
    "HTTP/1.1 204",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 103 Early Hints",
    "HTTP/1.1 404 Nothing here",
    "HTTP/1.1 599 ?",
    "HTTP/1.1 600 ?",
];

const LINES: &[&str] = &[
    "Host: a",
    "Host: a:80",
    "Host: b",
    "Accept: */*",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "Cookie: a=b; c=d",
    "X-Own:",
    "X-Own: \ttabs\tand spaces  ",
    "x-own: second",
    "X: \u{e4}\u{20ac}",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 05",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Upgrade, X-Own",
    "Connection: host",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Keep-Alive: timeout=5",
    "Expect: 100-continue",
    "TE: trailers",
    "Trailer: ETag",
    " folded",
    "Space : x",
    "no colon",
];

/// Bytes that matter to a parser, so that damage is more than noise.
const SHARP: &[u8] = b"\r\n\0\t :;,\"\\=/0aG5\x7f\x80\xff";

#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![select(SHARP), any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
    for damage in damages {
        match damage {
            Damage::Replace(at, byte) => *at.get_mut(&mut bytes) = byte,
            Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), byte),
            Damage::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
        }
    }
    bytes
}

/// The bytes, mostly as they are, at times damaged in one to three places.
fn at_times_damaged(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damages = prop_oneof![2 => Just(vec![]), 1 => vec(damage(), 1..4)];
    (bytes, damages).prop_map(|(bytes, damages)| damaged(bytes, damages))
}

fn own_line() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,24}:[ \t]{0,2}[ -~\u{80}-\u{ff}]{0,80}[ \t]{0,2}"
}

fn head(starts: &'static [&'static str], first: Option<&'static str>) -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![4 => select(LINES).prop_map(String::from), 2 => own_line()];
    let sound = prop_oneof![
        3 => vec(own_line(), 0..8),
        1 => vec(line, 0..6),
    ];
    let framing = select(&["", "Content-Length: 5", "Transfer-Encoding: chunked", "Connection: close"][..]);
    (select(starts), any::<bool>(), framing, sound).prop_map(move |(start, with_first, framing, lines)| {
        let first = first.filter(|_| with_first).into_iter().map(String::from);
        let framing = Some(framing.to_owned()).filter(|line| !line.is_empty());
        let all: Vec<String> =
            std::iter::once(start.to_owned()).chain(first).chain(lines).chain(framing).collect();
        format!("{}\r\n\r\n", all.join("\r\n")).into_bytes()
    })
}

/// Bytes of a request head, some sound, some not, some with bytes after it.
pub(crate) fn request() -> impl Strategy<Value = Vec<u8>> {
    let tail = select(&["", "", "hello", "0\r\n\r\n", "GET / HTTP/1.1\r\n"][..]);
    let whole =
        (head(START_LINES, Some("Host: a")), tail).prop_map(|(head, tail)| [&head, tail.as_bytes()].concat());
    at_times_damaged(whole)
}

/// Bytes of a response head, some sound, some not.
pub(crate) fn response() -> impl Strategy<Value = Vec<u8>> {
    at_times_damaged(head(STATUS_LINES, None))
}

/// The methods that matter to the framing of a response, and others.
pub(crate) fn method() -> impl Strategy<Value = Method> {
    select(&[Method::Get, Method::Head, Method::Post, Method::Connect, Method::Other][..])
}

/// Bytes of a chunked body, some sound, some not.
pub(crate) fn chunked_body() -> impl Strategy<Value = Vec<u8>> {
    let extension = select(&["", "", "", ";a", ";a=b", ";a=\"b;c\"", " ", ";", ";a=\n"][..]);
    let chunk = (vec(any::<u8>(), 1..40), extension).prop_map(|(data, extension)| {
        let line = format!("{:x}{extension}\r\n", data.len());
        [line.as_bytes(), &data, b"\r\n"].concat()
    });
    let trailer = prop_oneof![
        select(&["ETag: x", "Host: b", "X: y", "Content-Length: 9", "bad", " fold", "X-A:"][..])
            .prop_map(String::from),
        own_line(),
    ];
    let whole =
        (vec(chunk, 0..6), vec(trailer, 0..4), any::<bool>()).prop_map(|(chunks, trailers, with_tail)| {
            let trailers: String = trailers.iter().map(|line| format!("{line}\r\n")).collect();
            let tail = if with_tail { "GET / HTTP/1.1\r\n" } else { "" };
            [&chunks.concat()[..], format!("0\r\n{trailers}\r\n{tail}").as_bytes()].concat()
        });
    at_times_damaged(whole)
}

/// Places at which to cut some bytes.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..6)
}

/// The offsets of the cuts in order, the last one being the end.
pub(crate) fn offsets(cuts: &[Index], length: usize) -> Vec<usize> {
    let mut offsets: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    offsets.push(length);
    offsets.sort_unstable();
    offsets
}

/// A property over messages says little if nearly all of them are of one kind.
#[test]
fn the_strategies_give_sound_and_unsound_messages() {
    use crate::wire;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut accepted = [0; 3];
    let (requests, responses, bodies) = (request(), response(), chunked_body());
    for _ in 0..1000 {
        let bytes = requests.new_tree(&mut runner).unwrap().current();
        accepted[0] += usize::from(matches!(wire::request(&bytes), Ok(Some(_))));
        let bytes = responses.new_tree(&mut runner).unwrap().current();
        accepted[1] += usize::from(matches!(wire::response(&bytes, Method::Get), Ok(Some(_))));
        let bytes = bodies.new_tree(&mut runner).unwrap().current();
        accepted[2] += usize::from(wire::chunked(&bytes).done);
    }
    for count in accepted {
        assert!((100..900).contains(&count), "{accepted:?} of 1000 accepted");
    }
}
