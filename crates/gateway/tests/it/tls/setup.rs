//! What the tests of TLS begin with: an authority, its certificates in a folder, a gateway that shows them.

use std::sync::Arc;

use rustls::ClientConfig;
use testkit::client::Raw;
use testkit::gateway::{Gateway, Launch};
use testkit::origin::Origin;
use testkit::tls::{Authority, Issued};

/// A gateway under TLS and what its clients need.
pub(super) struct Secured {
    pub(super) authority: Authority,
    pub(super) gateway: Gateway,
    pub(super) client: Arc<ClientConfig>,
}

/// A gateway that is not started yet, with these certificates beside its configuration.
pub(super) fn launch(certificates: &[(&str, &Issued)]) -> Launch {
    let mut launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
    for (name, issued) in certificates {
        launch = launch.file(&format!("{name}.crt"), &issued.cert).file(&format!("{name}.key"), &issued.key);
    }
    launch
}

impl Secured {
    /// A gateway with these further words in `tls:` and these further lines, with a certificate for `shop.test`.
    pub(super) fn with(origin: &Origin, tls: &str, more: &str) -> Secured {
        let authority = Authority::new("the tests");
        let issued = authority.issue(&["shop.test"]);
        let gateway = launch(&[("shop", &issued)]).file("clients.pem", &authority.pem()).start(&format!(
            r#"
listeners:
  web:
    address: 127.0.0.1:0
    tls: {{ certificates: {{ cert: shop.crt, key: shop.key }}{tls} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services: {{ app: "{app}" }}
{more}
routes:
  /*:
    to: app
    headers: {{ request: {{ set: {{ X-Subject: "{{client_cert.subject}}", X-San: "{{client_cert.san}}", X-Print: "{{client_cert.fingerprint}}" }} }} }}
"#,
            app = origin.url()
        ));
        let client = Arc::new(authority.client(None));
        Secured { authority, gateway, client }
    }

    pub(super) fn in_front_of(origin: &Origin) -> Secured {
        Secured::with(origin, "", "")
    }

    #[track_caller]
    pub(super) fn connect(&self) -> Raw {
        Raw::connect_tls(self.gateway.addr(), &self.client, "shop.test")
    }

    /// A connection of a client that shows this certificate; `None` when it is refused, at once or at its first
    /// request.
    pub(super) fn served(&self, own: Option<&Issued>) -> Option<testkit::client::Response> {
        let client = Arc::new(self.authority.client(own));
        let mut raw = Raw::try_connect_tls(self.gateway.addr(), &client, "shop.test").ok()?;
        raw.get("/").try_read_response().ok()
    }

    /// Waits until handshakes have ended so.
    #[track_caller]
    pub(super) fn wait_for(&self, result: &str, count: f64) {
        let selector = format!("tidegate_tls_handshakes_total{{result=\"{result}\"}}");
        self.gateway.wait_metric(&selector, |found| found >= count);
    }
}
