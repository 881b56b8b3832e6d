//! A real Redis server, and a way to it that breaks as networks do.
//!
//! Takes what the server is started with; gives its address, and answers to commands. Must never leave a server behind:
//! dropping kills, also one that is stopped.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use crate::event::eventually;
use crate::gateway::{Signal, signal};

/// A running server.
pub struct Redis {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    /// A server that keeps nothing on disk.
    #[track_caller]
    pub fn start() -> Redis {
        Redis::start_with(&[])
    }

    /// The same with more words on its command line.
    #[track_caller]
    pub fn start_with(words: &[&str]) -> Redis {
        // Between looking for a free port and taking it, somebody else may.
        for _ in 0..5 {
            if let Some(redis) = Redis::try_start(free_port(), words) {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    /// A sentinel by this file, which it changes.
    #[track_caller]
    pub fn start_sentinel(file: &Path) -> Redis {
        for _ in 0..5 {
            let port = free_port();
            let mut command = Command::new("redis-server");
            command.arg(file).args(["--sentinel", "--port", &port.to_string(), "--bind", "127.0.0.1"]);
            if let Some(redis) = Redis::run(command, port, tempfile::tempdir().unwrap()) {
                return redis;
            }
        }
        panic!("no sentinel starts");
    }

    fn try_start(port: u16, words: &[&str]) -> Option<Redis> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(folder.path()).args(words);
        Redis::run(command, port, folder)
    }

    fn run(mut command: Command, port: u16, folder: tempfile::TempDir) -> Option<Redis> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("these tests need redis-server (Debian: redis-server)");
        let mut redis = Redis { child, port, folder };
        let up = eventually("redis-server to answer or to end", || {
            if redis.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            redis.try_command(&["PING"]).map(|_| true)
        });
        up.then_some(redis)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its address as a configuration writes it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// Its own folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The answer to a command, as it is on the wire.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).expect("an answer of redis-server")
    }

    fn try_command(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(self.addr()).ok()?;
        stream.set_read_timeout(Some(crate::PATIENCE)).ok()?;
        let parts = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let request = format!("*{}\r\n{}", words.len(), parts.collect::<String>());
        stream.write_all(request.as_bytes()).ok()?;
        // It answers what was asked before, and closes as well.
        stream.shutdown(Shutdown::Write).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Kills it, as a crash does: what it knew is gone.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, after a crash.
    #[track_caller]
    pub fn restart(&mut self) {
        let port = self.port;
        *self = eventually("redis-server on its old port", || Redis::try_start(port, &[]));
    }

    /// Sends it a signal: STOP freezes it, CONT lets it go on.
    pub fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Kills a frozen one as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What happens on a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Connections are reset, old ones and new ones.
    Resets,
    /// Connections come about, and whatever is sent is lost.
    Hole,
    /// Everything comes a second late.
    Slow,
}

/// A way to a server, over which the test has power.
pub struct Way {
    address: SocketAddr,
    weather: Arc<AtomicU8>,
}

impl Way {
    /// A fair way.
    pub fn to(server: SocketAddr) -> Way {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(AtomicU8::new(Weather::Fair as u8));
        let seen = weather.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                thread::spawn(move || carry(&client, server, &seen));
            }
        });
        Way { address, weather }
    }

    /// Its beginning, as a configuration writes it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Changes the weather.
    pub fn turn(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::SeqCst);
    }
}

/// Carries one connection until one side ends it or the weather does.
fn carry(client: &TcpStream, server: SocketAddr, weather: &Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(server) else { return };
    thread::scope(|scope| {
        scope.spawn(|| pass(client, &server, weather));
        pass(&server, client, weather);
    });
    if weather.load(Ordering::SeqCst) == Weather::Resets as u8 {
        let _ = socket2::SockRef::from(client).set_linger(Some(Duration::ZERO));
    }
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, weather: &AtomicU8) {
    let look = Duration::from_millis(5);
    from.set_read_timeout(Some(look)).unwrap();
    let mut bytes = [0; 16 * 1024];
    loop {
        let now = weather.load(Ordering::SeqCst);
        if now == Weather::Resets as u8 {
            break;
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(_) if now == Weather::Hole as u8 => {}
            Ok(count) => {
                if now == Weather::Slow as u8 {
                    thread::sleep(Duration::from_secs(1));
                }
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    if weather.load(Ordering::SeqCst) != Weather::Resets as u8 {
        let _ = to.shutdown(Shutdown::Write);
    }
}
