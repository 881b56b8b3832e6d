//! Last good answers on the disk: how they are written down and read again at the next start.
//!
//! Takes answers as the store has them; gives them back as old as they are by then, or nothing for what is not whole. In
//! their keys stand hashes of what proves a caller, never that itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http1::{Fields, Name};
use keep::pieces::{Reading, Write};

use super::store::Kept;

/// The form in which answers are written: another number for each change of it, or of how keys are made.
pub(super) const FORM: &str = "last good 1";

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since 1970.
fn wall() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl keep::Answer for Kept {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        out.long(wall());
        out.long(nanos(self.age()));
        out.short(self.status);
        out.long(self.fields.len() as u64);
        for field in self.fields.iter() {
            out.text(field.name);
            out.text(field.value);
        }
        out.long(self.varies.len() as u64);
        for (name, value) in &self.varies {
            out.text(name);
            out.maybe(value.as_deref());
        }
        out.text(&self.body);
        true
    }
}

/// An answer that was read. A clock that has been set back makes it older, never younger.
pub(super) fn kept(value: &[u8]) -> Option<Kept> {
    let mut rest = Reading(value);
    let since = wall().abs_diff(rest.long()?);
    let older = Duration::from_nanos(rest.long()?).saturating_add(Duration::from_nanos(since));
    let status = rest.short()?;
    let mut fields = Fields::new();
    for _ in 0..rest.long()? {
        fields.push(Name::new(rest.text()?).ok()?, rest.text()?);
    }
    let mut varies = Vec::new();
    for _ in 0..rest.long()? {
        varies.push((rest.text()?.into(), rest.maybe()?.map(Box::from)));
    }
    let body = Bytes::copy_from_slice(rest.text()?);
    rest.is_over().then(|| Kept { at: Instant::now(), older, status, fields, body, varies })
}
