//! What most tests begin with: a gateway in front of one origin, and the look of a refusal.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use testkit::client::{Raw, Response};
use testkit::gateway::Gateway;
use testkit::origin::Origin;

/// A gateway that passes everything to the origin, with one worker, so that pools are not split.
pub(crate) fn in_front_of(origin: &Origin) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  app: {app}
routes:
  /*: {{ to: app }}
"#,
        app = origin.url()
    )
}

/// Sends bytes that must be refused by their head and checks all that a refusal is: the status, the word that
/// the connection ends, its end, and that no byte has gone to the origin.
#[track_caller]
pub(crate) fn refuse(gateway: &Gateway, origin: &Origin, bytes: impl AsRef<[u8]>, status: u16) -> Response {
    let shown: String = String::from_utf8_lossy(bytes.as_ref()).chars().take(300).collect();
    let answer = refuse_midway(gateway, origin, bytes, status);
    assert_eq!(origin.received(), "", "{shown:?} was passed on");
    answer
}

/// The same for bytes whose fault comes after the head: the origin may have seen a beginning and never an end.
#[track_caller]
pub(crate) fn refuse_midway(
    gateway: &Gateway,
    origin: &Origin,
    bytes: impl AsRef<[u8]>,
    status: u16,
) -> Response {
    let shown: String = String::from_utf8_lossy(bytes.as_ref()).chars().take(300).collect();
    let mut client = Raw::connect(gateway.addr());
    client.send(bytes);
    let answer = match client.try_read_response() {
        Ok(answer) => answer,
        Err(trouble) => panic!("{trouble} for {shown:?}"),
    };
    assert_eq!(answer.status, status, "{shown:?}: {}", answer.text());
    assert!(answer.says_close(), "{shown:?}: {:?}", answer.headers);
    client.expect_closed();
    let seen: Vec<_> = origin.requests().into_iter().filter(|request| request.whole).collect();
    assert!(seen.is_empty(), "{shown:?} reached the origin: {seen:?}");
    origin.assert_clean();
    answer
}

/// The head of a POST to `/` with one more field line and nothing after it.
pub(crate) fn post_with(line: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

/// A chunked POST to `/` with this body as it is.
pub(crate) fn chunked_post(body: &str) -> String {
    post_with("Transfer-Encoding: chunked") + body
}

/// A gateway with these routes, written in YAML, and the origin as the service `app`.
pub(crate) fn with_routes(origin: &Origin, routes: &str) -> Gateway {
    let routes = routes.trim_matches('\n');
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
routes:
{routes}
"#,
        app = origin.url()
    )
}

/// What a command said and how it ended.
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Told {
    /// What it wrote to stdout, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?} ({})", self.stdout, self.stderr),
        }
    }
}

/// Runs `tidegate` with these words in a folder.
pub(crate) fn tidegate(folder: &std::path::Path, words: &[&str]) -> Told {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env("TIDEGATE_ADMIN_TOKEN", testkit::gateway::ADMIN_TOKEN);
    let output = command.current_dir(folder).args(words).env_remove("NO_COLOR").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A folder with this text as its `gateway.yaml`.
pub(crate) fn folder_with(yaml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), yaml).unwrap();
    folder
}

/// A target whose queue is full: it drops what knocks, and no connection comes about.
pub(crate) struct FullQueue {
    socket: Socket,
    _queue: Vec<std::io::Result<TcpStream>>,
}

impl FullQueue {
    pub(crate) fn new() -> FullQueue {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(50));
        let _queue = (0..3).map(|_| knock()).collect();
        FullQueue { socket, _queue }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.socket.local_addr().unwrap().as_socket().unwrap())
    }
}
