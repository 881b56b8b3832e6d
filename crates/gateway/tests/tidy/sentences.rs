//! Every sentence that the gateway says by `said!` stands in the console's dictionary, with the same places.
//! Takes the sources and the text of the dictionary; gives each template that is not translated, or whose translation
//! has other places.
//! It must never miss a sentence: what it cannot read as a template is an offence too. Those of tests nobody hears.

use std::collections::BTreeMap;

use super::source::{Offence, Source};

/// The dictionary of the console, from the root of the repository.
pub(crate) const DICTIONARY: &str = "console/src/lib/chinese.ts";

pub(crate) fn untranslated(source: &Source, dictionary: &str) -> Vec<Offence> {
    let known = entries(dictionary);
    let mut offences = Vec::new();
    for (at, literal) in said(source) {
        let line = source.line_of(at);
        let Some(message) = literal.and_then(template) else {
            offences.push(source.offence(line, "`said!` takes a plain string without escapes, on one line"));
            continue;
        };
        match known.get(message) {
            None => {
                offences.push(source.offence(line, format!("no translation in {DICTIONARY}: {message}")));
            }
            Some(translation) if places(translation) != places(message) => {
                offences.push(source.offence(line, format!("other places in {DICTIONARY}: {message}")));
            }
            Some(_) => {}
        }
    }
    offences
}

/// Whether a file says anything.
pub(crate) fn says(source: &Source) -> bool {
    !said(source).is_empty()
}

/// Where `said!` stands before the tests of a file, and the literal that it takes, if it begins with one.
fn said(source: &Source) -> Vec<(usize, Option<&str>)> {
    let end = source.code.find("#[cfg(test)]\nmod tests {").unwrap_or(source.code.len());
    let words = source.words().into_iter();
    let calls =
        words.filter(|(at, word)| *at < end && *word == "said" && source.code[at + 4..].starts_with('!'));
    calls
        .map(|(at, _)| {
            let inside = source.text[at + 5..].trim_start_matches(['(', '[', '{']).trim_start();
            let literal = inside.strip_prefix('"').and_then(|rest| rest.find('"').map(|end| &rest[..end]));
            (at, literal)
        })
        .collect()
}

/// The literal, if it is what the console gets: nothing in it that the compiler reads another way.
fn template(literal: &str) -> Option<&str> {
    let braces = literal.matches(['{', '}']).count();
    (!literal.contains(['\\', '\n']) && braces == 2 * places(literal).len()).then_some(literal)
}

/// The names in braces, in the order of the alphabet.
fn places(message: &str) -> Vec<&str> {
    let inside = message.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let is_name = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut names: Vec<&str> = inside.filter(is_name).collect();
    names.sort_unstable();
    names
}

/// What the dictionary says of each sentence: lines of `'sentence': 'translation',`.
fn entries(dictionary: &str) -> BTreeMap<String, String> {
    let pairs = dictionary.lines().filter_map(|line| {
        let line = line.trim().strip_prefix('\'')?.strip_suffix("',")?;
        let (sentence, translation) = line.split_once("': '")?;
        Some((sentence.replace("\\'", "'"), translation.replace("\\'", "'")))
    });
    pairs.collect()
}

#[test]
fn what_the_console_cannot_say_is_found() {
    const KNOWN: &str =
        "export const chinese = {\n  'the {a} of \\'{b}\\'': '{b} 的 {a}',\n  'one {a}': '{b}',\n};\n";
    for text in [
        "said!(\"the {a}\", a = 1)",
        "said!(\n    \"of {b}\",\n    b = \"x\",\n)",
        "said!(\"one {a}\", a = 1)",
        "said!(\"the {a:.0} of '{b}'\", a = 1, b = 2)",
        "said!(\"the {a} of \\\n  '{b}'\", a = 1, b = 2)",
        "said!(\"{{}}\")",
        "said!(MESSAGE)",
        "said::said!(\"\\u{31}\")",
    ] {
        assert_eq!(untranslated(&Source::new("a.rs", text), KNOWN).len(), 1, "{text}");
    }
}

#[test]
fn what_it_can_say_passes_and_so_does_what_nobody_hears() {
    const KNOWN: &str = "  'the {a} of \\'{b}\\'': '{b} 的 {a}',\n";
    for text in [
        "said!(\"the {a} of '{b}'\", a = 1, b = 2)",
        "// said!(\"no\")\nlet s = \"said!()\"; use said::said;",
        "f();\n\n#[cfg(test)]\nmod tests {\n    said!(\"no\");\n}",
    ] {
        assert_eq!(untranslated(&Source::new("a.rs", text), KNOWN), [], "{text}");
    }
}
