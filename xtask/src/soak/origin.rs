//! The origin of the soak: answers each GET with its path, and each WebSocket text with itself.
//! Takes a free port; gives an address and threads that serve until the program ends.
//! It must never answer anything that does not depend on the request: a mixed-up answer has to show.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::websocket::{ACCEPT, read_frame};
use crate::wire::{Connection, broken, field};

pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The end of a connection is the gateway's business and no failure here.
            std::thread::spawn(move || Connection::over(stream).and_then(serve));
        }
    });
    Ok(address)
}

fn serve(mut connection: Connection) -> io::Result<()> {
    loop {
        let head = connection.read_head()?;
        let path = head.split(' ').nth(1).ok_or_else(|| broken("no path"))?;
        if field(&head, "upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
            return echo(connection);
        }
        let length = path.len();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}").as_bytes())?;
    }
}

fn echo(mut connection: Connection) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    connection.send(head.as_bytes())?;
    loop {
        let text = read_frame(&mut connection)?;
        let length = u8::try_from(text.len()).map_err(|_| broken("too long a text"))?;
        connection.send(&[&[0x81, length], text.as_slice()].concat())?;
    }
}

#[test]
fn the_origin_answers_what_it_was_asked() {
    let address = start().unwrap();
    let mut client = Connection::open(address).unwrap();
    for path in ["/a/1", "/b/2"] {
        assert_eq!(client.get(path).unwrap().body, path.as_bytes());
    }
    let mut socket = crate::websocket::WebSocket::open(address, "/ws").unwrap();
    socket.echo("tide").unwrap();
    socket.echo("gate").unwrap();
}
