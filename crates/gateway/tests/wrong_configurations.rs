//! Configurations, wrong and good: each wrong one stands beside the exact message that it must give.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::io;
use std::path::Path;
use tidegate::config::{self, Environment, Known};

const KNOWN: Known<'static> =
    Known { policies: &["cors", "headers", "timeout", "ip", "body_limit", "rewrite"] };

struct Fixed(HashMap<&'static str, &'static str>);

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.to_string())
    }
    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

#[test]
fn good_ones_load() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/shop.yaml");
    let loaded = config::load(&path, &Fixed(HashMap::new()), &KNOWN)
        .map_err(|d| format!("{:#?}", d.iter().collect::<Vec<_>>()))
        .unwrap();
    assert_eq!(loaded.config.routes.len(), 9);
}
