//! The handshake of a client: counted, bounded in time, and told of as far as the road needs to know.

use std::rc::Rc;

use crate::exchange::Secure;
use crate::http::buffer::Buffer;
use crate::http::socket::{HandshakeFault, Session, Socket};
use crate::observe::handshakes::Outcome;
use crate::snapshot::Listener;
use crate::tls::certificates::ACME_ALPN;
use crate::tls::identity;
use crate::tls::listener::ListenerTls;

/// What is known of a client once it may ask.
#[derive(Default)]
pub(super) struct Welcome {
    /// Its TLS connection; `None` in clear.
    pub secure: Option<Rc<Secure>>,
    /// What it has sent already.
    pub early: Buffer,
}

/// Shakes hands where the listener speaks TLS. `None` when the connection ends here.
pub(super) async fn welcome(socket: &mut Socket, listener: &Listener) -> Option<Welcome> {
    let Some(tls) = &listener.tls else { return Some(Welcome::default()) };
    let _active = tls.handshakes.begin();
    let Ok(session) = Session::server(tls.config()) else {
        tls.handshakes.count(Outcome::Broken);
        return None;
    };
    match socket.secure(session, listener.limits.handshake).await {
        Ok(()) => {}
        // The road tells the client what is wrong with that.
        Err(HandshakeFault::PlainHttp(early)) => {
            tls.handshakes.count(Outcome::PlainHttp);
            return Some(Welcome { secure: None, early });
        }
        Err(fault) => {
            let outcome = outcome(&fault);
            tls.handshakes.count(outcome);
            tracing::debug!(listener = %listener.name, ?outcome, reason = %reason(&fault), "no TLS connection");
            return None;
        }
    }
    known(socket, tls).map(|secure| Welcome { secure: Some(Rc::new(secure)), early: Buffer::default() })
}

/// What the session says of the client; `None` when it was there for a proof only, or its certificate has expired
/// since it was verified.
fn known(socket: &Socket, tls: &ListenerTls) -> Option<Secure> {
    let session = socket.session()?;
    let mut session = session.borrow_mut();
    let client_cert = match session.peer_certificates().and_then(|chain| chain.first()) {
        None => None,
        Some(certificate) => match identity::read(certificate) {
            Some(certificate) => Some(certificate),
            None => {
                tls.handshakes.count(Outcome::BadCertificate);
                return None;
            }
        },
    };
    let new = session.version() == Some(rustls::ProtocolVersion::TLSv1_3);
    tls.handshakes.count(match (new, session.is_resumed()) {
        (true, false) => Outcome::Full13,
        (true, true) => Outcome::Resumed13,
        (false, false) => Outcome::Full12,
        (false, true) => Outcome::Resumed12,
    });
    if session.alpn() == Some(ACME_ALPN) {
        return None;
    }
    Some(Secure {
        version: if new { "TLSv1.3" } else { "TLSv1.2" },
        cipher: session.cipher(),
        resumed: session.is_resumed(),
        server_name: session.take_server_name(),
        client_cert,
    })
}

fn outcome(fault: &HandshakeFault) -> Outcome {
    use rustls::Error;
    match fault {
        HandshakeFault::TimedOut => Outcome::Timeout,
        HandshakeFault::Gone => Outcome::Gone,
        HandshakeFault::TooLong => Outcome::TooLong,
        HandshakeFault::PlainHttp(_) => Outcome::PlainHttp,
        HandshakeFault::Refused(error) => match error {
            Error::NoCertificatesPresented => Outcome::NoCertificate,
            Error::InvalidCertificate(_) => Outcome::BadCertificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Outcome::Incompatible,
            // No certificate to show.
            Error::General(_) => Outcome::Incompatible,
            Error::AlertReceived(_) => Outcome::Refused,
            _ => Outcome::Broken,
        },
    }
}

fn reason(fault: &HandshakeFault) -> String {
    match fault {
        HandshakeFault::Refused(error) => error.to_string(),
        HandshakeFault::TimedOut => "not over in time".into(),
        HandshakeFault::Gone => "the client went away".into(),
        HandshakeFault::TooLong => "the client sent too much".into(),
        HandshakeFault::PlainHttp(_) => "the client speaks HTTP in clear".into(),
    }
}
