//! R1 to R4 as they touch TLS: slow, half, odd and broken clients cost little, end in time, and harm nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use testkit::PATIENCE;
use testkit::origin::{Origin, Reply};
use testkit::wire::Trouble;

use super::setup::Secured;

/// Short enough to wait for, long enough for a handshake on a slow machine.
const SHORT: &str =
    "timeouts: { handshake: 3s, head: 3s, body_idle: 1s, min_body_rate: 512B, write_idle: 1s }";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The first flight of a client.
fn hello(secured: &Secured) -> Vec<u8> {
    let name = ServerName::try_from("shop.test").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(&secured.client), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// Whether the peer ends the connection, in order or with a reset.
fn ends(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_hello_that_never_ends_is_let_go_and_others_are_served() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, "", SHORT);
    let hello = hello(&secured);
    let mut half: Vec<TcpStream> = (0..500).map(|_| connect(secured.gateway.addr())).collect();
    for (number, stream) in half.iter_mut().enumerate() {
        // Nothing, a byte, half a record, all but a byte: each is a half handshake.
        let length = [0, 1, 5, 100, hello.len() - 1][number % 5];
        // It may be over already where the machine is slow.
        let _ = stream.write_all(&hello[..length]);
    }
    assert_eq!(secured.connect().get("/").read_response().status, 200);
    for stream in &mut half {
        assert!(ends(stream));
    }
    secured.wait_for("timeout", 500.0);
    secured.gateway.wait_metric("tidegate_tls_handshakes_active", |active| active == 0.0);
    assert_eq!(secured.connect().get("/").read_response().status, 200);
}

#[test]
fn a_hello_byte_by_byte_ends_at_the_deadline_of_the_whole() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, "", SHORT);
    let mut stream = connect(secured.gateway.addr());
    // Each byte comes in time; all of them do not.
    for byte in hello(&secured) {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        if matches!(stream.read(&mut [0; 16]), Ok(0)) {
            break;
        }
    }
    secured.wait_for("timeout", 1.0);
}

/// RUSTSEC-2024-0399 was a panic here: the hello in records of one byte each.
#[test]
fn a_hello_in_crumbs_is_a_hello() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let whole = hello(&secured);
    let (head, message) = whole.split_at(5);
    let crumbs: Vec<u8> = message.iter().flat_map(|byte| [head[0], head[1], head[2], 0, 1, *byte]).collect();
    let mut stream = connect(secured.gateway.addr());
    stream.write_all(&crumbs).unwrap();
    let mut first = [0; 6];
    stream.read_exact(&mut first).unwrap();
    assert_eq!((first[0], first[5]), (22, 2), "a ServerHello: {first:?}");
    drop(stream);
    secured.wait_for("client_gone", 1.0);
    assert_eq!(secured.connect().get("/").read_response().status, 200);
}

#[test]
fn a_hello_beyond_all_bounds_and_other_nonsense_end_and_harm_nobody() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, "", SHORT);
    let record = |length: usize, of: u8, body: &[u8]| {
        let mut bytes = vec![of, 3, 1, (length >> 8) as u8, length as u8];
        bytes.extend_from_slice(body);
        bytes
    };
    // A hello that says it has 16 MiB, and brings 64 KiB of it.
    let mut endless = record(16_000, 22, &[1, 255, 255, 255]);
    endless.extend(vec![0; 15_996]);
    for _ in 0..4 {
        endless.extend(record(16_000, 22, &vec![0; 16_000]));
    }
    let wrong = [
        endless,
        record(3, 22, &[0, 0, 0]),
        record(0xffff, 22, &[]),
        record(2, 21, &[2, 40]),
        record(100, 23, &[7; 100]),
        vec![0x80, 0x2e, 1, 0, 2, 0, 0],
        vec![0; 4096],
        (0..=255).cycle().take(5000).collect(),
    ];
    for (number, bytes) in wrong.iter().enumerate() {
        let mut stream = connect(secured.gateway.addr());
        let _ = stream.write_all(bytes);
        assert!(ends(&mut stream), "{number}");
    }
    assert_eq!(secured.connect().get("/").read_response().status, 200);
    assert_eq!(secured.gateway.metric("tidegate_panics_total"), 0.0);
}

/// Renegotiation, which TLS 1.2 has and nobody needs: refused, the connection ends or goes on, nothing else happens.
#[test]
fn a_client_that_wants_new_keys_all_the_time_gets_none() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let address = secured.gateway.addr().to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "shop.test", "-tls1_2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    let _ = child.stdin.as_mut().unwrap().write_all("R\n".repeat(20).as_bytes());
    let told = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("no renegotiation"), "{told}");
    assert_eq!(secured.connect().get("/").read_response().status, 200);
}

/// R1 under TLS: a head that drips is ended by its deadline, whether whole records drip or the bytes of one.
#[test]
fn a_head_that_drips_is_refused_in_time() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, "", SHORT);
    let mut client = secured.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.read_response().status, 408);
    client.expect_closed();
    // Half a record: what it will be, nobody knows.
    let mut client = secured.connect();
    assert_eq!(client.get("/").read_response().status, 200);
    client.wire().stream().try_clone().unwrap().write_all(&[23, 3, 3, 0, 100, 1, 2, 3]).unwrap();
    let answer = client.try_read_response().unwrap();
    assert_eq!(answer.status, 408);
}

/// R2 under TLS.
#[test]
fn a_body_that_drips_is_refused_in_time() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, "", SHORT);
    let mut client = secured.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1048576\r\n\r\n");
    let mut answer = Err(Trouble::Closed);
    for _ in 0..200 {
        client.send("x");
        client.wire().set_read_timeout(Some(Duration::from_millis(100)));
        answer = client.try_read_response();
        if !matches!(answer, Err(Trouble::TimedOut(_))) {
            break;
        }
    }
    assert_eq!(answer.map(|answer| answer.status), Ok(408));
}

/// R3 under TLS: who takes nothing of a long answer is let go.
#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let origin = Origin::answering(|_| Reply::ok(vec![b'x'; 30_000_000]));
    let secured = Secured::with(&origin, "", SHORT);
    let mut client = secured.connect();
    client.get("/");
    let _ = client.read_head();
    secured.gateway.wait_for_log(|line| line["reason"] == "client_stalled");
    secured.gateway.wait_metric("tidegate_connections_active{listener=\"web\"}", |open| open == 0.0);
}

/// A record that was tampered with ends the connection, and says so.
#[test]
fn a_broken_record_ends_the_connection() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let mut client = secured.connect();
    assert_eq!(client.get("/").read_response().status, 200);
    let mut record = vec![23, 3, 3, 0, 40];
    record.extend([9; 40]);
    client.wire().stream().try_clone().unwrap().write_all(&record).unwrap();
    assert!(client.try_read_response().is_err());
    secured.gateway.wait_metric("tidegate_connections_active{listener=\"web\"}", |open| open == 0.0);
    assert_eq!(secured.connect().get("/").read_response().status, 200);
}
