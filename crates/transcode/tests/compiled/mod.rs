//! Proto files compiled for tests, by a compiler in Rust.

use std::path::{Path, PathBuf};

use transcode::{Catalog, Options};

/// The descriptor set of a proto file, with all that it imports.
pub(crate) fn compiled(file: &str, folders: &[&str]) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_imports(true).include_source_info(false);
    compiler.open_file(file).unwrap();
    compiler.encode_file_descriptor_set()
}

/// What can be called of `library.proto`.
pub(crate) fn library(options: Options) -> Catalog {
    let set = compiled("library.proto", &["crates/transcode/tests/protos", "examples/shop"]);
    Catalog::new(&set, &[], options).unwrap()
}
