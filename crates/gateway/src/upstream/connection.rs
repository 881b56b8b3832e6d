//! One connection to an endpoint: connecting, under TLS too, sending a head, receiving the heads of answers.
//!
//! Where both speak HTTP/1.1 it carries one exchange at a time and rests in the pool between them; where they have agreed
//! on HTTP/2 only its socket goes on (`http2`).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http1::{HeadLimits, Method, ResponseHead, ResponseParser};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::config;
use crate::fault::Fault;
use crate::http::incoming::Incoming;
use crate::http::proxy_protocol::{self, Version};
use crate::http::socket::{HandshakeFault, Protocol, Session, Socket};
use crate::http::timer::Timers;
use crate::tls::target::Peer;
use crate::upstream::service::EndpointSettings;

/// A connection to an endpoint.
pub struct Connection {
    /// What it receives.
    pub incoming: Incoming,
    parser: ResponseParser,
    /// Whether it carried an exchange before.
    pub reused: bool,
    /// Whether a byte of an answer has come for this exchange.
    pub heard: bool,
    /// The client it was announced for, if it began with a PROXY protocol header.
    pub announced: Option<Ends>,
}

/// Source and destination of a client's connection, as a service is told.
pub type Ends = (SocketAddr, SocketAddr);

impl Connection {
    /// Connects within the time: begins with a PROXY protocol header where one is to be sent, and shakes hands where the
    /// endpoint wants TLS. With `plain` nothing but HTTP/1.1 is offered.
    pub async fn open(
        endpoint: &EndpointSettings,
        plain: bool,
        within: Duration,
        timers: &Rc<Timers>,
        announce: Option<(Version, Ends)>,
    ) -> Result<Box<Connection>, Fault> {
        let started = Instant::now();
        let connect = async {
            let mut stream = TcpStream::connect(endpoint.address).await?;
            if let Some((version, (source, destination))) = announce {
                stream.write_all(&proxy_protocol::header(version, source, destination)).await?;
            }
            Ok(stream)
        };
        let stream = match tokio::time::timeout(within, connect).await {
            Ok(connected) => connected.map_err(|error| connect_fault(&error))?,
            Err(_) => return Err(Fault::ConnectTimeout),
        };
        let mut socket = Socket::new(stream, timers);
        if let Some(peer) = &endpoint.peer {
            let left = within.saturating_sub(started.elapsed());
            // On the heap, so that connections in clear do not carry the room of a handshake.
            Box::pin(shake_hands(&mut socket, peer, plain, left)).await?;
        }
        let socket = Rc::new(socket);
        Ok(Box::new(Connection {
            incoming: Incoming::new(socket),
            parser: ResponseParser::new(),
            reused: false,
            heard: false,
            announced: announce.map(|(_, ends)| ends),
        }))
    }

    /// Receives the next head of an answer, interim or final. The caller has armed the read timer.
    pub async fn head(
        &mut self,
        method: Method,
        limits: &HeadLimits,
        head: &mut ResponseHead,
    ) -> Result<(), Fault> {
        self.parser.reset();
        loop {
            if !self.incoming.input.is_empty() {
                let parsed = self.parser.parse(self.incoming.input.filled(), limits, method, head);
                if let Some(length) = parsed.map_err(Fault::AnswerHead)? {
                    self.incoming.input.consume(length);
                    return Ok(());
                }
            }
            let most = limits.head.saturating_add(limits.start_line);
            match self.incoming.socket.fill(&mut self.incoming.input, most).await {
                Ok(0) => return Err(Fault::NoAnswer),
                Ok(_) => self.heard = true,
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(Fault::AnswerTimeout),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(Fault::AnswerHead(http1::HeadError::HeadTooLong));
                }
                Err(_) => return Err(Fault::NoAnswer),
            }
        }
    }

    /// Waits for the head of the final answer and leaves it where it is, to be received by [`Connection::head`] with all that
    /// came before it; gives its status. The caller has armed the read timer.
    pub async fn await_head(&mut self, method: Method, limits: &HeadLimits) -> Result<u16, Fault> {
        let mut head = ResponseHead::default();
        let mut seen = 0_usize;
        self.parser.reset();
        loop {
            let input = self.incoming.input.filled().get(seen..).unwrap_or_default();
            if !input.is_empty()
                && let Some(length) =
                    self.parser.parse(input, limits, method, &mut head).map_err(Fault::AnswerHead)?
            {
                if !head.is_interim() {
                    return Ok(head.status);
                }
                seen = seen.saturating_add(length);
                continue;
            }
            let most = limits.head.saturating_add(limits.start_line);
            match self.incoming.socket.fill(&mut self.incoming.input, most).await {
                Ok(0) => return Err(Fault::NoAnswer),
                Ok(_) => self.heard = true,
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(Fault::AnswerTimeout),
                // Many interim heads: whoever receives them judges.
                Err(error) if error.kind() == ErrorKind::InvalidData && seen > 0 => return Ok(head.status),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(Fault::AnswerHead(http1::HeadError::HeadTooLong));
                }
                Err(_) => return Err(Fault::NoAnswer),
            }
        }
    }

    /// Whether HTTP/2 is spoken over it.
    pub fn is_http2(&self, endpoint: &EndpointSettings) -> bool {
        match endpoint.peer {
            Some(_) => self.incoming.socket.alpn() == Protocol::Http2,
            None => endpoint.protocol == config::Protocol::Http2,
        }
    }

    /// Gives back what a resting connection does not need.
    pub fn rest(&mut self) {
        self.incoming.socket.read_timer.disarm();
        self.incoming.input.release();
        (self.reused, self.heard) = (true, false);
    }
}

async fn shake_hands(socket: &mut Socket, peer: &Peer, plain: bool, within: Duration) -> Result<(), Fault> {
    let config = if plain { &peer.identity.http1 } else { &peer.identity.config };
    let session = Session::client(config.clone(), peer.name.clone());
    let session = session.map_err(|_| Fault::TargetTls)?;
    socket.secure(session, within).await.map_err(|fault| match fault {
        HandshakeFault::TimedOut => Fault::ConnectTimeout,
        HandshakeFault::Refused(rustls::Error::InvalidCertificate(_)) => Fault::TargetCertificate,
        _ => Fault::TargetTls,
    })
}

fn connect_fault(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::TimedOut => Fault::ConnectTimeout,
        _ => Fault::ConnectRefused,
    }
}
