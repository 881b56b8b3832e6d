//! Keys over TLS: the issuer's server must be certified by who is trusted, and be who it says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use testkit::client::request;
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use tidegate::identity::jose::Signer;

use crate::issuer::{bearer, token};

/// `openssl s_server`, which ends with the test.
struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of the files of a folder, whose certificate is its own and for this name.
fn serve(folder: &Path, name: &str) -> Server {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut command = Command::new("openssl");
    command.current_dir(folder).args([
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        "cert.pem",
        "-key",
        "key.pem",
    ]);
    let mut child = command.arg("-WWW").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let accepting = lines.find(|line| line.starts_with("ACCEPT")).unwrap();
    let port = accepting.rsplit(':').next().unwrap().trim().parse().unwrap();
    // It goes on talking, and must not be stopped by a pipe that nobody reads.
    std::thread::spawn(move || lines.for_each(drop));
    Server(child, port)
}

#[test]
fn keys_come_from_a_certified_server_only() {
    let (origin, key) = (Origin::start(), Signer::generate().unwrap());
    for (name, trusted, status) in [
        ("IP:127.0.0.1", true, 200),
        // Nobody certifies it.
        ("IP:127.0.0.1", false, 503),
        // It is somebody else.
        ("IP:127.0.0.2,DNS:localhost", true, 503),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys"), json!({ "keys": [key.jwk()] }).to_string()).unwrap();
        let server = serve(folder.path(), name);
        let ca = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
        let trust = if trusted { ", ca: \"${file:ca.pem}\"" } else { "" };
        let gateway =
            Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("ca.pem", &ca).start(&format!(
                r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /*: {{ to: app, jwt: {{ jwks_url: "https://127.0.0.1:{port}/keys", audience: shop{trust} }} }}
"#,
                app = origin.url(),
                port = server.1
            ));
        let good = bearer(&token(&key, "anybody", json!({})));
        let answer = request(gateway.addr(), "GET", "/x", &[("Authorization", &good)], b"");
        assert_eq!(answer.status, status, "{name}, trusted: {trusted}; {:?}", gateway.stderr());
    }
}
