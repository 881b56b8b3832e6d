//! Asks the admin address of a running gateway: one request, one answer, one connection.
//!
//! Takes where it listens, a URL or `unix:` and a path, a path and maybe a JSON body; gives status and body. Every wait has
//! an end and an answer a greatest size. Speaks as much HTTP/1.1 as the admin address does; the data plane never uses it.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http1::{BodyDecoder, HeadLimits, Method, ResponseHead, ResponseParser};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Exit, USUAL_FILE};
use crate::admin::access::VARIABLE;
use crate::config::{self, AdminListen};

/// Where a gateway's admin address is when nothing else is said.
const USUAL: &str = "http://127.0.0.1:9900";
/// The configuration of a gateway that the system runs.
const OF_THE_SYSTEM: &str = "/etc/tidegate";

/// Time for the connection to be accepted.
const CONNECT: Duration = Duration::from_secs(3);
/// Time for the whole answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Most bytes of an answer.
const LARGEST: usize = 64 * 1024 * 1024;

/// The admin address that a command is to ask.
#[derive(clap::Args)]
pub struct At {
    /// The admin address of the gateway: a URL, or `unix:` and the path of its socket [default: as gateway.yaml here or else
    /// /etc/tidegate says, else http://127.0.0.1:9900]
    #[arg(long, value_name = "URL", global = true)]
    admin: Option<String>,
    #[arg(skip)]
    found: OnceLock<String>,
}

impl Deref for At {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.admin {
            Some(said) => said,
            None => self.found.get_or_init(|| {
                let files = [USUAL_FILE, OF_THE_SYSTEM].into_iter().map(Path::new);
                files.filter(|file| file.exists()).find_map(written).unwrap_or_else(|| USUAL.to_owned())
            }),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Where a configuration puts the admin address, if it says so and that can be asked.
fn written(file: &Path) -> Option<String> {
    match config::admin_listen(file, &config::System)? {
        AdminListen::Off => None,
        AdminListen::At(address) if address.get().port() == 0 => None,
        AdminListen::At(address) => Some(format!("http://{address}")),
        AdminListen::Unix(path) => Some(format!("unix:{}", path.get().display())),
    }
}

/// Sends one request to `admin`, a URL such as `http://127.0.0.1:9900` or just `127.0.0.1:9900`, or `unix:` and a path, and
/// gives status and body of the answer.
///
/// # Errors
/// A sentence that says what cannot be reached and why.
pub fn call(admin: &str, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String), String> {
    call_with(admin, method, path, &[], body)
}

/// What an admin address has told.
pub struct Told {
    /// The status, below 300.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// The same with further field lines; says on stderr why there is no good answer.
///
/// # Errors
/// How the command ends.
pub fn told(
    admin: &str,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Told, Exit> {
    let (status, text) =
        call_with(admin, method, path, fields, body).map_err(|error| refuse(&error, Exit::Unreachable))?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(Told { status, body });
    }
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or(text.trim());
    let exit = match status {
        400 | 428 => Exit::Usage,
        401 | 403 | 404 | 409 | 413 | 422 => Exit::No,
        _ => Exit::Unreachable,
    };
    Err(refuse(detail, exit))
}

/// Asks for something that is good with status 200 alone, and gives its body. With `json` the body is printed as it came, good
/// or not; what is not good is said on stderr as well.
///
/// # Errors
/// How the command ends.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn asked(
    admin: &str,
    method: &str,
    path: &str,
    question: Option<&Value>,
    json: bool,
) -> Result<Value, Exit> {
    let (status, text) =
        call(admin, method, path, question).map_err(|error| refuse(&error, Exit::Unreachable))?;
    if json {
        print!("{text}");
    }
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status == 200 {
        return Ok(body);
    }
    Err(refuse(body.get("detail").and_then(Value::as_str).unwrap_or(text.trim()), Exit::No))
}

/// Says why, and how the command ends.
#[expect(clippy::print_stderr, reason = "stderr is where a command talks")]
pub fn refuse(why: &str, exit: Exit) -> Exit {
    eprintln!("error: {why}");
    exit
}

/// The token of the environment as a field line, if there is one that can stand in it.
fn authorization() -> String {
    let token = std::env::var(VARIABLE).unwrap_or_default();
    let clean = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if clean { format!("Authorization: Bearer {token}\r\n") } else { String::new() }
}

fn call_with(
    admin: &str,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<(u16, String), String> {
    let place = place(admin)?;
    let failed = |what: &dyn fmt::Display| format!("cannot reach the admin address {place}: {what}");
    let mut stream = match place {
        Place::Tcp(authority) => connect(authority),
        Place::Unix(path) => connect_unix(path),
    }
    .map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
            failed(&format!("{error}; is the gateway running? `--admin` says where else it is"))
        }
        _ => failed(&error),
    })?;
    let host = place.host();
    let text = body.map(Value::to_string).unwrap_or_default();
    let more: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{}{more}Content-Length: {}\r\n\r\n{text}",
        authorization(),
        text.len()
    );
    stream.set_write_timeout(Some(CONNECT)).map_err(|error| failed(&error))?;
    stream.write_all(request.as_bytes()).map_err(|error| failed(&error))?;
    let answer = read(&mut stream).map_err(|error| failed(&error))?;
    let method = Method::from_bytes(method.as_bytes());
    let (status, body) = parse(method, &answer).map_err(|what| failed(&what))?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Where to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    Tcp(&'a str),
    Unix(&'a Path),
}

impl Place<'_> {
    /// What stands in `Host`.
    fn host(&self) -> &str {
        match self {
            Place::Tcp(authority) => authority,
            Place::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(authority) => f.write_str(authority),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `127.0.0.1:9900` of `http://127.0.0.1:9900/`, or the path behind `unix:`.
fn place(admin: &str) -> Result<Place<'_>, String> {
    if let Some(path) = admin.strip_prefix("unix:") {
        return match path.starts_with('/') {
            true => Ok(Place::Unix(Path::new(path))),
            false => Err(format!("`{admin}`: write the whole path, such as `unix:/run/tidegate/admin.sock`")),
        };
    }
    if admin.starts_with("https:") {
        return Err(format!("`{admin}`: the admin address speaks plain HTTP; write `http://`"));
    }
    let rest = admin.strip_prefix("http://").unwrap_or(admin);
    let authority = rest.split('/').next().unwrap_or_default();
    let clean = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_graphic());
    let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if clean && port {
        Ok(Place::Tcp(authority))
    } else {
        Err(format!(
            "`{admin}` is not an admin address such as `http://127.0.0.1:9900` or `unix:/run/tidegate/admin.sock`"
        ))
    }
}

fn connect(authority: &str) -> std::io::Result<Socket> {
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in authority.to_socket_addrs()?.collect::<Vec<SocketAddr>>() {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream.into()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_unix(path: &Path) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // It bounds connecting too (unix(7)).
    socket.set_write_timeout(Some(CONNECT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Everything up to the end of the connection.
fn read(stream: &mut Socket) -> std::io::Result<Vec<u8>> {
    let until = Instant::now() + ANSWER;
    let (mut answer, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() > LARGEST {
            return Err(std::io::Error::new(ErrorKind::TimedOut, "the answer does not end"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A time-out of a socket says that reading would block.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(std::io::Error::new(ErrorKind::TimedOut, "no answer in time"));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Status and body of an answer that came whole.
fn parse(method: Method, answer: &[u8]) -> Result<(u16, Vec<u8>), String> {
    let (mut head, mut rest) = (ResponseHead::default(), answer);
    while head.is_interim() || rest.len() == answer.len() {
        let read = ResponseParser::new().parse(rest, &HeadLimits::default(), method, &mut head);
        let length = read.map_err(|error| error.to_string())?.ok_or("the answer is cut")?;
        rest = rest.get(length..).unwrap_or_default();
    }
    let (mut decoder, mut body) = (BodyDecoder::new(head.framing), Vec::new());
    while !decoder.is_done() {
        let step = decoder.decode(rest).map_err(|error| error.to_string())?;
        if step.consumed == 0 {
            decoder.on_eof().map_err(|_| "the answer is cut")?;
            break;
        }
        body.extend_from_slice(rest.get(step.data).unwrap_or_default());
        rest = rest.get(step.consumed..).unwrap_or_default();
    }
    Ok((head.status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_address_is_a_url_a_host_with_a_port_or_a_socket() {
        for (text, place_of) in [
            ("http://127.0.0.1:9900", Some(Place::Tcp("127.0.0.1:9900"))),
            ("http://gate:9900/", Some(Place::Tcp("gate:9900"))),
            ("[::1]:9900", Some(Place::Tcp("[::1]:9900"))),
            ("unix:/run/a.sock", Some(Place::Unix(Path::new("/run/a.sock")))),
            ("unix:a.sock", None),
            ("https://127.0.0.1:9900", None),
            ("127.0.0.1", None),
            ("http://a b:1", None),
            ("", None),
        ] {
            assert_eq!(place(text).ok(), place_of, "{text}");
        }
    }

    #[test]
    fn a_body_is_read_by_the_framing_of_its_head() {
        for (answer, told) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Ok((200, "{}"))),
            (
                "HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
                Ok((409, "ab")),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nall", Ok((200, "all"))),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok((204, ""))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", Err("the answer is cut")),
            ("HTTP/1.1 200 OK\r\nContent-", Err("the answer is cut")),
        ] {
            let told = told.map(|(status, body)| (status, body.as_bytes().to_vec())).map_err(str::to_owned);
            assert_eq!(parse(Method::Get, answer.as_bytes()), told, "{answer}");
        }
    }
}
