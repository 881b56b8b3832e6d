//! Names that say nothing about what a thing is, and so gather what has no home.
//! Takes one source; gives offences for its file name, folders, modules, types and functions.
//! It must never judge a word inside a longer one: `database` is no `data`.

use super::source::{Offence, Source};

/// Parts of a name, split at `_` or at capitals, that may not end it (or be the whole of it).
const EMPTY_WORDS: [&str; 11] = [
    "main", "handler", "handlers", "manager", "managers", "util", "utils", "common", "helper", "helpers",
    "misc",
];
/// The same for files, modules and types only: a function may give the `data` of a frame.
const EMPTY_NOUNS: [&str; 3] = ["impl", "info", "data"];

pub(crate) fn forbidden(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for part in source.path.trim_end_matches(".rs").split('/') {
        // `main.rs` alone is the name cargo gives to the root of a program.
        if part != "main" && says_nothing("mod", part) {
            offences.push(
                source.offence(1, format!("`{part}` in the path says nothing: name the stage or the noun")),
            );
        }
    }
    let words = source.words();
    for pair in words.windows(2) {
        let (at, name) = pair[1];
        let kind = pair[0].1;
        let declares = ["mod", "struct", "enum", "trait", "type", "fn"].contains(&kind);
        let adjacent = source.code[pair[0].0 + kind.len()..at].trim().is_empty();
        // An associated type, which stands indented, has the name that its trait gives it.
        let is_given = kind == "type" && source.code[..pair[0].0].ends_with("    ");
        let is_given = is_given || (kind == "fn" && name == "main");
        if declares && adjacent && !is_given && says_nothing(kind, name) {
            offences.push(
                source.offence(source.line_of(at), format!("`{kind} {name}` says nothing: name the noun")),
            );
        }
    }
    offences
}

fn says_nothing(kind: &str, name: &str) -> bool {
    let mut last = String::new();
    for c in name.chars() {
        if c == '_' || c == '-' || (c.is_uppercase() && !last.ends_with(char::is_uppercase)) {
            last.clear();
        }
        if c != '_' && c != '-' {
            last.push(c);
        }
    }
    let last = last.to_lowercase();
    EMPTY_WORDS.contains(&last.as_str()) || (kind != "fn" && EMPTY_NOUNS.contains(&last.as_str()))
}

#[test]
fn empty_names_are_found() {
    for (path, text) in [
        ("src/util.rs", ""),
        ("src/common/mod.rs", ""),
        ("src/http_handler.rs", ""),
        ("src/a.rs", "struct RouteInfo;"),
        ("src/a.rs", "enum PoolManager {}"),
        ("src/a.rs", "mod helpers;"),
        ("src/a.rs", "trait CodecImpl {}"),
        ("src/a.rs", "fn run_main() {}"),
    ] {
        assert_eq!(forbidden(&Source::new(path, text)).len(), 1, "{path} {text}");
    }
}

#[test]
fn full_names_pass() {
    for (path, text) in [
        ("src/main.rs", "fn main() {}"),
        ("src/balance/least_request.rs", "struct Database; impl Database {}"),
        ("src/a.rs", "// struct PoolManager\nfn data_length() {}"),
        ("src/a.rs", "type Metadata = u8; fn data() {}"),
    ] {
        assert_eq!(forbidden(&Source::new(path, text)), [], "{path} {text}");
    }
}
