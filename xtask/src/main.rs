//! The commands of the project. See `cargo xtask help`.
fn main() {}
