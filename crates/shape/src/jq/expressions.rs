//! Regular expressions of programs: `test`, `match`, `capture`, `scan`, `sub`, `gsub` and their like.
//!
//! They take time in proportion to the text, which is bounded, and are kept compiled by the thread that runs programs.

use std::cell::RefCell;

use bytes::Bytes;
use jaq_core::native::{Filter, bome};
use jaq_core::{Bind, Cv, Error, RunPtr, ValR, ValT};
use regex::{Regex, RegexBuilder};

use super::Ways;
use super::meter::{tick, tick_bytes};
use super::value::V;

/// Bytes of a text that is searched.
const MOST_TEXT: usize = 64 * 1024;
/// Bytes of an expression.
const MOST_PATTERN: usize = 1024;
/// Bytes that a compiled one takes.
const MOST_COMPILED: usize = 64 * 1024;
/// What compiling one counts for.
const COMPILING: usize = 1000;
/// How many bytes that are searched count for one step.
const SEARCHED: usize = 256;
/// Compiled expressions that a thread keeps.
const KEPT: usize = 16;

thread_local! {
    static COMPILED: RefCell<Vec<(String, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// What is given of a text: the stretches that match, those between them, or both.
#[derive(Clone, Copy)]
struct Give {
    between: bool,
    matches: bool,
}

pub(super) fn funs() -> [Filter<RunPtr<Ways>>; 3] {
    let two = || -> Box<[Bind]> { Box::new([Bind::Var(()), Bind::Var(())]) };
    [
        ("matches", two(), |cv| bome(search(Give { between: false, matches: true }, cv))),
        ("split_matches", two(), |cv| bome(search(Give { between: true, matches: true }, cv))),
        ("split_", two(), |cv| bome(search(Give { between: true, matches: false }, cv))),
    ]
}

fn text_of(value: &V) -> ValR<&str, V> {
    match value {
        V::Text(text) => Ok(std::str::from_utf8(text).unwrap_or_default()),
        other => Err(Error::typ(other.clone(), "string")),
    }
}

fn search(give: Give, mut cv: Cv<'_, Ways>) -> ValR<V> {
    let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
    let (flags, pattern, text) = (text_of(&flags)?, text_of(&pattern)?, text_of(&cv.1)?);
    if text.len() > MOST_TEXT {
        return Err(Error::str("the text is too long for a regular expression"));
    }
    let expression = compiled(flags, pattern)?;
    let V::Text(whole) = &cv.1 else { return Ok(V::Null) };
    let (skips_empty, is_global) = (flags.contains('n'), flags.contains('g'));
    let (mut given, mut last, mut counted) = (Vec::new(), 0, Counted::default());
    for found in expression.captures_iter(text) {
        // Each may have looked at all that is left.
        tick((text.len().saturating_sub(last) / SEARCHED).saturating_add(1));
        let Some(all) = found.get(0) else { continue };
        if skips_empty && all.is_empty() {
            continue;
        }
        if give.between {
            given.push(V::Text(part(whole, text, last, all.start())));
        }
        last = all.end();
        if give.matches {
            given.push(told(&expression, &found, whole, &mut counted)?);
        }
        if !is_global {
            break;
        }
    }
    if give.between {
        given.push(V::Text(part(whole, text, last, text.len())));
    }
    Ok(V::arr(given))
}

fn part(whole: &Bytes, text: &str, start: usize, end: usize) -> Bytes {
    whole.slice_ref(text.get(start..end).unwrap_or_default().as_bytes())
}

/// Characters up to a byte, counted once.
#[derive(Default)]
struct Counted {
    byte: usize,
    chars: usize,
}

impl Counted {
    fn up_to(&self, byte: usize, text: &str) -> usize {
        let passed = text.get(self.byte..byte).map_or(0, |passed| passed.chars().count());
        self.chars.saturating_add(passed)
    }
}

/// A match and its groups, as jq tells them.
fn told(expression: &Regex, found: &regex::Captures<'_>, whole: &Bytes, counted: &mut Counted) -> ValR<V> {
    let text = std::str::from_utf8(whole).unwrap_or_default();
    if let Some(all) = found.get(0) {
        *counted = Counted { chars: counted.up_to(all.start(), text), byte: all.start() };
    }
    let groups = found.iter().zip(expression.capture_names());
    let groups = groups.filter_map(|(group, name)| Some((group?, name)));
    groups
        .map(|(group, name)| {
            tick_bytes(group.len());
            let key = |name: &'static str| V::Text(Bytes::from_static(name.as_bytes()));
            let fields = [
                (key("offset"), V::from(counted.up_to(group.start(), text))),
                (key("length"), V::from(group.as_str().chars().count())),
                (key("string"), V::Text(whole.slice_ref(group.as_str().as_bytes()))),
            ];
            let name = name.map(|name| (key("name"), V::text(name.to_owned())));
            V::from_map(fields.into_iter().chain(name))
        })
        .collect()
}

/// An expression, ready to search.
fn compiled(flags: &str, pattern: &str) -> ValR<Regex, V> {
    let key = format!("{flags}/{pattern}");
    let kept = COMPILED.with(|kept| {
        let kept = kept.borrow();
        kept.iter().find(|(known, _)| *known == key).map(|(_, expression)| expression.clone())
    });
    if let Some(expression) = kept {
        return Ok(expression);
    }
    tick(COMPILING);
    if pattern.len() > MOST_PATTERN {
        return Err(Error::str("the regular expression is too long"));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MOST_COMPILED).dfa_size_limit(MOST_COMPILED.saturating_mul(4)).nest_limit(32);
    for flag in flags.chars() {
        match flag {
            'g' | 'n' => &mut builder,
            'i' => builder.case_insensitive(true),
            'x' => builder.ignore_whitespace(true),
            's' => builder.dot_matches_new_line(true),
            'm' => builder.multi_line(true),
            'p' => builder.multi_line(true).dot_matches_new_line(true),
            'l' => builder.swap_greed(true),
            other => return Err(Error::str(format_args!("invalid regex flag: {other}"))),
        };
    }
    let expression = builder.build().map_err(|_| Error::str("the regular expression cannot be used"))?;
    COMPILED.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((key, expression.clone()));
    });
    Ok(expression)
}
