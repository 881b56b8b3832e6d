//! Answers that break off anywhere: at 50 places of an answer the service resets, closes, sends garbage or falls silent, framed by
//! a length, by chunks and over HTTP/2. The client never takes a short body for a whole one, and nothing is left behind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::{After, Origin};

/// Places of an answer.
const PLACES: usize = 50;
/// Bytes of the body.
const BODY: usize = 3000;
const GARBAGE: &[u8] = b"\xff\xfe\0\r\n\x80garbage";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Reset,
    Close,
    Garbage,
    Stall,
}

const FAULTS: [Fault; 4] = [Fault::Reset, Fault::Close, Fault::Garbage, Fault::Stall];

fn body() -> Vec<u8> {
    (0..BODY).map(|place| b'a' + u8::try_from(place % 23).unwrap()).collect()
}

/// The bytes of a whole answer of HTTP/1.1.
fn answer(chunked: bool) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n".to_vec();
    if !chunked {
        bytes.extend_from_slice(format!("Content-Length: {BODY}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&body());
        return bytes;
    }
    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in body().chunks(700) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\nX-Trailer: end\r\n\r\n");
    bytes
}

/// What the service sends before the fault: up to the place, and never all of it.
fn spoilt(whole: &[u8], place: usize, fault: Fault) -> Vec<u8> {
    let cut = whole.len() * place / PLACES;
    let mut bytes = whole[..cut].to_vec();
    if fault == Fault::Garbage {
        // Fewer bytes than are missing: as many would be a body of the right length, which nobody can tell from a good one.
        bytes.extend_from_slice(&GARBAGE[..GARBAGE.len().min(whole.len() - cut - 1)]);
    }
    bytes
}

/// The service of HTTP/1.1: `/chunked/Reset/17` breaks off in that way at that place, `/chunked/whole` does not.
fn origin() -> Origin {
    Origin::conversing(|request, conversation| {
        if conversation.read_request().is_none() {
            return After::Close;
        }
        let words: Vec<&str> = request.target.split('/').skip(1).collect();
        let whole = answer(words[0] == "chunked");
        let Some(fault) = FAULTS.into_iter().find(|fault| format!("{fault:?}") == words[1]) else {
            return if conversation.write(&whole) { After::KeepAlive } else { After::Close };
        };
        conversation.write(&spoilt(&whole, words[2].parse().unwrap(), fault));
        match fault {
            Fault::Reset => After::Reset,
            Fault::Close | Fault::Garbage => After::Close,
            Fault::Stall => {
                conversation.wait_for_close();
                After::Close
            }
        }
    })
}

/// The frames of a whole answer over HTTP/2 (RFC 9113 section 4.1).
fn frames(stream: u32) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // `:status: 200` stands at 8 of the static table (RFC 7541 appendix A).
    let mut bytes = frame(1, 0x4, &[0x88]);
    let body = body();
    for piece in body.chunks(1000) {
        bytes.extend(frame(0, 0, piece));
    }
    bytes.extend(frame(0, 0x1, b""));
    bytes
}

/// A service of HTTP/2 that breaks off in one way, at the place that stands there when a request comes; whole without one.
struct Http2 {
    addr: SocketAddr,
    place: Arc<Mutex<Option<usize>>>,
}

impl Http2 {
    fn start(fault: Fault) -> Http2 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Http2 { addr: listener.local_addr().unwrap(), place: Arc::default() };
        let place = service.place.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let place = place.clone();
                thread::spawn(move || converse(stream, fault, &place));
            }
        });
        service
    }
}

/// Serves a connection until it ends, or is to.
fn converse(mut stream: TcpStream, fault: Fault, place: &Mutex<Option<usize>>) -> Option<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).ok()?;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        match (head[3], head[4]) {
            (4, 0) => stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).ok()?,
            (1, _) => {
                let whole = frames(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
                let Some(place) = *place.lock().unwrap() else {
                    stream.write_all(&whole).ok()?;
                    continue;
                };
                stream.write_all(&spoilt(&whole, place, fault)).ok()?;
                match fault {
                    Fault::Reset => return SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok(),
                    Fault::Close | Fault::Garbage => return Some(()),
                    Fault::Stall => {}
                }
            }
            _ => {}
        }
    }
}

/// Asks for an answer that breaks off: the client must see that.
fn ask(gateway: &Gateway, path: &str) {
    let mut raw = Raw::connect(gateway.addr());
    match raw.get(path).try_read_response() {
        Ok(answer) => {
            assert!(answer.status >= 500, "{path}: {} with {} bytes", answer.status, answer.body.len())
        }
        Err(trouble) => {
            let cut = !trouble.to_string().contains("nothing came in time");
            assert!(cut, "{path}: the client waits for ever: {trouble}");
        }
    }
}

fn gateway(origin: &Origin, services: &[Http2]) -> Gateway {
    let targets: String = FAULTS
        .iter()
        .zip(services)
        .map(|(fault, service)| {
            format!("  {fault:?}: {{ targets: \"http://{}\", protocol: http2, timeout: 300ms, idle_timeout: 300ms }}\n", service.addr)
        })
        .collect();
    let routes: String =
        FAULTS.iter().map(|fault| format!("  /h2/{fault:?}/*: {{ to: {fault:?} }}\n")).collect();
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 2\nservices:\n  \
         app: {{ targets: \"{}\", timeout: 300ms, idle_timeout: 300ms }}\n{targets}\nroutes:\n  /*: {{ to: app }}\n{routes}",
        origin.url()
    )
}

#[test]
fn an_answer_that_breaks_off_anywhere_never_looks_whole() {
    let origin = origin();
    let services = FAULTS.map(Http2::start);
    let gateway = gateway(&origin, &services);
    thread::scope(|scope| {
        let gateway = &gateway;
        for framing in ["length", "chunked"] {
            for fault in FAULTS {
                scope.spawn(move || {
                    for place in 0..PLACES {
                        ask(gateway, &format!("/{framing}/{fault:?}/{place}"));
                    }
                });
            }
        }
        for (fault, service) in FAULTS.iter().zip(&services) {
            scope.spawn(move || {
                for place in 0..PLACES {
                    *service.place.lock().unwrap() = Some(place);
                    ask(gateway, &format!("/h2/{fault:?}/{place}"));
                }
                *service.place.lock().unwrap() = None;
            });
        }
    });
    // What is whole arrives whole, over the same services, and nothing of the others is left.
    let paths = ["/length/whole".to_owned(), "/chunked/whole".to_owned()].into_iter();
    for path in paths.chain(FAULTS.map(|fault| format!("/h2/{fault:?}/whole"))) {
        let whole = testkit::event::eventually("a whole answer", || {
            Some(gateway.get(&path)).filter(|answer| answer.status == 200)
        });
        assert!(whole.body == body(), "{path}");
    }
    gateway.wait_metric("tidegate_inflight_requests", |count| count == 0.0);
    gateway.wait_metric("tidegate_upstream_inflight_requests", |count| count == 0.0);
    assert_eq!(gateway.metric("tidegate_panics_total"), 0.0);
    origin.assert_clean();
}
