//! Services over HTTP/2: what crosses in each pairing of versions, how connections are shared, and how they end.

mod endings;
mod exchanges;
mod hedges;
pub(crate) mod origin;
mod sharing;

use testkit::gateway::Gateway;

use origin::Service;

/// A gateway whose listener takes both versions and whose service speaks HTTP/2; `more` stands among its settings.
pub(crate) fn in_front_of(service: &Service, more: &str) -> Gateway {
    testkit::gateway!(
        r#"
listeners: {{ web: {{ address: "127.0.0.1:0", http2: true }} }}
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
services:
  app: {{ targets: "{app}", protocol: http2{more} }}
routes:
  /*: {{ to: app }}
"#,
        app = service.url()
    )
}
