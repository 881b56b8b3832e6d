//! Brings a message to one receiver, once. Every way has an end in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use super::gather::Batch;
use super::text;
use crate::config::{self, SmtpTls, syslog_place};
use crate::identity::fetch::{Ask, Asker};
use crate::values::WebUrl;

/// Time for one try.
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 16 * 1024;

/// Why a message was not taken.
pub(super) enum Failure {
    /// Perhaps it is the next time.
    Passing(String),
    /// It never will be.
    Final(String),
}

/// A way to a receiver.
pub(super) enum Delivery {
    Web { asker: Box<Asker>, url: WebUrl, is_slack: bool, secret: Option<String> },
    Syslog { tcp: bool, place: String },
    Mail(Box<Mail>),
}

pub(super) struct Mail {
    transport: SmtpTransport,
    from: String,
    to: Vec<String>,
}

impl Delivery {
    /// The way that is written.
    pub(super) fn new(receiver: &config::Receiver) -> Result<Delivery, String> {
        let web = |url: WebUrl, is_slack: bool| {
            let asker = Box::new(Asker::new(receiver.ca.as_deref())?);
            let secret = receiver.secret.as_ref().map(|secret| secret.expose().to_owned());
            Ok(Delivery::Web { asker, url, is_slack, secret })
        };
        if let Some(url) = &receiver.webhook {
            return web((**url).clone(), false);
        }
        if let Some(url) = &receiver.slack {
            let url = url.expose().parse().map_err(|_| "`slack` is no URL".to_owned())?;
            return web(url, true);
        }
        if let Some((tcp, place)) = receiver.syslog.as_ref().and_then(|place| syslog_place(place)) {
            return Ok(Delivery::Syslog { tcp, place: place.to_owned() });
        }
        let smtp = receiver.smtp.as_ref().ok_or("it says no way")?;
        Ok(Delivery::Mail(Box::new(Mail::new(smtp, receiver.ca.as_deref())?)))
    }

    /// Sends a message.
    pub(super) async fn send(&self, batch: &Batch) -> Result<(), Failure> {
        match self {
            Delivery::Web { asker, url, is_slack, secret } => {
                let body = if *is_slack { text::slack(batch) } else { text::json(batch) }.to_string();
                post(asker, url, secret.as_deref(), body).await
            }
            Delivery::Syslog { tcp, place } => {
                let sent = tokio::time::timeout(WITHIN, log(*tcp, place, &text::syslog(batch))).await;
                let sent = sent.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
                sent.map_err(|error| Failure::Passing(format!("syslog: {error}")))
            }
            Delivery::Mail(mail) => {
                let message = mail.message(batch).map_err(Failure::Final)?;
                let transport = mail.transport.clone();
                let sent = tokio::task::spawn_blocking(move || transport.send(&message)).await;
                match sent {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) if error.is_permanent() => Err(Failure::Final(format!("SMTP: {error}"))),
                    Ok(Err(error)) => Err(Failure::Passing(format!("SMTP: {error}"))),
                    Err(_) => Err(Failure::Passing("SMTP: it broke off".to_owned())),
                }
            }
        }
    }
}

async fn post(asker: &Asker, url: &WebUrl, secret: Option<&str>, body: String) -> Result<(), Failure> {
    let signature = secret.map(|secret| {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        signature(secret, second, &body)
    });
    let mut fields = vec![("Content-Type", "application/json")];
    if let Some(signature) = &signature {
        fields.push(("Tidegate-Signature", signature));
    }
    let body = Some(body.into_bytes());
    let ask = Ask { url, fields: &fields, body, within: WITHIN, most: MOST_ANSWER };
    // The URL may be a secret: no message repeats it.
    match asker.ask(ask).await {
        Ok(told) if (200..300).contains(&told.status) => Ok(()),
        Ok(told) if matches!(told.status, 408 | 425 | 429 | 500..) => {
            Err(Failure::Passing(format!("it was answered with {}", told.status)))
        }
        Ok(told) => Err(Failure::Final(format!("it was answered with {}", told.status))),
        Err(error) => Err(Failure::Passing(error)),
    }
}

/// By which a receiver knows that a message is from here, and of when.
fn signature(secret: &str, second: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{second}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={second},v1={hex}")
}

/// One datagram for each line, or all on one connection, each with its length before it (RFC 6587 section 3.4.1).
async fn log(tcp: bool, place: &str, lines: &[String]) -> std::io::Result<()> {
    if tcp {
        let mut stream = TcpStream::connect(place).await?;
        for line in lines {
            stream.write_all(format!("{} {line}", line.len()).as_bytes()).await?;
        }
        return stream.shutdown().await;
    }
    let address = tokio::net::lookup_host(place).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).await?;
    for line in lines {
        socket.send_to(line.as_bytes(), address).await?;
    }
    Ok(())
}

impl Mail {
    fn new(smtp: &config::Smtp, ca: Option<&str>) -> Result<Mail, String> {
        let parameters = || {
            let mut builder = TlsParameters::builder(smtp.host.clone());
            if let Some(ca) = ca {
                let authority =
                    Certificate::from_pem(ca.as_bytes()).map_err(|_| "`ca` is broken".to_owned())?;
                builder = builder.add_root_certificate(authority);
            }
            builder.build().map_err(|error| format!("TLS: {error}"))
        };
        let tls = match smtp.tls {
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::Implicit => Tls::Wrapper(parameters()?),
            SmtpTls::Off => Tls::None,
        };
        let mut transport =
            SmtpTransport::builder_dangerous(&smtp.host).port(smtp.port()).tls(tls).timeout(Some(WITHIN));
        if let (Some(user), Some(password)) = (&smtp.user, &smtp.password) {
            transport = transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        let to = smtp.to.iter().map(|to| to.to_string()).collect();
        Ok(Mail { transport: transport.build(), from: smtp.from.to_string(), to })
    }

    fn message(&self, batch: &Batch) -> Result<Message, String> {
        let broken = |_| "an address is broken".to_owned();
        let mut message = Message::builder()
            .from(self.from.parse().map_err(broken)?)
            .subject(format!("[tidegate] {}", text::headline(batch)))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.parse().map_err(broken)?);
        }
        let body = format!("{}\n\nGateway: {}\n", text::list(batch), text::host());
        message.body(body).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_the_time_and_the_body() {
        let one = signature("secret", 5, "{}");
        // printf '5.{}' | openssl dgst -sha256 -hmac secret
        assert_eq!(one, "t=5,v1=f18d2fcd9a24151471e3e2d71bc7ce901fb7b89b341918a08f95e9ffc497ea26");
        assert_ne!(one, signature("secret", 6, "{}").replace("t=6", "t=5"));
        assert_ne!(one, signature("secret", 5, "[]"));
        assert_ne!(one, signature("other", 5, "{}"));
    }
}
