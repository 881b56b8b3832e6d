//! `version`: the same in both spellings.

use std::path::Path;

use crate::setup::tidegate;

#[test]
fn the_version_is_that_of_the_package() {
    let wanted = format!("tidegate {}\n", env!("CARGO_PKG_VERSION"));
    for word in ["version", "--version"] {
        let told = tidegate(Path::new("."), &[word]);
        assert_eq!((told.code, told.stdout, told.stderr.as_str()), (Some(0), wanted.clone(), ""));
    }
}
