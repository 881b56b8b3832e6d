//! How streams and connections end before their time, and what becomes of the exchanges on them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use h2::Reason;
use http::Response;
use testkit::client::{self, Raw};
use testkit::event::{Journal, eventually};
use testkit::gateway::Gateway;

use super::in_front_of;
use super::origin::{Service, Stream, send};
use crate::http::http2::{converse, open, request};

#[test]
fn a_request_that_the_service_refused_unseen_is_sent_again() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = refused.clone();
    let service = Service::start(move |mut stream: Stream| {
        let first = count.fetch_add(1, Ordering::SeqCst) < 2;
        async move {
            match first {
                true => stream.respond.send_reset(Reason::REFUSED_STREAM),
                false => stream.echo().await,
            }
        }
    });
    let gateway = in_front_of(&service, "");
    // A POST, with a body that a client of HTTP/1.1 sends at once.
    let answer = client::request(gateway.addr(), "POST", "/", &[], b"once");
    assert_eq!((answer.status, answer.text().as_str()), (200, "once"));
    assert_eq!(refused.load(Ordering::SeqCst), 3);
}

#[test]
fn a_service_that_refuses_for_ever_is_not_asked_for_ever() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let service = Service::start(move |mut stream: Stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { stream.respond.send_reset(Reason::REFUSED_STREAM) }
    });
    let gateway = in_front_of(&service, "");
    assert_eq!(gateway.get("/").json()["type"], "urn:tidegate:problem:no_answer");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[test]
fn nothing_is_lost_when_the_service_says_farewell() {
    let service = Service::start(Stream::echo);
    let gateway = in_front_of(&service, "");
    for round in 0..20 {
        let path = if round % 4 == 3 { "/farewell" } else { "/" };
        let answer = client::request(gateway.addr(), "POST", path, &[], b"body");
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"), "{round}");
    }
    assert!(service.connections() >= 5, "{}", service.connections());
    gateway.wait_for_log(|line| line["status"] == 200);
}

/// A service, frame by frame: what it sends on a connection once a head has come.
fn by_hand(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
            if read_until_head(&mut stream).is_err() {
                return;
            }
            stream.write_all(&answer).unwrap();
            // Whatever else comes is read, so that the end is one in good order.
            thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        }
    });
    url
}

/// Reads the preface and frames up to the first HEADERS.
fn read_until_head(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24])?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header)?;
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        stream.read_exact(&mut vec![0; length])?;
        if header[3] == 1 {
            return Ok(());
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a 200 with these literal fields.
fn head(fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let mut block = vec![0x88];
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(1, 4 | flags, 1, &block)
}

fn gateway_to(url: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\n\
         services: {{ app: {{ targets: \"{url}\", protocol: http2 }} }}\nroutes: {{ /*: {{ to: app }} }}\n"
    )
}

#[test]
fn what_a_goaway_leaves_out_is_sent_again_whatever_it_is() {
    let goaway = frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]);
    let good = [head(&[], 0), frame(0, 1, 1, b"second")].concat();
    let gateway = gateway_to(&by_hand(vec![goaway, good]));
    let answer = client::request(gateway.addr(), "POST", "/", &[], b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "second"));
    let line = gateway.wait_for_log(|line| line["status"] == 200);
    assert_eq!(line["tries"], 2, "{line}");
}

#[test]
fn what_a_goaway_does_not_leave_out_is_not_sent_again() {
    // The service may have done something for stream 1 before it went.
    let goaway = [frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), frame(3, 0, 1, &[0, 0, 0, 2])].concat();
    let gateway = gateway_to(&by_hand(vec![goaway, head(&[], 1)]));
    let answer = client::request(gateway.addr(), "POST", "/", &[], b"");
    assert_eq!((answer.status, &answer.json()["type"]), (502, &"urn:tidegate:problem:no_answer".into()));
}

#[test]
fn answers_that_break_the_rules_are_not_passed_on() {
    for (answer, code) in [
        (head(&[("connection", "x")], 1), "answer_protocol"),
        (head(&[("transfer-encoding", "chunked")], 1), "answer_protocol"),
        (head(&[("Upper", "x")], 1), "answer_protocol"),
        (head(&[("transfer_encoding", "chunked")], 1), "ambiguous_name"),
        (head(&[("content-length", "5")], 1), "answer_protocol"),
        (head(&[("content-length", "1"), ("content-length", "1")], 0), "duplicate_content_length"),
        (frame(1, 5, 1, &[0x82]), "answer_protocol"),
        (frame(1, 5, 1, &[]), "answer_protocol"),
        // A 101, which nothing may switch to here.
        (frame(1, 5, 1, b"\x00\x07:status\x03101"), "bad_status"),
        (frame(3, 0, 1, &[0, 0, 0, 8]), "no_answer"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(), "answer_protocol"),
    ] {
        let gateway = gateway_to(&by_hand(vec![answer.clone()]));
        let got = gateway.get("/");
        assert_eq!(got.status, 502, "{answer:?}");
        assert_eq!(got.json()["type"], format!("urn:tidegate:problem:{code}"), "{answer:?}");
    }
}

#[test]
fn an_answer_that_is_cut_never_passes_for_whole() {
    for end in [
        frame(3, 0, 1, &[0, 0, 0, 2]),
        // More than was announced, and less.
        frame(0, 1, 1, b"123456789"),
        frame(0, 1, 1, b"1"),
    ] {
        let answer = [head(&[("content-length", "8")], 0), frame(0, 0, 1, b"1234"), end.clone()].concat();
        let gateway = gateway_to(&by_hand(vec![answer]));
        let mut raw = Raw::connect(gateway.addr());
        assert!(raw.get("/").try_read_response().is_err(), "{end:?}");
        gateway.wait_for_log(|line| line["reason"] == "answer_cut");
    }
}

#[test]
fn a_flood_of_interim_answers_ends_the_connection() {
    let interim = frame(1, 4, 1, b"\x00\x07:status\x03103");
    let gateway = gateway_to(&by_hand(vec![interim.repeat(2000)]));
    assert_eq!(gateway.get("/").status, 502);
}

#[test]
fn a_client_that_goes_takes_its_stream_along() {
    let given_up: Journal<Option<Reason>> = Journal::default();
    let noted = given_up.clone();
    let service = Service::start(move |stream: Stream| {
        let noted = noted.clone();
        async move { noted.push(stream.given_up().await) }
    });
    let gateway = in_front_of(&service, "");
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/");
    eventually("the request to arrive", || (service.requests().len() == 1).then_some(()));
    drop(raw);
    eventually("the stream to be given up", || (given_up.all() == [Some(Reason::CANCEL)]).then_some(()));
    converse(async {
        let (client, _connection) = open(gateway.addr()).await;
        let mut ready = client.clone().ready().await.unwrap();
        let (answer, mut sending) =
            ready.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        while service.requests().len() < 2 {
            tokio::task::yield_now().await;
        }
        sending.send_reset(Reason::CANCEL);
        drop(answer);
    });
    eventually("the stream to be given up", || (given_up.all().len() == 2).then_some(()));
    assert_eq!(given_up.all()[1], Some(Reason::CANCEL));
    assert_eq!(service.connections(), 1);
}

#[test]
fn a_service_that_stops_midway_is_told_from_one_that_is_slow() {
    let stopped = Arc::new(AtomicBool::new(false));
    let known = stopped.clone();
    let service = Service::start(move |mut stream: Stream| {
        let known = known.clone();
        async move {
            if stream.request.uri().path() == "/silent" {
                known.store(stream.given_up().await.is_some(), Ordering::SeqCst);
                return;
            }
            let mut sending = stream.respond.send_response(Response::new(()), false).unwrap();
            send(&mut sending, b"half", false).await;
            std::future::pending::<()>().await;
        }
    });
    let gateway = in_front_of(&service, ", timeout: 2s, idle_timeout: 2s");
    let silent = gateway.get("/silent");
    assert_eq!((silent.status, &silent.json()["type"]), (504, &"urn:tidegate:problem:answer_timeout".into()));
    eventually("the stream to be given up", || stopped.load(Ordering::SeqCst).then_some(()));
    assert!(Raw::connect(gateway.addr()).get("/half").try_read_response().is_err());
    gateway.wait_for_log(|line| line["reason"] == "answer_stalled");
}
