//! Where the admin address is: a TCP address, or a unix socket.
//!
//! Takes what the configuration says and maybe the socket of the process before; gives one that listens. A unix socket is
//! never, not even for a moment, open to more than its permissions say: it gets them under another name, before it listens,
//! and is then put in its place in one step. Must never take the place of a socket that somebody answers at, or of a file
//! that is no socket, and never takes away a file that another process has put there meanwhile.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::process::StartError;
use crate::accept::{Inherited, Offered, OfferedFile};
use crate::config::{Admin, AdminListen};

/// What sockets of the admin address are called when they are handed over.
pub const NAME: &str = "admin address";
/// Connections that may wait in the kernel.
const BACKLOG: i32 = 128;

/// Where a gateway is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP address.
    At(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::At(address) => write!(f, "http://{address}"),
            AdminAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl AdminAddress {
    /// As the ready file tells it: an address without a scheme, or a path behind `unix:`.
    pub fn told(&self) -> String {
        match self {
            AdminAddress::At(address) => address.to_string(),
            AdminAddress::Unix(_) => self.to_string(),
        }
    }
}

/// A socket that listens.
pub struct AdminSocket {
    /// The socket.
    pub listener: Listening,
    /// Where it is.
    pub address: AdminAddress,
    /// The address as the configuration of the start had it, which with port 0 is another one.
    wanted: Option<SocketAddr>,
    /// The file of a unix socket as it was made or found: device and number.
    file: Option<(u64, u64)>,
}

/// The kind of a socket.
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

impl AdminSocket {
    /// Opens it, or takes it over; `None` where there is to be none.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    pub fn open(admin: &Admin, inherited: &mut Inherited) -> Result<Option<AdminSocket>, StartError> {
        let opened = match &admin.listen {
            AdminListen::Off => return Ok(None),
            AdminListen::At(address) => tcp(address.get(), inherited).map_err(|error| {
                let address = address.get();
                format!("the admin address cannot use {address}: {error}; set `admin: {{ listen: .. }}`")
            }),
            AdminListen::Unix(path) => {
                let mode = admin.socket_mode.as_deref().copied().unwrap_or_default().get();
                unix(path.get(), mode, inherited).map_err(|error| {
                    format!(
                        "the admin address cannot use the unix socket {path}: {error}",
                        path = path.get().display()
                    )
                })
            }
        };
        opened.map(Some).map_err(StartError::Bind)
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<AdminSocket> {
        let listener = match &self.listener {
            Listening::Tcp(listener) => Listening::Tcp(listener.try_clone()?),
            Listening::Unix(listener) => Listening::Unix(listener.try_clone()?),
        };
        Ok(AdminSocket { listener, address: self.address.clone(), wanted: self.wanted, file: self.file })
    }

    /// What another process needs to take it over.
    ///
    /// # Errors
    /// What the system says.
    pub fn offer(&self, sockets: &mut Vec<Offered>, files: &mut Vec<OfferedFile>) -> io::Result<()> {
        match (&self.listener, &self.address) {
            (Listening::Tcp(listener), _) => {
                let (name, socket) = (NAME.to_owned(), listener.try_clone()?);
                sockets.push(Offered { name, wanted: self.wanted, kept: false, socket });
            }
            (Listening::Unix(listener), AdminAddress::Unix(path)) => {
                files.push(OfferedFile { path: path.clone(), socket: listener.try_clone()? });
            }
            (Listening::Unix(_), AdminAddress::At(_)) => {}
        }
        Ok(())
    }

    /// Takes the file of a unix socket away, unless another one stands in its place.
    pub fn remove(&self) {
        if let AdminAddress::Unix(path) = &self.address
            && self.file.is_some()
            && identity(path) == self.file
        {
            // One that cannot be taken away is replaced at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn tcp(wanted: SocketAddr, inherited: &mut Inherited) -> io::Result<AdminSocket> {
    let listener = match inherited.claim(NAME, wanted).into_iter().next() {
        Some(offered) => offered.socket,
        None => TcpListener::bind(wanted)?,
    };
    listener.set_nonblocking(true)?;
    let address = AdminAddress::At(listener.local_addr()?);
    Ok(AdminSocket { listener: Listening::Tcp(listener), address, wanted: Some(wanted), file: None })
}

fn unix(path: &Path, mode: u32, inherited: &mut Inherited) -> Result<AdminSocket, String> {
    // Without its file nobody would find a socket that was taken over.
    let taken = inherited.claim_file(NAME, path).filter(|_| identity(path).is_some());
    let listener = match taken {
        Some(listener) => listener,
        None => {
            look(path)?;
            make(path, mode).map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    "its folder is not there: make it, or let systemd do (`RuntimeDirectory=`)".to_owned()
                }
                _ => error.to_string(),
            })?
        }
    };
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    let address = AdminAddress::Unix(path.to_owned());
    Ok(AdminSocket { listener: Listening::Unix(listener), address, wanted: None, file: identity(path) })
}

/// Which file stands at a path, if it is a socket.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    found.file_type().is_socket().then(|| (found.dev(), found.ino()))
}

/// Whether the path is free: nothing is there, or a socket that nobody answers at any more.
fn look(path: &Path) -> Result<(), String> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(found) if !found.file_type().is_socket() => {
            return Err("a file is there that is no socket: take it away, or choose another path".to_owned());
        }
        Ok(_) => {}
    }
    match knock(path) {
        // What a process that crashed has left behind.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        Err(error) if error.kind() != ErrorKind::WouldBlock => {
            Err(format!("cannot find out whether somebody answers there: {error}"))
        }
        // Accepted, or its queue is full: somebody has it open.
        _ => Err("another process answers there: end it, or choose another path".to_owned()),
    }
}

/// Connects without waiting.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A socket that listens, put at its path in one step.
fn make(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Short, as the path of a socket may not be long.
    let draft = folder.join(format!(".{}", std::process::id()));
    if std::fs::symlink_metadata(&draft).is_ok_and(|left| left.file_type().is_socket()) {
        std::fs::remove_file(&draft)?;
    }
    socket.bind(&SockAddr::unix(&draft)?)?;
    let made = std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| std::fs::rename(&draft, path));
    if made.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    made.map(|()| UnixListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, inherited: &mut Inherited) -> Result<AdminSocket, String> {
        unix(path, 0o600, inherited)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_is_for_its_owner_and_goes_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = open(&path, &mut Inherited::default()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(knock(&path).is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        let why = open(&path, &mut Inherited::default()).err().unwrap();
        assert!(why.contains("another process answers there"), "{why}");
        first.remove();
        assert!(!path.exists());
        let group = unix(&path, 0o660, &mut Inherited::default()).unwrap();
        assert_eq!(mode(&path), 0o660);
        drop((first, group));
    }

    #[test]
    fn what_a_crash_left_is_replaced_and_what_is_no_socket_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(open(&path, &mut Inherited::default()).unwrap());
        assert!(path.exists(), "a process that crashed removes nothing");
        let again = open(&path, &mut Inherited::default()).unwrap();
        assert!(knock(&path).is_ok());
        // Another one in its place is not this one's to take away.
        std::fs::remove_file(&path).unwrap();
        let other = open(&path, &mut Inherited::default()).unwrap();
        again.remove();
        assert!(knock(&path).is_ok());
        other.remove();
        std::fs::write(&path, "mine").unwrap();
        let why = open(&path, &mut Inherited::default()).err().unwrap();
        assert!(why.contains("no socket"), "{why}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let why = open(&folder.path().join("gone/admin.sock"), &mut Inherited::default()).err().unwrap();
        assert!(why.contains("its folder is not there"), "{why}");
    }

    #[test]
    fn one_that_is_taken_over_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let before = open(&path, &mut Inherited::default()).unwrap();
        let (mut sockets, mut files) = (Vec::new(), Vec::new());
        before.offer(&mut sockets, &mut files).unwrap();
        let mut inherited = Inherited::new(sockets).with_files(files);
        let next = open(&path, &mut inherited).unwrap();
        assert_eq!((next.file, &next.address), (before.file, &before.address));
        assert_eq!(inherited.settle(), [NAME]);
    }
}
