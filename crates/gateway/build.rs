//! Puts the built console into the program: every file below `console/dist`, with its type and fingerprint.
//!
//! Takes what `npm run build` has left there; gives a table for `src/admin/console.rs`. Never runs npm itself. Without a built
//! console the table is empty and the program says so; with `TIDEGATE_REQUIRE_CONSOLE=1` that is an error.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../../console/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-env-changed=TIDEGATE_REQUIRE_CONSOLE");
    let mut files = Vec::new();
    walk(&dist, &mut files);
    files.sort();
    let built = files.iter().any(|file| file.ends_with("index.html"));
    if !built {
        files.clear();
        if std::env::var("TIDEGATE_REQUIRE_CONSOLE").is_ok_and(|value| value == "1") {
            println!(
                "cargo::error=the console is not built: run `npm --prefix console ci && npm --prefix console run build`"
            );
        }
    }
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&dist).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let place = file.canonicalize().unwrap_or_else(|_| file.clone());
        let _ = writeln!(table, "    ({name:?}, include_bytes!({:?})),", place.display().to_string());
    }
    table.push(']');
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("console.rs");
    if let Err(error) = std::fs::write(&out, table) {
        println!("cargo::error=cannot write {}: {error}", out.display());
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() {
            walk(&path, files);
        } else if !hidden {
            files.push(path);
        }
    }
}
