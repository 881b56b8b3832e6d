//! A throw-away authority for `tidegate demo --tls`, and the certificate it signs.
//!
//! Made anew for each demo, in a folder that only the user can read and that goes with the demo. Nobody else believes
//! it, and its key is forgotten as soon as it has signed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

/// What the certificate is for.
const NAMES: [&str; 4] = ["localhost", "shop.localhost", "127.0.0.1", "::1"];
/// How long both are good.
const LIFE: Duration = Duration::from_secs(90 * 86_400);

/// The files of a demo; they go when this is dropped.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes authority and certificate.
    pub(crate) fn make() -> io::Result<Certificates> {
        let folder = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
        // What a demo of the same number left behind, if it was killed.
        let _ = fs::remove_dir_all(&folder);
        DirBuilder::new().mode(0o700).create(&folder)?;
        let certificates = Certificates { folder };
        let (ca, cert, key) = sign().map_err(io::Error::other)?;
        fs::write(certificates.authority(), ca)?;
        fs::write(certificates.file("shop.crt"), cert)?;
        fs::write(certificates.file("shop.key"), key)?;
        Ok(certificates)
    }

    /// The file that clients are to believe.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// What is added to the demo's configuration.
    pub(crate) fn listener(&self, port: u16) -> String {
        let path = |name: &str| self.file(name).display().to_string().replace('"', "");
        format!(
            "\nlisteners:\n  secure:\n    address: 127.0.0.1:{port}\n    tls: {{ certificates: {{ cert: \"{}\", key: \"{}\" }} }}\n",
            path("shop.crt"),
            path("shop.key")
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Authority, certificate and key, as PEM.
fn sign() -> Result<(String, String, String), rcgen::Error> {
    let mut params = params("Tidegate demo authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = self::params("Tidegate demo");
    for name in NAMES {
        params.subject_alt_names.extend(CertificateParams::new(vec![name.to_owned()])?.subject_alt_names);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &issuer)?;
    Ok((issuer.pem(), cert.pem(), key.serialize_pem()))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    // Clocks differ.
    params.not_before = (now - Duration::from_secs(3_600)).into();
    params.not_after = (now + LIFE).into();
    params
}
