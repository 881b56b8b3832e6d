//! Connections to services that begin with a PROXY protocol header: each names its client and serves no other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use testkit::client::Raw;
use testkit::gateway::Gateway;

/// A service that takes a header of so many bytes, or a line, at the beginning of each connection, and tells it in
/// each of its answers.
fn service(binary: Option<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            std::thread::spawn(move || serve(number, &stream, binary));
        }
    });
    address
}

fn serve(number: usize, stream: &TcpStream, binary: Option<usize>) {
    let mut reader = BufReader::new(stream);
    let mut header = Vec::new();
    match binary {
        Some(length) => {
            header.resize(length, 0);
            reader.read_exact(&mut header).unwrap();
        }
        None => drop(reader.read_until(b'\n', &mut header)),
    }
    let header = header.escape_ascii().to_string();
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).is_ok_and(|count| count == 0) {
                return;
            }
        }
        let body = format!("{number} {header}");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let _ = (&mut &*stream).write_all(answer.as_bytes());
    }
}

fn in_front_of(service: SocketAddr, version: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
trusted_proxies: [127.0.0.1]
services: {{ app: {{ targets: "http://{service}", proxy_protocol: {version} }} }}
routes:
  /*: {{ to: app }}
"#
    )
}

/// The number of the connection and the header on it.
fn ask(client: &mut Raw, fields: &[(&str, &str)]) -> (String, String) {
    let text = client.request("GET", "/", fields, b"").read_response().text();
    let (number, header) = text.split_once(' ').unwrap();
    (number.to_owned(), header.to_owned())
}

#[test]
fn each_client_connection_has_one_of_its_own() {
    let gateway = in_front_of(service(None), "v1");
    let (mut one, mut other) = (Raw::connect(gateway.addr()), Raw::connect(gateway.addr()));
    let line = |client: &Raw| {
        let (from, to) = (client.local_addr(), gateway.addr());
        format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\\r\\n", from.port(), to.port())
    };
    let first = ask(&mut one, &[]);
    assert_eq!(first, ("0".to_owned(), line(&one)));
    assert_eq!(ask(&mut other, &[]), ("1".to_owned(), line(&other)));
    assert_eq!(ask(&mut one, &[]), first, "the same client has its connection again");
}

/// What a trusted proxy says of the client is passed on; its port is not known.
#[test]
fn clients_behind_one_connection_are_kept_apart() {
    let gateway = in_front_of(service(None), "v1");
    let mut proxy = Raw::connect(gateway.addr());
    let first = ask(&mut proxy, &[("X-Forwarded-For", "203.0.113.7")]);
    let other = ask(&mut proxy, &[("X-Forwarded-For", "2001:db8::7")]);
    assert!(first.1.starts_with("PROXY TCP4 203.0.113.7 127.0.0.1 0 "), "{first:?}");
    assert!(other.1.starts_with("PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 "), "{other:?}");
    assert_ne!(first.0, other.0);
    assert_eq!(ask(&mut proxy, &[("X-Forwarded-For", "203.0.113.7")]), first);
}

#[test]
fn version_2_is_binary() {
    let gateway = in_front_of(service(Some(28)), "v2");
    let mut client = Raw::connect(gateway.addr());
    let (_, header) = ask(&mut client, &[]);
    let ports = [client.local_addr().port().to_be_bytes(), gateway.addr().port().to_be_bytes()].concat();
    let wanted =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[127, 0, 0, 1, 127, 0, 0, 1], &ports].concat();
    assert_eq!(header, wanted.escape_ascii().to_string());
}
