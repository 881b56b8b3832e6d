//! Configurations. Takes any text; fails on a panic or a hang.
#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tidegate::config::{Environment, Known, load_text};

/// Knows one variable and no file: what is read depends on the text alone.
struct Nothing;

impl Environment for Nothing {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SET").then(|| "value".to_owned())
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fuzz_target!(|text: &str| {
    let known = Known { policies: &["cors", "headers"] };
    let _ = load_text("fuzz.yaml", text, &Nothing, &known);
});
