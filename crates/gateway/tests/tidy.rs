//! The house rules that a compiler does not know, as a test: sizes, heads of files, direction of
//! imports, names, twins of policies, sentences in other languages, paths in documents, examples.
//! Takes the files of the repository as they lie on the disk; gives, for each rule, every offender with
//! its file and line. Each rule is itself tested on a bad sample beside it, so that it can fail.
//! It must never know a rule's exceptions by file name: what does not fit is moved or split.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    missing_docs
)]

mod tidy {
    pub(crate) mod arrows;
    pub(crate) mod documents;
    pub(crate) mod house;
    pub(crate) mod leftovers;
    pub(crate) mod names;
    pub(crate) mod sentences;
    pub(crate) mod shape;
    pub(crate) mod source;
    pub(crate) mod twins;
}

use tidy::house::House;
use tidy::source::Offence;
use tidy::{arrows, documents, leftovers, names, sentences, shape, twins};

/// Fails with every offence on its own line, so that one run shows all there is to mend.
#[track_caller]
fn expect_none(rule: &str, offences: Vec<Offence>) {
    let list: String = offences.iter().map(|offence| format!("\n  {offence}")).collect();
    assert!(offences.is_empty(), "{rule}: {} offences{list}\n", offences.len());
}

#[test]
fn the_walk_finds_the_house() {
    let house = House::read();
    for path in ["crates/gateway/src/lib.rs", "crates/http1/src/lib.rs", "xtask/src/main.rs"] {
        assert!(house.sources.iter().any(|source| source.path == path), "{path} was not read");
    }
}

#[test]
fn a_file_is_at_most_500_lines() {
    expect_none("files of at most 500 lines", House::read().each_source(shape::long_file));
}

#[test]
fn a_function_is_at_most_60_lines() {
    expect_none("functions of at most 60 lines", House::read().each_source(shape::long_functions));
}

#[test]
fn a_file_says_what_it_is() {
    expect_none("`//!` at the head of a file", House::read().each_source(shape::missing_head));
}

#[test]
fn imports_point_one_way() {
    expect_none("direction of imports", arrows::wrong_ways(&House::read().sources));
}

#[test]
fn names_say_something() {
    expect_none("names", House::read().each_source(names::forbidden));
}

#[test]
fn nothing_is_left_over() {
    expect_none("leftovers", House::read().each_source(leftovers::leftovers));
}

#[test]
fn every_policy_has_its_twin() {
    expect_none("twins of policies", twins::missing(&House::read().sources));
}

#[test]
fn every_sentence_speaks_chinese() {
    let house = House::read();
    let dictionary = house.text(sentences::DICTIONARY);
    assert!(house.sources.iter().any(sentences::says), "no sentence was found");
    let untranslated = house.each_source(|source| sentences::untranslated(source, &dictionary));
    expect_none("sentences in other languages", untranslated);
}

#[test]
fn every_path_in_a_document_exists() {
    let house = House::read();
    expect_none("paths in documents", documents::dangling(&house.documents, &|path| house.has(path)));
}

#[test]
fn every_example_is_whole_and_tested() {
    let house = House::read();
    expect_none("examples", documents::untested_examples(&house.examples, &house.sources));
}
