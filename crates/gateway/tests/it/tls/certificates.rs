//! Which certificate is shown, and how another takes its place.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use testkit::tls::{Authority, Issued};

use super::setup::{Secured, launch};
use crate::setup::tidegate;

/// What a client that asks for this name is shown.
#[track_caller]
fn shown(gateway: &Gateway, authority: &Authority, name: &str) -> Vec<u8> {
    let raw = &mut Raw::connect_tls(gateway.addr(), &Arc::new(authority.client(None)), name);
    raw.wire().tls().unwrap().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn the_name_asked_for_chooses_exact_before_wildcard() {
    let authority = Authority::new("names");
    let (plain, wild, deep) = (
        authority.issue(&["shop.test", "127.0.0.1"]),
        authority.issue(&["*.shop.test"]),
        authority.issue(&["api.shop.test", "Upper.Shop.test"]),
    );
    let gateway = launch(&[("plain", &plain), ("wild", &wild), ("deep", &deep)]).start(
        r#"
listeners:
  web:
    address: 127.0.0.1:0
    tls:
      certificates:
        - { cert: plain.crt, key: plain.key }
        - { cert: wild.crt, key: wild.key }
        - { cert: deep.crt, key: deep.key }
routes:
  /*: { respond: here }
admin: { listen: 127.0.0.1:0 }
"#,
    );
    for (name, wanted) in [
        ("shop.test", &plain),
        ("api.shop.test", &deep),
        ("upper.shop.test", &deep),
        ("other.shop.test", &wild),
        // No name at all: an address is none.
        ("127.0.0.1", &plain),
    ] {
        assert!(shown(&gateway, &authority, name) == wanted.der().to_vec(), "{name}");
    }
    // A wildcard stands for one label, and what nobody has gets the first.
    let address = gateway.addr().to_string();
    for name in ["a.b.shop.test", "elsewhere.example"] {
        let told = s_client(&["-connect", &address, "-servername", name]);
        assert!(told.contains("subject=O = Tests, CN = shop.test"), "{name}: {told}");
    }
}

/// What `openssl s_client` says with these words.
fn s_client(words: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.arg("s_client").args(words).stdin(Stdio::null());
    let output = command.output().expect("openssl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn both_versions_are_spoken_with_tickets_and_no_older_one() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let address = secured.gateway.addr().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (version, protocol) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = s_client(&["-connect", &address, "-servername", "shop.test", version]);
        assert!(told.contains(&format!("New, {protocol}, Cipher is ")), "{told}");
        let session = folder.path().join(version).to_str().unwrap().to_owned();
        // The tickets of TLS 1.3 come behind the handshake: something is asked, so that they are read.
        let ask = |more: [&str; 2]| {
            let mut child = Command::new("openssl")
                .args(["s_client", "-connect", &address, "-servername", "shop.test", version, "-ign_eof"])
                .args(more)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
            std::io::Write::write_all(child.stdin.as_mut().unwrap(), request).unwrap();
            String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
        };
        assert!(ask(["-sess_out", &session]).contains("HTTP/1.1 200"), "{version}");
        let again = ask(["-sess_in", &session]);
        assert!(again.contains(&format!("Reused, {protocol}")), "{again}");
    }
    let told = s_client(&["-connect", &address, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(told.contains("Cipher is (NONE)"), "{told}");
    secured.wait_for("resumed", 2.0);
    secured.wait_for("incompatible", 1.0);
}

#[test]
fn a_listener_for_the_new_version_speaks_no_older_one() {
    let origin = Origin::start();
    let secured = Secured::with(&origin, ", min_version: 1.3", "");
    let told = s_client(&["-connect", &secured.gateway.addr().to_string(), "-tls1_2"]);
    assert!(told.contains("Cipher is (NONE)"), "{told}");
    assert_eq!(secured.connect().get("/").read_response().status, 200);
}

#[test]
fn a_new_pair_is_shown_and_open_connections_go_on() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let (gateway, authority) = (&secured.gateway, &secured.authority);
    let mut old = secured.connect();
    assert_eq!(old.get("/").read_response().status, 200);
    let next = authority.issue(&["shop.test"]);
    next.write(gateway.folder(), "shop");
    gateway.wait_metric("tidegate_tls_certificates_swapped_total{listener=\"web\"}", |count| count == 1.0);
    assert!(shown(gateway, authority, "shop.test") == next.der().to_vec());
    assert_eq!(old.get("/").read_response().status, 200);
}

/// O14: a mismatched key, a truncated file, no file at all: refused, told, counted, and nobody notices.
#[test]
fn a_bad_pair_is_refused_and_the_one_before_stays() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let (gateway, authority) = (&secured.gateway, &secured.authority);
    let before = shown(gateway, authority, "shop.test");
    let other = authority.issue(&["shop.test"]);
    let good = std::fs::read_to_string(gateway.folder().join("shop.crt")).unwrap();
    let bad = [
        (other.cert.clone(), "does not belong to the certificate"),
        (good[..200].to_owned(), "the file may be cut off"),
        ("nothing".to_owned(), "holds no certificate"),
    ];
    for (number, (cert, reason)) in bad.iter().enumerate() {
        std::fs::write(gateway.folder().join("draft"), cert).unwrap();
        std::fs::rename(gateway.folder().join("draft"), gateway.folder().join("shop.crt")).unwrap();
        gateway.wait_metric("tidegate_tls_certificates_refused_total", |count| count >= number as f64 + 1.0);
        gateway.wait_for_line(|line| line.contains("the one before stays") && line.contains(reason));
        assert!(shown(gateway, authority, "shop.test") == before, "{reason}");
    }
    std::fs::remove_file(gateway.folder().join("shop.crt")).unwrap();
    gateway.wait_for_line(|line| line.contains("the one before stays: cannot read"));
    assert!(shown(gateway, authority, "shop.test") == before);
    other.write(gateway.folder(), "shop");
    gateway.wait_metric("tidegate_tls_certificates_swapped_total", |count| count >= 1.0);
    assert!(shown(gateway, authority, "shop.test") == other.der().to_vec());
}

#[test]
fn a_certificate_near_its_end_is_warned_of_and_its_end_is_told() {
    let authority = Authority::new("times");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ending = |days: i64| {
        authority.issue_with(&["shop.test"], |params| {
            let end = now as i64 + days * 86_400 + 3600;
            params.not_before = rcgen_time(end - 90 * 86_400);
            params.not_after = rcgen_time(end);
        })
    };
    let certificates: Vec<(String, Issued)> =
        [-2, 2, 13, 29, 40].map(|days| (format!("in{days}"), ending(days))).into();
    let written: String = certificates
        .iter()
        .map(|(name, _)| format!("        - {{ cert: {name}.crt, key: {name}.key }}\n"))
        .collect();
    let named: Vec<_> = certificates.iter().map(|(name, issued)| (name.as_str(), issued)).collect();
    let gateway = launch(&named).start(&format!(
        "listeners:\n  web:\n    address: 127.0.0.1:0\n    tls:\n      certificates:\n{written}\
         routes: {{ /*: {{ respond: here }} }}\nadmin: {{ listen: 127.0.0.1:0 }}\n"
    ));
    for wanted in
        ["in2.crt the certificate expires in 3", "in13.crt the certificate expires in 14", "in29.crt"]
    {
        let file = wanted.split(' ').next().unwrap();
        gateway.wait_for_line(|line| line.contains(file) && line.contains("the certificate expires in"));
    }
    gateway
        .wait_for_line(|line| line.contains("in-2.crt") && line.contains("has expired: clients refuse it"));
    assert!(!gateway.stderr().iter().any(|line| line.contains("in40.crt")));
    let ends =
        gateway.metrics().sum("tidegate_tls_certificate_not_after_timestamp_seconds{subject=\"shop.test\"}");
    let wanted: i64 = [-2, 2, 13, 29, 40].iter().map(|days| now as i64 + days * 86_400 + 3600).sum();
    assert_eq!(ends, wanted as f64);
}

fn rcgen_time(seconds: i64) -> testkit::tls::Time {
    testkit::tls::time(seconds)
}

/// A hundred certificates one after the other, while clients shake hands all the time: none of them fails.
#[test]
fn a_hundred_swaps_under_load_fail_no_handshake() {
    let origin = Origin::start();
    let secured = Secured::in_front_of(&origin);
    let (gateway, authority) = (&secured.gateway, &secured.authority);
    let (over, shaken) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut seen = 0;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        // A configuration of its own: no ticket, so a full handshake.
                        let client = Arc::new(authority.client(None));
                        let raw = Raw::try_connect_tls(gateway.addr(), &client, "shop.test");
                        let mut raw = raw.unwrap_or_else(|error| panic!("a handshake failed: {error}"));
                        assert_eq!(raw.get("/").read_response().status, 200);
                        shaken.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for swap in 1..=100 {
            authority.issue(&["shop.test"]).write(gateway.folder(), "shop");
            gateway.signal(testkit::gateway::Signal::HUP);
            gateway.wait_metric("tidegate_tls_certificates_swapped_total", |count| count >= f64::from(swap));
            seen = swap;
            if clients.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen, 100);
    let page = gateway.metrics();
    let all = page.sum("tidegate_tls_handshakes_total");
    assert_eq!(
        all,
        page.sum("tidegate_tls_handshakes_total{result=\"full\"}"),
        "no handshake ended otherwise"
    );
    assert!(shaken.load(Ordering::Relaxed) >= 100, "{shaken:?} handshakes are no load");
}

/// At the start one bad pair among good ones is a fault, told with its file: a name would be served under the wrong
/// certificate. The same pair in a configuration given later changes nothing of what runs.
#[test]
fn a_bad_pair_beside_good_ones_is_told_at_the_start_and_refused_later() {
    let origin = Origin::start();
    let authority = Authority::new("the tests");
    let (shop, api) = (authority.issue(&["shop.test"]), authority.issue(&["api.test"]));
    let text = |pairs: &[&str]| {
        let listed: String =
            pairs.iter().map(|pair| format!("{{ cert: {pair}.crt, key: {pair}.key }}, ")).collect();
        format!(
            "listeners: {{ web: {{ address: 127.0.0.1:0, tls: {{ certificates: [{listed}] }} }} }}\n\
             admin: {{ listen: 127.0.0.1:0 }}\nservices: {{ app: \"{}\" }}\nroutes: {{ /*: {{ to: app }} }}\n",
            origin.url()
        )
    };
    let folder = tempfile::tempdir().unwrap();
    shop.write(folder.path(), "shop");
    // The certificate of one with the key of the other.
    std::fs::write(folder.path().join("bad.crt"), &api.cert).unwrap();
    std::fs::write(folder.path().join("bad.key"), &shop.key).unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), text(&["shop", "bad"])).unwrap();
    let told = tidegate(folder.path(), &["run"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("bad.key` does not belong to the certificate"), "{}", told.stderr);
    assert!(told.stderr.contains("The gateway does not start."), "{}", told.stderr);
    let launch = launch(&[("shop", &shop)]).file("bad.crt", &api.cert).file("bad.key", &shop.key);
    let gateway = launch.start(&text(&["shop"]));
    let before = shown(&gateway, &authority, "shop.test");
    gateway.rewrite_config(&text(&["shop", "bad"]));
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"failure\"}", |count| count >= 1.0);
    gateway.wait_for_line(|line| line.contains("does not belong to the certificate"));
    assert!(shown(&gateway, &authority, "shop.test") == before);
    api.write(gateway.folder(), "bad");
    gateway.reload();
    gateway.wait_metric("tidegate_config_reloads_total{result=\"success\"}", |count| count >= 1.0);
    assert!(shown(&gateway, &authority, "api.test") == api.der().to_vec());
}
