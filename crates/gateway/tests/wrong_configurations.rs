//! Configurations, wrong and good: each wrong one stands beside the exact message that it must give.
//!
//! `UPDATE_EXPECT=1 cargo test` writes the messages anew; read the difference before it is committed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tidegate::admin::cases;
use tidegate::config::codes::{self, CODES};
use tidegate::config::{self, Diagnostics, Environment, Known, Loaded};
use tidegate::policies::LIST;
use tidegate::snapshot::compile::compile;

static POLICIES: LazyLock<Vec<&str>> = LazyLock::new(|| LIST.iter().map(|kind| kind.name).collect());

fn known() -> Known<'static> {
    Known { policies: &POLICIES }
}

/// What the examples of the manual take for granted.
const SERVICES: &str = "services: { users: \"http://users:8000\", orders: \"http://orders:8000\" }\n";

/// Few variables, and files as they are.
struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "EMPTY" => Some(String::new()),
            "WORD" => Some("soon".into()),
            _ => None,
        }
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
}

/// The YAML files of a folder, relative to the crate, so that messages are the same everywhere.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// Reads and compiles, as the gateway does, and runs the tests: warnings, or all the faults.
fn found(loaded: Result<Loaded, Diagnostics>) -> (bool, Diagnostics) {
    match loaded {
        Err(diagnostics) => (false, diagnostics),
        Ok(mut loaded) => {
            let snapshot = compile(&loaded.config, 1, None, 1, &mut loaded.diagnostics);
            if let Some(snapshot) = &snapshot {
                cases::report(&cases::run(&loaded.config, snapshot, ""), &mut loaded.diagnostics);
            }
            (snapshot.is_some() && !loaded.diagnostics.has_errors(), loaded.diagnostics)
        }
    }
}

fn rendered(diagnostics: &Diagnostics) -> String {
    diagnostics.render(false) + &diagnostics.summary("", false)
}

/// Compares with the file beside, or writes it; gives what is to be told.
fn compare(path: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, found).unwrap();
        return None;
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    (wanted != found).then(|| format!("{}\n--- wanted\n{wanted}--- found\n{found}", path.display()))
}

#[test]
fn wrong_ones_give_exactly_their_message() {
    let files = files("tests/config/wrong");
    assert!(files.len() >= 30, "only {} wrong configurations", files.len());
    let different: Vec<_> = files
        .iter()
        .filter_map(|path| match found(config::load(path, &Fixed, &known())) {
            (true, _) => Some(format!("{} was taken as right", path.display())),
            (false, diagnostics) => compare(&path.with_extension("stderr"), &rendered(&diagnostics)),
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_code_has_a_wrong_configuration() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for path in files("tests/config/wrong").iter().chain(&files("tests/config/warnings")) {
        let (_, diagnostics) = found(config::load(path, &Fixed, &known()));
        seen.extend(diagnostics.iter().map(|diagnostic| diagnostic.code.to_string()));
    }
    let known: BTreeSet<String> = CODES.iter().map(|explained| explained.code.to_string()).collect();
    assert_eq!(seen, known);
    assert_eq!(known.len(), CODES.len(), "a code stands twice in the table");
}

#[test]
fn every_example_of_the_manual_has_its_fault() {
    for explained in CODES {
        // Too long to be written out.
        if explained.code == codes::TOO_LARGE {
            continue;
        }
        let speaks_of_listeners =
            explained.example.contains("listen") || explained.code == codes::NO_LISTENER;
        let listen = if speaks_of_listeners { "" } else { "listen: 127.0.0.1:0\n" };
        let services = if explained.example.contains("services") { "" } else { SERVICES };
        let text = format!("{listen}{services}{}", explained.example);
        let (_, diagnostics) = found(config::load_text("example", text, &Fixed, &known()));
        let found: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert!(found.contains(&explained.code), "{}: {found:?}\n{}", explained.code, explained.example);
    }
}

#[test]
fn six_faults_are_six_messages() {
    let diagnostics =
        config::load(Path::new("tests/config/wrong/six-faults-at-once.yaml"), &Fixed, &known()).unwrap_err();
    assert_eq!((diagnostics.errors(), diagnostics.warnings()), (6, 0), "{}", rendered(&diagnostics));
}

#[test]
fn warnings_do_not_stop_a_configuration() {
    for path in files("tests/config/warnings") {
        let loaded = config::load(&path, &Fixed, &known()).map_err(|faults| rendered(&faults)).unwrap();
        assert_eq!(compare(&path.with_extension("stderr"), &rendered(&loaded.diagnostics)), None);
    }
}

#[test]
fn good_ones_load() {
    for path in files("tests/config/good") {
        let loaded = config::load(&path, &Fixed, &known()).map_err(|faults| rendered(&faults)).unwrap();
        assert_eq!(rendered(&loaded.diagnostics), "", "{}", path.display());
    }
}

#[test]
fn the_manual_of_faults_is_current() {
    assert_eq!(compare(Path::new("../../docs/errors.md"), &codes::manual()), None);
}
