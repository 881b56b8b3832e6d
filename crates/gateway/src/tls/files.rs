//! Files of TLS: read whole, within bounds, and told apart from their later selves.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The largest file that is read: a store of all public authorities has a quarter of that.
const MOST: u64 = 1024 * 1024;

/// What tells two states of files apart: a file put in the place of another may have its time and its length.
pub type State = Vec<Option<(SystemTime, u64, u64)>>;

/// How files are now.
pub fn state(paths: &[&Path]) -> State {
    let facts = |path: &&Path| {
        let facts = fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len(), facts.ino()))
    };
    paths.iter().map(facts).collect()
}

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
    if fs::metadata(path).map_err(cannot)?.len() > MOST {
        return Err(format!("`{}` is larger than 1 MiB", path.display()));
    }
    fs::read(path).map_err(cannot)
}

/// The certificates of a PEM file; at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| not_pem(path, &error))?;
    if all.is_empty() {
        return Err(format!("`{}` holds no certificate (`-----BEGIN CERTIFICATE-----`)", path.display()));
    }
    Ok(all)
}

/// What is wrong with a PEM file.
pub fn not_pem(path: &Path, error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    let what = match error {
        Error::MissingSectionEnd { .. } => "a block has no end: the file may be cut off".to_owned(),
        Error::IllegalSectionStart { .. } => "a `-----BEGIN` line is not well formed".to_owned(),
        Error::Base64Decode(_) => "a block is not base64".to_owned(),
        other => other.to_string(),
    };
    format!("`{}` is not a PEM file: {what}", path.display())
}

/// The authorities of a PEM file.
pub fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| {
            format!("`{}` holds what is no certificate of an authority: {error}", path.display())
        })?;
    }
    Ok(store)
}

/// A path as written in a file of the configuration, seen from where the gateway runs.
pub fn beside(file: Option<&str>, written: &str) -> PathBuf {
    let folder = file.and_then(|file| Path::new(file).parent()).unwrap_or(Path::new(""));
    folder.join(written)
}
