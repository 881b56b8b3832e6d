//! Socket activation: systemd opens the sockets, and may keep them open while no gateway runs (`sd_listen_fds(3)`).

use std::io;

use listenfd::ListenFd;

use crate::accept::Offered;

/// The sockets that systemd opened for this process, by the names of `FileDescriptorName=`.
pub(super) fn from_systemd() -> io::Result<Vec<Offered>> {
    let mut given = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut offered = Vec::new();
    for place in 0..given.len() {
        let name = names.next().unwrap_or_default().to_owned();
        let taken = given.take_tcp_listener(place).map_err(|error| {
            io::Error::new(error.kind(), format!("socket `{name}` of systemd cannot be used: {error}"))
        })?;
        if let Some(socket) = taken {
            offered.push(Offered { name, wanted: None, kept: true, socket });
        }
    }
    Ok(offered)
}
