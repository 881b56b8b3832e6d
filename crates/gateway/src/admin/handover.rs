//! From one process to the next without a gap: the listening sockets go over, then the work.
//!
//! The running process starts the program anew with one end of a socket pair as its standard input, sends all
//! listening sockets over it (`SCM_RIGHTS`) and the keys of TLS tickets, and waits. The new one says that it is ready once its workers accept, or
//! why it will not be; only then does the old one stop accepting. Until that word the old one serves as if nothing had
//! happened. The sockets are the very same: a connection that waits at one is taken by whoever accepts first.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use super::inherit;
use crate::accept::{Inherited, Offered, OfferedFile};
use crate::tls::tickets::Handed;

/// Tells the new process that its standard input is one end of a socket pair.
const VARIABLE: &str = "TIDEGATE_HANDOVER";
/// Variables that are about this process and nobody else.
const OWN: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];
/// Sockets in one message; the kernel takes 253.
const BATCH: usize = 64;
/// The longest message.
const MESSAGE: usize = 32 * 1024;
/// How long either side waits for the other to take or give a message.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Why a process that is gone did not take over.
const GONE: &str = "it ended before it served";
/// Between two looks at whether to go on waiting.
const LOOK: Duration = Duration::from_millis(50);

/// What is said between the two. Words that one side does not know yet are passed over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
enum Message {
    /// Here are sockets of a listener.
    Sockets { name: String, wanted: Option<SocketAddr>, kept: bool },
    /// Here is the unix socket of a path.
    File { path: PathBuf },
    /// Here are the keys that seal the sessions of a listener's clients.
    Tickets(Handed),
    /// Those were all.
    All,
    /// I serve, on the sockets of these names.
    Ready { claimed: Vec<String> },
    /// I will not.
    Failed { why: String },
    #[serde(other)]
    Unknown,
}

/// One end of the socket pair.
struct Channel(OwnedFd);

impl Channel {
    fn new(end: OwnedFd, patience: Duration) -> io::Result<Channel> {
        let socket = SockRef::from(&end);
        socket.set_write_timeout(Some(EXCHANGE))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Channel(end))
    }

    fn send(&self, message: &Message, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(ErrorKind::InvalidInput.into());
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message; `None` when the other side is gone.
    fn receive(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut text = vec![0; MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut text)];
        let received = rustix::net::recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut sockets = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                sockets.extend(received);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(text.get(..received.bytes).unwrap_or_default())?, sockets)))
    }
}

/// How this program was started, so that it can be started again: by path, so that a file put in its place is taken.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This one. To be asked at the start, while the file at the path is still this program.
    pub fn this() -> io::Result<Program> {
        let mut words = std::env::args_os();
        let word = words.next().map(PathBuf::from);
        // As it was called: a link that is turned to another version is followed anew. A bare name was found by PATH.
        let path = match word.filter(|word| word.components().count() > 1) {
            Some(path) => std::path::absolute(path)?,
            None => std::env::current_exe()?,
        };
        Ok(Program { path, arguments: words.collect() })
    }
}

/// The process from which this one takes over, if there is one, or else what the system gives.
pub struct Predecessor {
    channel: Option<Channel>,
    inherited: Inherited,
    tickets: Vec<Handed>,
}

impl Predecessor {
    /// A start of its own, on nothing that others opened.
    pub fn none() -> Predecessor {
        Predecessor::with(None, Inherited::default())
    }

    /// Takes what a running gateway hands over, or what systemd has opened.
    pub fn find() -> io::Result<Predecessor> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(Predecessor::with(None, Inherited::new(inherit::from_systemd()?)));
        }
        let end = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        let channel = Channel::new(end, EXCHANGE)?;
        let (mut offered, mut files, mut tickets) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match channel.receive()? {
                None => return Err(io::Error::other("the process that hands over is gone")),
                Some((Message::Sockets { name, wanted, kept }, sockets)) => {
                    offered.extend(sockets.into_iter().map(|socket| Offered {
                        name: name.clone(),
                        wanted,
                        kept,
                        socket: TcpListener::from(socket),
                    }));
                }
                Some((Message::File { path }, sockets)) => {
                    let opened = sockets.into_iter().next().map(UnixListener::from);
                    files.extend(opened.map(|socket| OfferedFile { path, socket }));
                }
                Some((Message::Tickets(handed), _)) => tickets.push(handed),
                Some((Message::All, _)) => break,
                Some(_) => {}
            }
        }
        let inherited = Inherited::new(offered).with_files(files);
        Ok(Predecessor { tickets, ..Predecessor::with(Some(channel), inherited) })
    }

    fn with(channel: Option<Channel>, inherited: Inherited) -> Predecessor {
        Predecessor { channel, inherited, tickets: Vec::new() }
    }

    /// The keys that its clients' sessions are sealed by; taken out.
    pub fn take_tickets(&mut self) -> Vec<Handed> {
        std::mem::take(&mut self.tickets)
    }

    /// What it has opened.
    pub fn sockets(&mut self) -> &mut Inherited {
        &mut self.inherited
    }

    /// Says that this process serves in its place.
    pub fn ready(self) {
        let claimed = self.inherited.settle();
        if let Some(channel) = &self.channel
            && let Err(error) = channel.send(&Message::Ready { claimed }, &[])
        {
            tracing::warn!(error = %error, "the process that handed over did not hear that this one serves");
        }
    }

    /// Says why this process will not serve.
    pub fn failed(self, why: &str) {
        if let Some(channel) = &self.channel {
            let why = why.chars().take(MESSAGE / 8).collect();
            // One that is gone need not know.
            let _ = channel.send(&Message::Failed { why }, &[]);
        }
    }
}

/// What became of a hand-over that succeeded.
pub struct HandedOver {
    /// The process that serves now.
    pub pid: u32,
    /// The names whose sockets it accepts from.
    pub claimed: Vec<String>,
}

/// All that goes over.
pub struct Goods {
    /// The sockets of listeners.
    pub sockets: Vec<Offered>,
    /// Unix sockets.
    pub files: Vec<OfferedFile>,
    /// The keys that sessions of clients are sealed by.
    pub tickets: Vec<Handed>,
}

/// Starts the program and hands the sockets over; waits until it serves, says no, ends, the time is over or `give_up`.
/// On failure the new process is gone and nothing has changed. Blocks.
pub fn hand_over(
    program: &Program,
    goods: Goods,
    within: Duration,
    give_up: &dyn Fn() -> bool,
) -> Result<HandedOver, String> {
    let until = Instant::now() + within;
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| format!("cannot make a socket pair: {error}"))?;
    let channel = Channel::new(ours, LOOK).map_err(|error| error.to_string())?;
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).env(VARIABLE, "1").stdin(Stdio::from(theirs));
    for name in OWN {
        command.env_remove(name);
    }
    let mut child =
        command.spawn().map_err(|error| format!("cannot start {}: {error}", program.path.display()))?;
    // The command holds the other end: it must not seem to live on when the child is gone.
    drop(command);
    let outcome = match offer(&channel, goods) {
        Ok(()) => wait(&channel, &mut child, until, give_up),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(GONE.to_owned()),
        Err(error) => Err(format!("cannot hand sockets over: {error}")),
    };
    match outcome {
        Ok(claimed) => Ok(HandedOver { pid: child.id(), claimed }),
        Err(why) => {
            let _ = child.kill();
            let ended = child.wait().map(|status| status.to_string()).unwrap_or_default();
            Err(format!("{why} ({ended})"))
        }
    }
}

fn offer(channel: &Channel, goods: Goods) -> io::Result<()> {
    let mut rest = goods.sockets.as_slice();
    while let Some(first) = rest.first() {
        let alike = |offered: &&Offered| offered.name == first.name && offered.wanted == first.wanted;
        let count = rest.iter().take(BATCH).take_while(alike).count();
        let (batch, others) = rest.split_at_checked(count).unwrap_or_default();
        let sockets: Vec<BorrowedFd<'_>> = batch.iter().map(|offered| offered.socket.as_fd()).collect();
        let (name, wanted, kept) = (first.name.clone(), first.wanted, first.kept);
        channel.send(&Message::Sockets { name, wanted, kept }, &sockets)?;
        rest = others;
    }
    for OfferedFile { path, socket } in goods.files {
        channel.send(&Message::File { path }, &[socket.as_fd()])?;
    }
    for handed in goods.tickets {
        channel.send(&Message::Tickets(handed), &[])?;
    }
    channel.send(&Message::All, &[])
}

fn wait(
    channel: &Channel,
    child: &mut Child,
    until: Instant,
    give_up: &dyn Fn() -> bool,
) -> Result<Vec<String>, String> {
    loop {
        match channel.receive() {
            Ok(Some((Message::Ready { claimed }, _))) => return Ok(claimed),
            Ok(Some((Message::Failed { why }, _))) => return Err(format!("it does not start: {why}")),
            Ok(Some(_)) => {}
            Ok(None) => return Err(GONE.to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Gone before it had read everything.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(GONE.to_owned()),
            Err(error) => return Err(format!("it does not speak as it should: {error}")),
        }
        if give_up() {
            return Err("the running process is to end".to_owned());
        }
        // A child that left its end open to others is gone all the same.
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return Err(GONE.to_owned());
        }
        if Instant::now() >= until {
            return Err("it did not serve in time".to_owned());
        }
    }
}
