//! The country of an address, by a database in the format of MaxMind, read into memory and read again when its file changes.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use maxminddb::{PathElement, Reader};

/// Bytes of a file, at most.
const LARGEST: u64 = 256 << 20;

/// A database.
pub(super) struct Countries {
    file: PathBuf,
    reader: ArcSwapOption<Reader<Vec<u8>>>,
    seen: Mutex<Option<(SystemTime, u64)>>,
}

impl Countries {
    /// Of a file that is not read yet.
    pub(super) fn new(file: &str) -> Countries {
        Countries { file: file.into(), reader: ArcSwapOption::empty(), seen: Mutex::default() }
    }

    /// The code of the country; none where nobody knows.
    pub(super) fn of(&self, address: IpAddr) -> Option<[u8; 2]> {
        let reader = self.reader.load();
        let found = reader.as_ref()?.lookup(address.to_canonical()).ok()?;
        let path = [PathElement::Key("country"), PathElement::Key("iso_code")];
        let code: Option<&str> = found.decode_path(&path).ok()?;
        code?.as_bytes().try_into().ok()
    }

    /// Reads the file if it has changed. Never called on a worker.
    pub(super) fn refresh(&self) {
        let facts = std::fs::metadata(&self.file).ok();
        let facts = facts.and_then(|facts| Some((facts.modified().ok()?, facts.len())));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.is_some() && *seen == facts {
            return;
        }
        match read(&self.file) {
            Ok(reader) => self.reader.store(Some(reader.into())),
            // Once, and not again until it changes or is there.
            Err(error) if *seen != facts || self.reader.load().is_none() => {
                tracing::error!("countries are not known by {}: {error}", self.file.display());
            }
            Err(_) => {}
        }
        *seen = facts;
    }
}

fn read(file: &Path) -> Result<Reader<Vec<u8>>, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > LARGEST {
        return Err(format!("it is larger than {LARGEST} bytes"));
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    Reader::from_source(bytes).map_err(|error| error.to_string())
}
