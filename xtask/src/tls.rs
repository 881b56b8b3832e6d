//! TLS of the project's own measurements: a throw-away certificate, and clients that believe it and nothing else.
//! Takes a folder; gives files as proxies want them, and configurations of rustls.
//! It must never offer a key exchange that not every contender knows: X25519 alone is offered.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::{Failure, programs};

/// What a certificate is made of, in the language of openssl.
const REQUEST: &str = "[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = localhost\n\
[extensions]\nbasicConstraints = critical, CA:FALSE\nextendedKeyUsage = serverAuth\n\
subjectAltName = DNS:localhost, IP:127.0.0.1\n";

/// Writes `tls.crt`, `tls.key` (ECDSA, P-256) and both in `tls.pem`.
pub(crate) fn certificate(folder: &Path) -> Result<(), Failure> {
    let file = |name: &str| folder.join(name);
    let write = |name: &str, text: &str| fs::write(file(name), text).map_err(|e| format!("{name}: {e}"));
    let read = |name: &str| fs::read_to_string(file(name)).map_err(|e| format!("{name}: {e}"));
    write("tls.cnf", REQUEST)?;
    let openssl = programs::find("openssl").ok_or("openssl is not installed")?;
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-extensions", "extensions"]);
    command.arg("-config").arg(file("tls.cnf"));
    command.arg("-keyout").arg(file("tls.key")).arg("-out").arg(file("tls.crt"));
    let output = command.output().map_err(|e| format!("openssl: {e}"))?;
    if !output.status.success() {
        return Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)));
    }
    write("tls.pem", &(read("tls.crt")? + &read("tls.key")?))
}

/// A client of TLS 1.3 and HTTP/1.1 that believes the certificate of this folder. With `resume` it takes sessions up
/// again.
pub(crate) fn client(folder: &Path, resume: bool) -> Result<Arc<ClientConfig>, Failure> {
    let own = CertificateDer::from_pem_file(folder.join("tls.crt")).map_err(|e| format!("tls.crt: {e}"))?;
    let mut roots = RootCertStore::empty();
    roots.add(own).map_err(|e| format!("tls.crt: {e}"))?;
    let provider =
        CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..aws_lc_rs::default_provider() };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if !resume {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}
