//! Asks other servers on behalf of the control side: keys, metadata, tokens.
//!
//! One request on a connection of its own, by HTTP/1.1, over TLS where the URL says so. Every answer has an end in time
//! and in bytes; no redirection is followed, because it would lead where nobody configured. Must not run on a worker.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::values::WebUrl;

/// What to ask.
pub struct Ask<'a> {
    /// Where.
    pub url: &'a WebUrl,
    /// Further header lines.
    pub fields: &'a [(&'a str, &'a str)],
    /// The body of a POST; none for a GET.
    pub body: Option<Vec<u8>>,
    /// Time for all of it.
    pub within: Duration,
    /// Most bytes of the answer.
    pub most: usize,
}

/// What was answered.
pub struct Told {
    /// Status code.
    pub status: u16,
    /// For how long `Cache-Control` lets it be kept.
    pub max_age: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Asks servers; those of `https` must prove who they are.
#[derive(Clone)]
pub struct Asker {
    tls: Arc<ClientConfig>,
}

impl Asker {
    /// Trusts these authorities, in PEM, or those of the system when there are none. Reads files of the system.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn new(authorities: Option<&str>) -> Result<Asker, String> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate =
                        certificate.map_err(|_| "a certificate in `ca` is broken".to_owned())?;
                    roots.add(certificate).map_err(|error| format!("a certificate in `ca`: {error}"))?;
                }
            }
            None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Asker { tls: Arc::new(tls) })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why there is no answer, in words that hold nothing secret.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Told, String> {
        let within = ask.within;
        match tokio::time::timeout(within, self.try_to_ask(ask)).await {
            Ok(told) => told,
            Err(_) => Err(format!("no answer within {within:?}")),
        }
    }

    async fn try_to_ask(&self, ask: Ask<'_>) -> Result<Told, String> {
        let host = ask.url.host();
        let tcp = TcpStream::connect((host, ask.url.port()))
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        if !ask.url.is_https() {
            return converse(tcp, ask).await;
        }
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| "the host is no name for TLS".to_owned())?;
        let connector = TlsConnector::from(self.tls.clone());
        let tls = connector.connect(name, tcp).await.map_err(|error| format!("TLS: {error}"))?;
        converse(tls, ask).await
    }
}

async fn converse<S>(stream: S, ask: Ask<'_>) -> Result<Told, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("not HTTP: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let connection = Aborted(tokio::spawn(connection));
    let mut request = Request::builder()
        .method(if ask.body.is_some() { "POST" } else { "GET" })
        .uri(ask.url.target())
        .header(header::HOST, ask.url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    for (name, value) in ask.fields {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(ask.body.unwrap_or_default()));
    let request = request.body(body).map_err(|_| "a header cannot be sent".to_owned())?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    let caching = answer.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let max_age = caching.and_then(max_age);
    let body = Limited::new(answer.into_body(), ask.most).collect().await;
    let body =
        body.map_err(|error| format!("the answer is broken, or longer than {} bytes: {error}", ask.most))?;
    drop(connection);
    Ok(Told { status, max_age, body: body.to_bytes().to_vec() })
}

/// Ends with its owner: nothing goes on behind the back of a deadline.
struct Aborted(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn max_age(caching: &str) -> Option<Duration> {
    let seconds = caching.split(',').find_map(|word| word.trim().strip_prefix("max-age="))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}
