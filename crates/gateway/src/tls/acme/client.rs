//! How the authority is asked: one request on a connection of its own, bounded in time and bytes.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::{files, provider, target, versions};
use crate::config::TlsVersion;

/// Time for one request with its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const MOST: usize = 256 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks the authority.
pub(super) struct Client {
    tls: Arc<ClientConfig>,
}

impl Client {
    /// Believes these authorities, or those of the system.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Client, String> {
        let roots = match authorities {
            Some(path) => Arc::new(files::authorities(path)?),
            None => target::system_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(TlsVersion::V12))
            .map_err(|error| error.to_string())?;
        Ok(Client { tls: Arc::new(builder.with_root_certificates(roots).with_no_client_auth()) })
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let tls = self.tls.clone();
        Box::pin(async move {
            let asked = tokio::time::timeout(PATIENCE, ask(tls, request)).await;
            asked.unwrap_or_else(|late| Err(late.into())).map_err(Error::Other)
        })
    }
}

async fn ask(
    tls: Arc<ClientConfig>,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Failure> {
    let uri = request.uri().clone();
    let authority = uri.authority().ok_or("a URL of the authority has no host")?;
    let secure = uri.scheme_str() == Some("https");
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path)?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    let agent = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    if secure {
        let stream = TlsConnector::from(tls).connect(ServerName::try_from(host)?, stream).await?;
        converse(stream, request).await
    } else {
        converse(stream, request).await
    }
}

async fn converse<S>(stream: S, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MOST).collect().await?.to_bytes();
        Ok(BytesResponse { parts, body: Box::new(body) })
    };
    // The connection moves only as long as somebody waits for the answer.
    tokio::select! {
        answer = asked => answer,
        ended = connection => match ended {
            Ok(()) => Err("the authority ended without an answer".into()),
            Err(error) => Err(error.into()),
        },
    }
}
