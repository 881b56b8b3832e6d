//! The codec beside httparse and hyper, over the corpus of attacks and generated messages.
//!
//! Each way in which the two differ stands in a table with its reason. A difference that is not listed fails the
//! test, and so does a line of the table that nothing shows any more.

mod httparse;
mod hyper;

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::corpus;

/// What a parser makes of some bytes; `M` is what it read.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said<M> {
    Read(M),
    Waits,
    Refuses(String),
}

/// One way to differ: what the codec says (`reads`, `waits` or the rule it names), what the other one does
/// (`reads`, `reads something else`, `waits`, `refuses`, or `goes on` where the codec refuses), and why that is
/// right.
type Difference = (&'static str, &'static str, &'static str);

/// How the two differ, if they do. Two refusals agree whatever their reasons.
fn difference<M: PartialEq>(ours: &Said<M>, theirs: &Said<M>) -> Option<(String, &'static str)> {
    let ours_word = match ours {
        Said::Read(_) => "reads".to_owned(),
        Said::Waits => "waits".to_owned(),
        Said::Refuses(rule) => rule.clone(),
    };
    let theirs_word = match (ours, theirs) {
        (Said::Read(one), Said::Read(other)) if one == other => return None,
        (Said::Read(_), Said::Read(_)) => "reads something else",
        (Said::Waits, Said::Waits) | (Said::Refuses(_), Said::Refuses(_)) => return None,
        // Whether more bytes are wanted after what should have been refused says nothing more.
        (Said::Refuses(_), _) => "goes on",
        (_, Said::Read(_)) => "reads",
        (_, Said::Waits) => "waits",
        (_, Said::Refuses(_)) => "refuses",
    };
    Some((ours_word, theirs_word))
}

/// The differences seen, each with the first bytes that showed it.
#[derive(Default)]
struct Seen(BTreeMap<(String, &'static str), String>);

impl Seen {
    fn note<M: PartialEq + std::fmt::Debug>(&mut self, bytes: &[u8], ours: &Said<M>, theirs: &Said<M>) {
        if let Some(difference) = difference(ours, theirs) {
            self.0
                .entry(difference)
                .or_insert_with(|| format!("{}\n    ours {ours:?}\n    theirs {theirs:?}", text(bytes)));
        }
    }

    /// Fails unless the differences seen are exactly those of the table.
    fn are(&self, table: &[Difference]) {
        let mut faults = String::new();
        for ((ours, theirs), example) in &self.0 {
            if !table.iter().any(|line| line.0 == ours && line.1 == *theirs) {
                writeln!(faults, "not listed: ({ours:?}, {theirs:?}) as in {example}").unwrap();
            }
        }
        for (ours, theirs, why) in table {
            assert!(why.len() > 20, "the reason for ({ours:?}, {theirs:?}) says nothing");
            if !self.0.contains_key(&((*ours).to_owned(), *theirs)) {
                writeln!(faults, "nothing shows ({ours:?}, {theirs:?}) any more").unwrap();
            }
        }
        assert!(faults.is_empty(), "{faults}");
    }
}

/// The bytes of a file of the corpus, then so many generated ones, the same in each run.
fn messages(file: &'static str, generated: impl Strategy<Value = Vec<u8>>, count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let attacks = corpus::rows(file).into_iter().map(|row| row.bytes);
    let generated = (0..count).map(|_| generated.new_tree(&mut runner).unwrap().current());
    attacks.chain(generated).collect()
}

/// The lines with names in lower case, since parsers differ in whether they keep the case.
fn lowered<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<String> {
    fields.map(|(name, value)| format!("{}: {}", text(&name.to_ascii_lowercase()), text(value))).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Rules that only large or closing messages break; the tables of limits show those.
const NOT_BY_A_ROW: &[&str] = &[
    "start_line_too_long",
    "field_too_long",
    "head_too_long",
    "too_many_fields",
    "chunk_line_too_long",
    "extensions_too_long",
    "too_many_trailers",
    "trailers_too_long",
    "body_truncated",
];

#[test]
fn the_corpus_shows_every_rule_and_no_message_twice() {
    for file in [corpus::REQUESTS, corpus::RESPONSES, corpus::BODIES] {
        let mut texts: Vec<&str> = corpus::rows(file).iter().map(|row| row.text).collect();
        let all = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), all);
    }
    let rows = [corpus::REQUESTS, corpus::RESPONSES, corpus::BODIES].map(corpus::rows);
    let shown: Vec<&str> = rows.iter().flatten().map(|row| row.verdict).collect();
    let heads = http1::HeadError::ALL.iter().map(|rule| rule.code());
    for code in heads.chain(http1::BodyError::ALL.iter().map(|rule| rule.code())) {
        assert_eq!(shown.contains(&code), !NOT_BY_A_ROW.contains(&code), "{code}");
    }
}
