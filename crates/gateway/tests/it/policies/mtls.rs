//! `mtls` on the wire: whose a certificate is, and that one of nobody is nobody's.

use std::sync::Arc;

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use testkit::tls::{Authority, Issued, SanType};

#[test]
fn a_certificate_is_that_of_a_consumer_or_of_nobody() {
    let (origin, authority) = (Origin::start(), Authority::new("the tests"));
    let server = authority.issue(&["shop.test"]);
    let gateway = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"))
        .file("shop.crt", &server.cert)
        .file("shop.key", &server.key)
        .file("clients.pem", &authority.pem())
        .start(&format!(
            r#"
listeners:
  web:
    address: 127.0.0.1:0
    tls: {{ certificates: {{ cert: shop.crt, key: shop.key }}, client_ca: clients.pem, client_auth: optional }}
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
consumers:
  orders: {{ groups: inner, mtls: {{ san: "URI:spiffe://shop/orders" }} }}
  stock: {{ mtls: [{{ san: "DNS:stock.internal", subject: "O=Tests, CN=stock.internal" }}] }}
routes:
  /*: {{ to: app, mtls: {{}} }}
  /maybe/*: {{ to: app, any_of: {{ of: [{{ mtls: {{}} }}], optional: true }} }}
"#,
            app = origin.url()
        ));
    let spiffe = |name: &str| {
        authority.issue_with(&["any.internal"], |params| {
            params.subject_alt_names.push(SanType::URI(name.try_into().unwrap()));
        })
    };
    let ask = |own: Option<&Issued>, path: &str| {
        let client = Arc::new(authority.client(own));
        let mut raw = Raw::connect_tls(gateway.addr(), &client, "shop.test");
        raw.request("GET", path, &[("X-Consumer", "root")], b"");
        raw.read_response()
    };
    let orders = spiffe("spiffe://shop/orders");
    for (own, consumer) in [
        (Some(&orders), Some("orders")),
        (Some(&authority.issue(&["stock.internal"])), Some("stock")),
        (Some(&spiffe("spiffe://shop/orders2")), None),
        (Some(&spiffe("spiffe://shop/order")), None),
        (Some(&authority.issue(&["other.internal", "stock.internal"])), None),
        (None, None),
    ] {
        let answer = ask(own, "/x");
        assert_eq!(
            answer.status,
            if consumer.is_some() { 200 } else { 401 },
            "{consumer:?}: {}",
            answer.text()
        );
        assert_eq!(ask(own, "/maybe/x").status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.headers_named("x-consumer"), consumer.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(origin.requests().iter().filter(|seen| seen.target == "/x").count(), 2);
}
