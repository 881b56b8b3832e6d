//! What may not stay behind: tests that are switched off, code kept though unused, notes to oneself.
//! Takes one source; gives every such line.
//! It must never be quieted by an exception list: the test runs, the code is used or it goes.

use super::source::{Offence, Source};

/// Notes to oneself, put together here so that this file does not find itself.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

pub(crate) fn leftovers(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (nth, (code, text)) in source.code.lines().zip(source.text.lines()).enumerate() {
        let dense: String = code.split_whitespace().collect();
        if dense.contains("#[ignore") {
            offences.push(source.offence(nth + 1, "a test is switched off: mend it or take it out"));
        }
        if ["allow(", "expect("].iter().any(|open| dense.contains(open)) && dense.contains("dead_code") {
            offences.push(source.offence(nth + 1, "dead code is kept: use it or take it out"));
        }
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
        let is_comment = code.trim_end().len() < text.trim_end().len();
        if is_comment && NOTES.iter().any(|note| words.contains(note)) {
            offences.push(source.offence(nth + 1, "a note to oneself: do it or say why it is as it is"));
        }
    }
    offences
}

#[test]
fn leftovers_are_found() {
    let note = format!("// {}: later", NOTES[0]);
    for text in
        ["#[ignore]", "#[ignore = \"slow\"]", "#![allow(dead_code)]", "#[allow(unused, dead_code)]", &note]
    {
        assert_eq!(leftovers(&Source::new("a.rs", text)).len(), 1, "{text}");
    }
}

#[test]
fn words_about_leftovers_pass() {
    for text in ["// no `#[ignore]` here", "fn ignore() {}", "let s = \"allow(dead_code)\";"] {
        assert_eq!(leftovers(&Source::new("a.rs", text)), [], "{text}");
    }
}
