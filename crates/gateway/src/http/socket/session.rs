//! One TLS session: bytes of the wire on one side, bytes of HTTP on the other.
//!
//! Drives rustls without buffers of its own: what has come waits in borrowed buffers that are given back as soon as
//! they are empty, so that a resting session holds keys and nothing else. Never touches a socket.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, Error, HandshakeKind, ProtocolVersion, ServerConfig};

use crate::http::buffer::{Buffer, SIZE, give_out, take_out};

/// Bytes of one record (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// Plain bytes that are made into records for one write.
const BATCH: usize = 2 * RECORD;
/// What a record needs besides its bytes: 5 of head, 8 of nonce in TLS 1.2, 16 of tag, 1 of type in TLS 1.3.
const OVERHEAD: usize = 32;
/// A message of the handshake may have 64 KiB (rustls takes no longer one), and lies in whole in the buffer.
const MOST_HANDSHAKE: usize = 72 * 1024;
/// Bytes decrypted ahead of who takes them: all that fits into a full buffer of records.
const MOST_PLAIN: usize = 2 * MOST_HANDSHAKE;

thread_local! {
    static SERVER_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Whoever chooses a certificate tells here for which name (SNI): the session on whose behalf it was called takes it.
pub fn note_server_name(name: Option<&str>) {
    SERVER_NAME.with_borrow_mut(|noted| *noted = name.map(Into::into));
}

/// A session of either role.
pub struct Session {
    side: Side,
    /// Received, not yet decrypted.
    pub(super) raw: Buffer,
    /// Decrypted, not yet taken.
    plain: Buffer,
    /// Encrypted, not yet sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    end: End,
    /// Nothing more is decrypted or encrypted.
    failed: bool,
    server_name: Option<Box<str>>,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// How the peer's direction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// More may come.
    Open,
    /// The peer said that it sends no more (close_notify).
    Told,
    /// The connection ended without that word: what came may be less than was sent.
    Cut,
}

/// What to do once the session can send.
enum Want<'w> {
    Nothing,
    Seal(&'w [u8]),
    Farewell,
}

enum Step {
    Again,
    Plain,
    Rest,
}

impl Session {
    /// The side that was connected to.
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, Error> {
        Ok(Session::new(Side::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// The side that connected, to a peer that must prove to have this name.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Session, Error> {
        Ok(Session::new(Side::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    fn new(side: Side) -> Session {
        Session {
            side,
            raw: Buffer::default(),
            plain: Buffer::default(),
            out: Vec::new(),
            sent: 0,
            end: End::Open,
            failed: false,
            server_name: None,
        }
    }

    fn state(&self) -> &CommonState {
        match &self.side {
            Side::Server(server) => server,
            Side::Client(client) => client,
        }
    }

    /// Whether keys are still being agreed on.
    pub fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Whether this side was connected to.
    pub fn is_server(&self) -> bool {
        matches!(self.side, Side::Server(_))
    }

    /// The protocol agreed on by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// The version of TLS.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.state().protocol_version()
    }

    /// The cipher suite, as IANA names it; empty before there is one.
    pub fn cipher(&self) -> &'static str {
        use rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
        use rustls::CipherSuite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
        match self.state().negotiated_cipher_suite().map(|suite| suite.suite()) {
            // rustls has names of its own for these.
            Some(TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
            Some(TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
            Some(TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
            other => other.and_then(|suite| suite.as_str()).unwrap_or_default(),
        }
    }

    /// Whether the keys of an earlier session were taken up again.
    pub fn is_resumed(&self) -> bool {
        self.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The peer's certificates, its own first.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.state().peer_certificates()
    }

    /// The name the client asked for (SNI); taken out.
    pub fn take_server_name(&mut self) -> Option<Box<str>> {
        self.server_name.take()
    }

    /// How the peer's direction stands, once everything that came before has been read.
    pub fn end(&self) -> End {
        if self.plain.is_empty() { self.end } else { End::Open }
    }

    /// The wire has ended.
    pub fn wire_ended(&mut self) {
        if self.end == End::Open {
            self.end = End::Cut;
        }
    }

    /// Room for bytes from the wire; none when the peer has sent more of one message than is taken.
    pub fn room(&mut self) -> &mut [u8] {
        let most = if self.is_handshaking() { MOST_HANDSHAKE } else { SIZE };
        self.raw.spare(most)
    }

    /// Gives back what is not needed while nothing comes.
    pub fn rest(&mut self) {
        self.raw.release();
        self.raw.shrink();
        self.plain.release();
    }

    /// Decrypts what has come into `into`, which may hold `most` waiting bytes; gives how many were added.
    pub fn read(&mut self, into: &mut Buffer, most: usize) -> Result<usize, Error> {
        let before = into.len();
        let left = into.append(self.plain.filled(), most).len();
        self.plain.consume(self.plain.len().saturating_sub(left));
        if self.plain.is_empty() && !self.raw.is_empty() {
            self.advance(Some((into, most)), &Want::Nothing)?;
        }
        Ok(into.len().saturating_sub(before))
    }

    /// Decrypts what has come, or takes the handshake on. True when something can be read, or has begun to come.
    pub fn look(&mut self) -> Result<bool, Error> {
        if self.plain.is_empty() && (!self.raw.is_empty() || self.is_handshaking()) {
            self.advance(None, &Want::Nothing)?;
        }
        Ok(!self.plain.is_empty() || !self.raw.is_empty() || self.end != End::Open)
    }

    /// Encrypts the next bytes of these pieces, from `done` on; gives how many were.
    pub fn seal(&mut self, pieces: &[&[u8]], mut done: usize) -> Result<usize, Error> {
        let start = done;
        let mut gathered = take_out();
        while done.saturating_sub(start) < BATCH {
            let Some(slice) = next_record(pieces, done, &mut gathered) else { break };
            self.advance(None, &Want::Seal(slice))?;
            done = done.saturating_add(slice.len());
        }
        give_out(gathered);
        Ok(done.saturating_sub(start))
    }

    /// Says to the peer that nothing more comes (close_notify).
    pub fn farewell(&mut self) {
        // A session that failed has said why instead.
        let _ = self.advance(None, &Want::Farewell);
    }

    /// What waits to be sent.
    pub fn waiting(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// So much of it was sent.
    pub fn taken(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.sent >= self.out.len() {
            self.sent = 0;
            give_out(std::mem::take(&mut self.out));
        }
    }

    /// Lets rustls see what has come until it needs more, or until there is no more room for what it decrypts.
    fn advance(&mut self, mut into: Option<(&mut Buffer, usize)>, want: &Want<'_>) -> Result<(), Error> {
        if self.failed {
            return Err(Error::General("the session has failed".into()));
        }
        if self.out.capacity() == 0 {
            self.out = take_out();
        }
        loop {
            let raw = self.raw.filled_mut();
            let (discard, step) = match &mut self.side {
                Side::Server(server) => step(
                    server.process_tls_records(raw),
                    &mut into,
                    &mut self.plain,
                    &mut self.out,
                    want,
                    &mut self.end,
                ),
                Side::Client(client) => step(
                    client.process_tls_records(raw),
                    &mut into,
                    &mut self.plain,
                    &mut self.out,
                    want,
                    &mut self.end,
                ),
            };
            self.raw.consume(discard);
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Plain) => {
                    let full = into.as_mut().is_some_and(|(into, most)| into.spare(*most).is_empty());
                    if full || !self.plain.is_empty() && into.is_some() {
                        break;
                    }
                }
                Ok(Step::Rest) => break,
                Err(error) => {
                    (self.end, self.failed) = (End::Cut, true);
                    self.last_words();
                    return Err(error);
                }
            }
        }
        if self.is_server() && self.server_name.is_none() {
            self.server_name = SERVER_NAME.take();
        }
        if self.out.is_empty() {
            give_out(std::mem::take(&mut self.out));
        }
        Ok(())
    }

    /// The alert that tells the peer why the session failed.
    fn last_words(&mut self) {
        let (mut none, mut end) = (None, End::Cut);
        // Only as long as something waits: rustls would look at what it failed on again.
        while self.state().wants_write() {
            let (raw, plain, out) = (self.raw.filled_mut(), &mut self.plain, &mut self.out);
            let (_, step) = match &mut self.side {
                Side::Server(server) => {
                    step(server.process_tls_records(raw), &mut none, plain, out, &Want::Nothing, &mut end)
                }
                Side::Client(client) => {
                    step(client.process_tls_records(raw), &mut none, plain, out, &Want::Nothing, &mut end)
                }
            };
            if step.is_err() {
                return;
            }
        }
    }
}

/// What comes next of the pieces, `done` bytes of which are encrypted: straight from a piece that fills a record, or
/// is the last, else gathered.
fn next_record<'p>(pieces: &[&'p [u8]], done: usize, gathered: &'p mut Vec<u8>) -> Option<&'p [u8]> {
    let mut skip = done;
    gathered.clear();
    for (place, piece) in pieces.iter().enumerate() {
        let rest = piece.get(skip.min(piece.len())..).unwrap_or_default();
        skip = skip.saturating_sub(piece.len());
        if rest.is_empty() {
            continue;
        }
        let is_last = pieces.iter().skip(place.saturating_add(1)).all(|later| later.is_empty());
        if gathered.is_empty() && (is_last || rest.len() >= RECORD) {
            let whole = if is_last { rest.len().min(BATCH) } else { rest.len().min(BATCH) / RECORD * RECORD };
            return rest.get(..whole);
        }
        let count = rest.len().min(RECORD.saturating_sub(gathered.len()));
        gathered.extend_from_slice(rest.get(..count).unwrap_or_default());
        if gathered.len() >= RECORD {
            break;
        }
    }
    Some(&gathered[..]).filter(|gathered| !gathered.is_empty())
}

/// One step of rustls, and how many received bytes are done with.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    into: &mut Option<(&mut Buffer, usize)>,
    plain: &mut Buffer,
    out: &mut Vec<u8>,
    want: &Want<'_>,
    end: &mut End,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state, .. } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard = discard.saturating_add(record.discard);
                    let left = match into {
                        Some((into, most)) if plain.is_empty() => into.append(record.payload, *most),
                        _ => record.payload,
                    };
                    if !plain.append(left, MOST_PLAIN).is_empty() {
                        break Err(Error::General("more was decrypted than is taken".into()));
                    }
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::Plain),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => room_for(out, 0, |room| match data.encode(room) {
            Err(EncodeError::InsufficientSize(error)) => Err(Some(error.required_size)),
            Err(EncodeError::AlreadyEncoded) => Err(None),
            Ok(count) => Ok(count),
        })
        .map(|()| Step::Again),
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            // It stands in `out`, which goes out before anything else does.
            transmit.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => {
            if *end == End::Open {
                *end = End::Told;
            }
            Ok(Step::Again)
        }
        Ok(ConnectionState::WriteTraffic(traffic)) => write(traffic, out, want).map(|()| Step::Rest),
        // Early data is never asked for.
        Ok(ConnectionState::ReadEarlyData(_)) => Err(Error::General("unasked early data".into())),
        Ok(_) if matches!(want, Want::Seal(_)) => Err(Error::HandshakeNotComplete),
        Ok(_) => Ok(Step::Rest),
    };
    (discard, step)
}

/// Encrypts what is wanted behind what waits.
fn write<Data>(mut traffic: WriteTraffic<'_, Data>, out: &mut Vec<u8>, want: &Want<'_>) -> Result<(), Error> {
    let sealed = |sealed| match sealed {
        Err(EncryptError::InsufficientSize(error)) => Err(Some(error.required_size)),
        Err(EncryptError::EncryptExhausted) => Err(None),
        Ok(count) => Ok(count),
    };
    match want {
        Want::Nothing => Ok(()),
        Want::Seal(bytes) => {
            let records = bytes.len().div_ceil(RECORD);
            let guess = bytes.len().saturating_add(records.saturating_mul(OVERHEAD));
            room_for(out, guess, |room| sealed(traffic.encrypt(bytes, room)))
        }
        Want::Farewell => room_for(out, 64, |room| sealed(traffic.queue_close_notify(room))),
    }
}

/// Lets `write` fill room behind what stands in `out`, with more room when it asks for it.
fn room_for(
    out: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let start = out.len();
    let mut room = guess;
    for _ in 0..3 {
        let end = start.saturating_add(room);
        out.reserve_exact(end.saturating_sub(out.len()));
        out.resize(end, 0);
        match write(out.get_mut(start..).unwrap_or_default()) {
            Ok(count) => {
                out.truncate(start.saturating_add(count));
                return Ok(());
            }
            Err(Some(wanted)) => room = wanted.max(room.saturating_add(1)),
            Err(None) => break,
        }
    }
    out.truncate(start);
    Err(Error::EncryptError)
}
