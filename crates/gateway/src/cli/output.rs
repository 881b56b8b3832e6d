//! Where a command writes: data to stdout, talk to stderr.
//!
//! A reader that has gone away, as in `| head`, is no fault of the command.

use std::io::Write;

/// Writes data.
pub fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a value as JSON for people and programs alike.
pub fn json(value: &serde_json::Value) {
    data(&format!("{value:#}\n"));
}

/// Writes what is for people only.
pub fn talk(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
