//! Frames that no good client sends, by hand: injections, lengths that do not agree, frames on streams
//! that are no more (H1 to H4, H12).

use testkit::client::Raw;
use testkit::origin::Origin;

use super::in_front_of;
use super::wire::{
    END_HEADERS, END_STREAM, Ended, GET, PADDED, POST, block, code, connect, ended, frame, headers, kind,
    literal, next, reset, window,
};

type Fields = Vec<(&'static str, &'static str)>;

/// Heads with a field that may not be.
fn with_bad_fields() -> Vec<Fields> {
    let with = |more: &[(&'static str, &'static str)]| [&GET[..], more].concat();
    vec![
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
        with(&[("proxy-connection", "x")]),
        with(&[("transfer-encoding", "identity")]),
        with(&[("x", " a")]),
        with(&[("", "a")]),
        with(&[("host", "a.example"), ("host", "a.example")]),
        with(&[("content-length", "+0")]),
        with(&[("content-length", "0, 0")]),
        with(&[(":path", "/again")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "x")]),
        with(&[("x", "a"), (":protocol", "websocket")]),
    ]
}

/// Heads with a pseudo-header field that may not be, or without one that must.
fn with_bad_pseudo_fields() -> Vec<Fields> {
    let instead = |name: &str, value: &'static str| {
        GET.map(|(known, old)| if known == name { (known, value) } else { (known, old) }).to_vec()
    };
    vec![
        instead(":path", "/ HTTP/1.1\r\nX: y"),
        instead(":path", "foo"),
        instead(":path", ""),
        instead(":path", "/a b"),
        instead(":path", "/a\tb"),
        instead(":path", "/x#y"),
        instead(":path", "/#"),
        instead(":path", "*"),
        instead(":path", "http://b.example/"),
        instead(":method", "GET / HTTP/1.1"),
        instead(":method", ""),
        instead(":method", "GET\r\nX: y"),
        instead(":method", "CONNECT"),
        instead(":scheme", ""),
        instead(":scheme", "http://evil/?"),
        instead(":authority", "a\r\nb"),
        instead(":authority", "u@a"),
        instead(":authority", "a,b"),
        instead(":authority", ""),
        instead(":authority", "a b"),
        instead(":authority", "a/b"),
        instead(":authority", "a:99999"),
        [&[("x", "a")][..], &GET].concat(),
        GET[..3].to_vec(),
    ]
}

/// H1 to H4: nothing of it reaches a service.
#[test]
fn heads_that_break_a_rule_are_refused() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    for fields in with_bad_fields().into_iter().chain(with_bad_pseudo_fields()) {
        let mut client = connect(&gateway);
        client.send(headers(&fields, END_STREAM, 1));
        let how = ended(&mut client);
        let refused = matches!(how, Ended::Reset(_) | Ended::Answer(400 | 405));
        assert!(refused || how.says(code::PROTOCOL_ERROR), "{fields:?}: {how:?}");
        assert_eq!(origin.received(), "", "{fields:?}");
    }
    let mut client = connect(&gateway);
    client.send(headers(&GET, END_STREAM, 1));
    assert_eq!(ended(&mut client), Ended::Answer(200), "the frames of this test are good ones");
}

/// Reads until the gateway has answered a ping: what was sent before has been looked at.
fn looked_at(client: &mut Raw) {
    client.send(frame(kind::PING, 0, 0, b"looked??"));
    while next(client).unwrap().0 != kind::PING {}
}

/// H4: a body that is not as long as was said, in whatever pieces it comes.
#[test]
fn a_body_of_another_length_never_ends_at_the_service() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    for (length, pieces) in [
        ("5", &[&b"abc"[..]][..]),
        ("2", &[b"abc"]),
        ("0", &[b"abc"]),
        ("2", &[b"ab", b"c"]),
        ("3", &[b"ab", b""]),
    ] {
        let mut client = connect(&gateway);
        let mut fields = GET.to_vec();
        fields[0].1 = "POST";
        fields.push(("content-length", length));
        client.send(headers(&fields, 0, 1));
        for (nth, piece) in pieces.iter().enumerate() {
            looked_at(&mut client);
            client.send(frame(kind::DATA, if nth + 1 == pieces.len() { END_STREAM } else { 0 }, 1, piece));
        }
        let how = ended(&mut client);
        assert!(!matches!(how, Ended::Answer(200)), "{length}: {how:?}");
    }
    let seen: Vec<_> = origin.requests().into_iter().filter(|request| request.whole).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

/// An end that comes by itself, behind all that was said, is as good as one that comes with the last piece.
#[test]
fn a_body_may_end_with_a_frame_of_its_own() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    for (length, pieces) in [("0", &[&b""[..]][..]), ("2", &[b"ab", b""]), ("3", &[b"ab", b"c", b"", b""])] {
        let mut client = connect(&gateway);
        let fields = [&POST[..], &[("content-length", length)]].concat();
        client.send(headers(&fields, 0, 1));
        for (nth, piece) in pieces.iter().enumerate() {
            looked_at(&mut client);
            client.send(frame(kind::DATA, if nth + 1 == pieces.len() { END_STREAM } else { 0 }, 1, piece));
        }
        assert_eq!(ended(&mut client), Ended::Answer(200), "{length}");
        let bodies: Vec<_> = origin.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies.last(), Some(&pieces.concat()), "{length}");
    }
}

/// H2: what may not stand in a head may not stand in trailers.
#[test]
fn trailers_that_break_a_rule_never_reach_a_service() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    for trailer in [
        (":path", "/again"),
        (":status", "200"),
        (":x", "y"),
        ("connection", "close"),
        ("X-Upper", "a"),
        ("a b", "c"),
    ] {
        let mut client = connect(&gateway);
        client.send([headers(&POST, 0, 1), frame(kind::DATA, 0, 1, b"abc")].concat());
        client.send(headers(&[trailer], END_STREAM, 1));
        let how = ended(&mut client);
        let refused = matches!(how, Ended::Reset(_) | Ended::Answer(400));
        assert!(refused || how.says(code::PROTOCOL_ERROR), "{trailer:?}: {how:?}");
    }
    let seen: Vec<_> = origin.requests().into_iter().filter(|request| request.whole).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

/// H12: what comes for a stream that is no more, padding included, gives its room in the window back.
#[test]
fn frames_for_streams_that_are_no_more_take_no_room() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let mut client = connect(&gateway);
    let padded = |length: usize| [&[255][..], &vec![b'x'; length], &[0; 255]].concat();
    // 40 times 32 KiB are more than the megabyte that all streams may have on the way.
    for stream in (1..80).step_by(2) {
        client.send([headers(&POST, 0, stream), reset(stream)].concat());
        for _ in 0..2 {
            client.send(frame(kind::DATA, PADDED, stream, &padded(16_000)));
        }
        client.send([window(stream, 1), reset(stream)].concat());
    }
    let body = vec![b'y'; 16_000];
    client.send(headers(&POST, 0, 101));
    for nth in 0..3 {
        client.send(frame(kind::DATA, if nth == 2 { END_STREAM } else { 0 }, 101, &body));
    }
    let how = loop {
        match ended(&mut client) {
            Ended::Reset(told) => assert_ne!(told, code::PROTOCOL_ERROR),
            how => break how,
        }
    };
    assert_eq!(how, Ended::Answer(200));
    assert!(origin.requests().iter().any(|request| request.whole && request.body.len() == 48_000));
}

/// A fragment is refused as in HTTP/1.1, with a line in the log, however it is compressed; its neighbours are served.
#[test]
fn a_fragment_in_a_path_is_a_bad_request() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let mut client = connect(&gateway);
    // The path enters the table with its first mention, and is mentioned by its place from then on.
    let indexed = [&block(&[GET[0], GET[1], GET[3]])[..], &literal(0x40, ":path", "/x#y")].concat();
    let again = [&block(&[GET[0], GET[1], GET[3]])[..], &[0xbe]].concat();
    let coded = [&block(&[GET[0], GET[1], GET[3]])[..], &[0x04, 0x84, 0x63, 0xcf, 0xfd, 0x7a]].concat();
    for (nth, fields) in [indexed, again, coded].into_iter().enumerate() {
        let stream = nth as u32 * 4 + 1;
        client.send(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &fields));
        assert_eq!(ended(&mut client), Ended::Answer(400), "{nth}");
        client.send(headers(&GET, END_STREAM, stream + 2));
        assert_eq!(ended(&mut client), Ended::Answer(200), "{nth}");
    }
    assert_eq!(origin.requests().len(), 3);
    gateway.wait_for_log(|line| line["reason"] == "bad_target" && line["http"] == "2");
}
