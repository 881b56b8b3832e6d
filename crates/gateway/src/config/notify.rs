//! Who is told of what happens, as written.

use super::codes;
use super::diagnostic::Diagnostics;
use super::pairs::{Named, OneOrMany};
use super::place::Spanned;
use crate::values::{Duration, Secret, WebUrl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Receivers that are told at most.
const MOST: usize = 32;

/// Tells people what happens: by webhook, Slack, syslog or e-mail. The first message goes at once, what follows within `group` is
/// gathered into one. Sending never holds a request up: messages wait in a bounded queue, and each is tried five times.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Notify {
    /// How long what happens after a message is gathered until the next one to the same receiver. Default: 1m.
    pub group: Duration,
    /// The receivers, by name.
    pub receivers: Named<Receiver>,
}

impl Default for Notify {
    fn default() -> Self {
        Self { group: Duration::from_secs(60), receivers: Named::default() }
    }
}

/// One receiver: exactly one of `webhook`, `slack`, `syslog` and `smtp`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Receiver {
    /// What it is told of: `guard` (a client came to the level `limit` or above), `breaker` (a circuit opened), `certificate` (one
    /// expires), `configuration` (a change was rolled back), `acme` (no certificate could be ordered). Default: all.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub events: OneOrMany<NoticeKind>,
    /// A URL that gets a POST with JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Spanned<WebUrl>>,
    /// An incoming webhook of Slack, or of what takes the same JSON. It is a secret, and shown nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<Spanned<Secret>>,
    /// A syslog server (RFC 5424): `udp://127.0.0.1:514` or `tcp://logs.internal:601`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Spanned<String>>,
    /// A server for e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
    /// The secret by which a webhook knows that a message is of this gateway: `Tidegate-Signature: t=SECONDS,v1=HMAC`, HMAC being
    /// the HMAC-SHA256 of `SECONDS.BODY` in hexadecimal. Default: messages are not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Authorities that may certify the receiver, in PEM, instead of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// What may be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoticeKind {
    /// A client behaves abnormally.
    Guard,
    /// The circuit of a service opened.
    Breaker,
    /// A certificate expires, or has expired.
    Certificate,
    /// A change of the configuration was rolled back.
    Configuration,
    /// No certificate could be ordered.
    Acme,
}

impl NoticeKind {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Breaker => "breaker",
            Self::Certificate => "certificate",
            Self::Configuration => "configuration",
            Self::Acme => "acme",
        }
    }
}

/// A server for e-mail.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port. Default: 465 with `tls: implicit`, 25 with `tls: off`, else 587.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How it is spoken to: `starttls` (the default), `implicit`, or `off`.
    #[serde(default)]
    pub tls: SmtpTls,
    /// The user there. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Whom mails are from: `Tidegate <tidegate@shop.example>`.
    pub from: Spanned<String>,
    /// Whom they are to.
    pub to: OneOrMany<Spanned<String>>,
}

/// How a server for e-mail is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// In clear first, and under TLS before anything is said.
    #[default]
    StartTls,
    /// Under TLS.
    Implicit,
    /// In clear.
    Off,
}

impl Smtp {
    /// The port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            SmtpTls::StartTls => 587,
            SmtpTls::Implicit => 465,
            SmtpTls::Off => 25,
        })
    }
}

/// Whether a syslog server is spoken to over TCP, and where it is.
pub fn syslog_place(text: &str) -> Option<(bool, &str)> {
    let (tcp, place) = match (text.strip_prefix("udp://"), text.strip_prefix("tcp://")) {
        (Some(place), _) => (false, place),
        (_, Some(place)) => (true, place),
        _ => return None,
    };
    let (host, port) = place.rsplit_once(':')?;
    let sound =
        !host.is_empty() && !host.contains(['/', '@']) && port.parse::<u16>().is_ok_and(|port| port > 0);
    sound.then_some((tcp, place))
}

impl Notify {
    /// Reports what no type can know.
    pub(super) fn check(&self, diagnostics: &mut Diagnostics) {
        for (nth, (name, receiver)) in self.receivers.iter().enumerate() {
            if nth == MOST {
                let fault =
                    diagnostics.error(codes::BAD_VALUE, name.span(), format!("more than {MOST} receivers"));
                fault.help("let one of them tell the others");
            }
            diagnostics.within(format!("receiver `{name}`"), |diagnostics| receiver.check(name, diagnostics));
        }
    }
}

impl Receiver {
    fn check(&self, name: &Spanned<String>, diagnostics: &mut Diagnostics) {
        let ways = [self.webhook.is_some(), self.slack.is_some(), self.syslog.is_some(), self.smtp.is_some()];
        if ways.iter().filter(|is| **is).count() != 1 {
            let fault = diagnostics.error(codes::BAD_VALUE, name.span(), "a receiver is reached in one way");
            fault.help("write exactly one of `webhook`, `slack`, `syslog` and `smtp`");
        }
        if let Some(place) = self.syslog.as_ref().filter(|place| syslog_place(place).is_none()) {
            let text = format!("`{}` is not the address of a syslog server", place.escape_debug());
            let fault = diagnostics.error(codes::BAD_VALUE, place.span(), text);
            fault.help("write udp://HOST:PORT or tcp://HOST:PORT");
        }
        if let Some(url) = self.slack.as_ref().filter(|url| url.expose().parse::<WebUrl>().is_err()) {
            let fault = diagnostics.error(codes::BAD_VALUE, url.span(), "`slack` is not a URL to send to");
            fault.help("write the incoming webhook: https://hooks.slack.com/services/..");
        }
        let Some(smtp) = &self.smtp else { return };
        for address in smtp.to.iter().chain([&smtp.from]) {
            if address.parse::<lettre::message::Mailbox>().is_err() {
                let text = format!("`{}` is not an address for e-mail", address.escape_debug());
                let fault = diagnostics.error(codes::BAD_VALUE, address.span(), text);
                fault.help("write name@host, or `Some Name <name@host>`");
            }
        }
    }
}
