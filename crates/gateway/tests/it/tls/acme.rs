//! Certificates that are ordered: by both kinds of proof, kept on disk, and never taken away by a failure.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use testkit::client::Raw;
use testkit::gateway::Gateway;

use super::acme_authority::AcmeAuthority;

/// A gateway that orders from this authority and keeps what it gets in `folder`.
fn start(authority: &AcmeAuthority, challenge: &str, folder: &Path, domains: &str) -> Gateway {
    let gateway = testkit::gateway!(
        r#"
listeners:
  clear: {{ address: 127.0.0.1:0 }}
  web:
    address: 127.0.0.1:0
    tls:
      acme:
        domains: [{domains}]
        email: ops@shop.test
        directory: {directory}
        folder: {folder}
        challenge: {challenge}
        agree_to_terms: true
admin: {{ listen: 127.0.0.1:0 }}
routes:
  /*: {{ respond: here }}
"#,
        directory = authority.directory(),
        folder = folder.display(),
    );
    authority.names_lead_to(gateway.listener("clear"), gateway.listener("web"));
    gateway
}

#[track_caller]
fn is_served(gateway: &Gateway, authority: &AcmeAuthority, name: &str) {
    let client = Arc::new(authority.issuer.client(None));
    let mut raw = Raw::connect_tls(gateway.listener("web"), &client, name);
    assert_eq!(raw.get("/").read_response().text(), "here");
}

#[test]
fn a_certificate_is_ordered_by_either_proof_and_kept() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let (authority, folder) = (AcmeAuthority::start(), tempfile::tempdir().unwrap());
        let kept = folder.path().join("kept");
        let gateway = start(&authority, challenge, &kept, "shop.test, www.shop.test");
        gateway.wait_for_line(|line| line.contains("certificate ordered and taken over"));
        is_served(&gateway, &authority, "shop.test");
        is_served(&gateway, &authority, "www.shop.test");
        authority.assert_content();
        assert_eq!((authority.accounts(), authority.orders()), (1, 1));
        let after =
            testkit::client::get(gateway.listener("clear"), "/.well-known/acme-challenge/token-0-shop.test");
        assert_eq!(after.text(), "here", "a proof is gone when it has served");
        for entry in std::fs::read_dir(&kept).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(gateway);
        // The next process finds everything on disk.
        let next = AcmeAuthority::start();
        let gateway = start(&next, challenge, &kept, "shop.test, www.shop.test");
        is_served(&gateway, &authority, "shop.test");
        assert_eq!(next.orders(), 0);
    }
}

#[test]
fn a_failure_takes_nothing_away_and_another_name_is_ordered_with_the_same_account() {
    let (authority, folder) = (AcmeAuthority::start(), tempfile::tempdir().unwrap());
    let gateway = start(&authority, "http-01", folder.path(), "shop.test");
    gateway.wait_for_line(|line| line.contains("certificate ordered and taken over"));
    authority.refuse(true);
    let config = std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    gateway.rewrite_config(&config.replace("[shop.test]", "[shop.test, more.test]"));
    gateway.wait_for_line(|line| line.contains("no certificate was ordered, what is there stays"));
    is_served(&gateway, &authority, "shop.test");
    gateway.wait_metric("tidegate_tls_certificates_refused_total", |count| count == 1.0);
    authority.refuse(false);
    gateway.rewrite_config(&config.replace("[shop.test]", "[shop.test, other.test]"));
    gateway.wait_for_line(|line| line.contains("taken over") && line.contains("other.test"));
    is_served(&gateway, &authority, "other.test");
    assert_eq!(authority.accounts(), 1);
    authority.assert_content();
}
