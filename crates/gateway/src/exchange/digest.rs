//! What the body of a request must be, and whether it is.
//!
//! Written into the plan by whoever knows it; the road reads the whole body, within its bound, and compares before a
//! service gets any of it.

use aws_lc_rs::{constant_time, digest};

/// What the body must be. All that is said must be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyDigest {
    /// Its SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// Its SHA-512.
    pub sha512: Option<[u8; 64]>,
    /// Most bytes that are held to compare them.
    pub most: u64,
    /// The policy that wants to know.
    pub wanted_by: &'static str,
}

impl BodyDigest {
    /// Whether this is the body.
    pub fn is_of(&self, body: &[u8]) -> bool {
        let same = |algorithm, wanted: Option<&[u8]>| {
            let Some(wanted) = wanted else { return true };
            let own = digest::digest(algorithm, body);
            constant_time::verify_slices_are_equal(own.as_ref(), wanted).is_ok()
        };
        same(&digest::SHA256, self.sha256.as_ref().map(<[u8; 32]>::as_slice))
            && same(&digest::SHA512, self.sha512.as_ref().map(<[u8; 64]>::as_slice))
    }
}
