//! Certificates of clients: who is let in, what services are told, and what nobody may claim.

use std::sync::Arc;

use testkit::client::Raw;
use testkit::origin::Origin;
use testkit::tls::{Authority, ExtendedKeyUsagePurpose, SanType, time};

use super::setup::{Secured, launch};

const REQUIRED: &str = ", client_ca: clients.pem, client_cert_header: true";

#[test]
fn a_client_with_a_certificate_is_known_to_the_service() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, REQUIRED, "");
    let own = secured.authority.issue_with(&["orders.internal"], |params| {
        params.subject_alt_names.push(SanType::URI("spiffe://shop/orders".try_into().unwrap()));
    });
    let client = Arc::new(secured.authority.client(Some(&own)));
    let mut raw = Raw::connect_tls(secured.gateway.addr(), &client, "shop.test");
    let forged =
        [("Client-Cert", ":Zm9yZ2Vk:"), ("client_cert", ":Zm9yZ2Vk:"), ("Client-Cert-Chain", ":Zm9yZ2Vk:")];
    raw.request("GET", "/", &forged, b"");
    assert_eq!(raw.read_response().status, 200);
    let request = origin.only_request();
    assert_eq!(request.headers_named("x-subject"), ["O=Tests, CN=orders.internal"]);
    assert_eq!(request.headers_named("x-san"), ["DNS:orders.internal,URI:spiffe://shop/orders"]);
    let print = request.headers_named("x-print")[0].to_owned();
    assert!(print.len() == 64 && print.bytes().all(|byte| byte.is_ascii_hexdigit()), "{print}");
    let body: String = own.cert.lines().filter(|line| !line.starts_with("---")).collect::<Vec<_>>().concat();
    assert_eq!(request.headers_named("client-cert"), [format!(":{body}:")]);
    assert!(!origin.received().contains("Zm9yZ2Vk"), "{}", origin.received());
}

/// J13: no certificate, one of a stranger, one that has ended, one for servers only, one with a zero byte in a name.
#[test]
fn who_cannot_be_believed_is_refused() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, REQUIRED, "");
    let authority = &secured.authority;
    assert!(secured.served(None).is_none());
    secured.wait_for("no_client_certificate", 1.0);
    let stranger = Authority::new("somebody else").issue(&["orders.internal"]);
    let ended = authority.issue_with(&["orders.internal"], |params| {
        params.not_before = time(0);
        params.not_after = time(86_400);
    });
    let server = authority.issue_with(&["orders.internal"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let zero = authority.issue_with(&["orders.internal"], |params| {
        params.subject_alt_names = vec![SanType::DnsName("victim\0.evil".try_into().unwrap())];
    });
    let comma = authority.issue_with(&["orders.internal"], |params| {
        params.subject_alt_names = vec![SanType::URI("a:b,DNS:victim".try_into().unwrap())];
    });
    for (number, own) in [stranger, ended, server, zero, comma].iter().enumerate() {
        assert!(secured.served(Some(own)).is_none(), "{number}");
        secured.wait_for("bad_client_certificate", number as f64 + 1.0);
    }
    assert_eq!(origin.received(), "");
    let good = authority.issue(&["orders.internal"]);
    assert_eq!(secured.served(Some(&good)).unwrap().status, 200);
}

#[test]
fn where_a_certificate_is_optional_none_is_no_fault_and_a_bad_one_is() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, &format!("{REQUIRED}, client_auth: optional"), "");
    assert_eq!(secured.served(None).unwrap().status, 200);
    let request = origin.only_request();
    assert!(request.headers_named("client-cert").is_empty(), "{request:?}");
    let stranger = Authority::new("somebody else").issue(&["orders.internal"]);
    assert!(secured.served(Some(&stranger)).is_none());
}

/// H13: a connection made for one host carries no request for another.
#[test]
fn where_certificates_are_asked_for_the_host_must_be_the_one_that_was_shaken_hands_for() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, REQUIRED, "");
    let own = secured.authority.issue(&["orders.internal"]);
    let client = Arc::new(secured.authority.client(Some(&own)));
    let mut raw = Raw::connect_tls(secured.gateway.addr(), &client, "shop.test");
    raw.request("GET", "/", &[("Host", "Shop.test:443")], b"");
    assert_eq!(raw.read_response().status, 200);
    raw.request("GET", "/", &[("Host", "other.test")], b"");
    let answer = raw.read_response();
    assert_eq!((answer.status, &answer.json()["type"]), (421, &"urn:tidegate:problem:misdirected".into()));
    assert_eq!(origin.requests().len(), 1);
}

/// CVE-2025-23419: a ticket of a listener that asks for nothing opens nothing on one that asks for a certificate.
#[test]
fn a_ticket_is_good_on_its_own_listener_only() {
    let authority = Authority::new("tickets");
    let issued = authority.issue(&["shop.test"]);
    let gateway = launch(&[("shop", &issued)]).file("clients.pem", &authority.pem()).start(
        r#"
listeners:
  open: { address: 127.0.0.1:0, tls: { certificates: { cert: shop.crt, key: shop.key } } }
  closed: { address: 127.0.0.1:0, tls: { certificates: { cert: shop.crt, key: shop.key }, client_ca: clients.pem } }
admin: { listen: 127.0.0.1:0 }
routes:
  /*: { respond: here }
"#,
    );
    let client = Arc::new(authority.client(None));
    for _ in 0..2 {
        let mut raw = Raw::connect_tls(gateway.listener("open"), &client, "shop.test");
        assert_eq!(raw.get("/").read_response().status, 200);
    }
    gateway.wait_metric("tidegate_tls_handshakes_total{listener=\"open\",result=\"resumed\"}", |n| n == 1.0);
    let refused = Raw::try_connect_tls(gateway.listener("closed"), &client, "shop.test")
        .map(|mut raw| raw.get("/").try_read_response());
    assert!(!matches!(refused, Ok(Ok(_))), "let in without a certificate");
    let selector = "tidegate_tls_handshakes_total{listener=\"closed\",result=\"no_client_certificate\"}";
    gateway.wait_metric(selector, |count| count == 1.0);
}

/// Another authority is taken over like a certificate, and tickets of before are good for nothing.
#[test]
fn another_authority_is_taken_over_without_a_reload() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, REQUIRED, "");
    let own = secured.authority.issue(&["orders.internal"]);
    let client = Arc::new(secured.authority.client(Some(&own)));
    let served = || {
        let mut raw = Raw::try_connect_tls(secured.gateway.addr(), &client, "shop.test").ok()?;
        raw.get("/").try_read_response().ok()
    };
    assert_eq!(served().unwrap().status, 200);
    let next = Authority::new("the next");
    let draft = secured.gateway.folder().join("draft");
    std::fs::write(&draft, next.pem()).unwrap();
    std::fs::rename(draft, secured.gateway.folder().join("clients.pem")).unwrap();
    secured.gateway.wait_metric("tidegate_tls_certificates_swapped_total", |count| count == 1.0);
    assert!(served().is_none());
    let own = next.issue(&["orders.internal"]);
    assert_eq!(secured.served(Some(&own)).unwrap().status, 200);
}
