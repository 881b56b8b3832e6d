//! Rules of size and of the head: a file of at most 500 lines, a function of at most 60, `//!` first.
//! Takes one source; gives its offences.
//! It must never count lines in another way than an editor shows them: comments and blank lines count.

use super::source::{Offence, Source};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;
const HEAD_LINES: std::ops::RangeInclusive<usize> = 1..=8;

pub(crate) fn long_file(source: &Source) -> Vec<Offence> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES {
        return Vec::new();
    }
    vec![source.offence(FILE_LINES + 1, format!("{lines} lines, at most {FILE_LINES}: split the file"))]
}

pub(crate) fn long_functions(source: &Source) -> Vec<Offence> {
    let words = source.words();
    let mut offences = Vec::new();
    for pair in words.windows(2) {
        let [(at, "fn"), (name_at, name)] = pair else { continue };
        // `fn(u8)` is a type: a declaration has its name after blanks alone.
        if !source.code[at + 2..*name_at].trim().is_empty() {
            continue;
        }
        let Some(end) = end_of_body(source.code.as_bytes(), *name_at) else { continue };
        let (first, last) = (source.line_of(*at), source.line_of(end));
        let lines = last - first + 1;
        if lines > FUNCTION_LINES && !is_table(&source.code[*name_at..end]) {
            offences
                .push(source.offence(first, format!("`{name}`: {lines} lines, at most {FUNCTION_LINES}")));
        }
    }
    offences
}

/// A list of facts written as one `match`, so that the compiler keeps it whole: it decides nothing else, and cut
/// in two it would only be harder to read.
fn is_table(function: &str) -> bool {
    let words = Source::new("", function);
    let controls = ["match", "if", "for", "while", "loop", "return", "await"];
    let found: Vec<&str> =
        words.words().into_iter().map(|(_, word)| word).filter(|w| controls.contains(w)).collect();
    found == ["match"] && !function.contains('?')
}

/// The closing brace of the body; none for a declaration that ends in a semicolon.
fn end_of_body(code: &[u8], from: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, b) in code.iter().enumerate().skip(from) {
        match b {
            b'{' => braces += 1,
            b'}' if braces <= 1 => return Some(at),
            b'}' => braces -= 1,
            // The semicolon of `[u8; 4]` in the signature ends nothing.
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

pub(crate) fn missing_head(source: &Source) -> Vec<Offence> {
    let head = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    if HEAD_LINES.contains(&head) {
        return Vec::new();
    }
    let wish = format!("{} to {}", HEAD_LINES.start(), HEAD_LINES.end());
    vec![
        source.offence(
            1,
            format!("{head} lines of `//!` at the head, wanted {wish}: stage, takes, gives, never"),
        ),
    ]
}

#[test]
fn a_file_of_501_lines_is_found() {
    assert!(long_file(&Source::new("x.rs", &"a\n".repeat(500))).is_empty());
    assert_eq!(long_file(&Source::new("x.rs", &"a\n".repeat(501)))[0].line, 501);
}

#[test]
fn a_function_of_61_lines_is_found_with_its_name() {
    let function = |lines: usize| format!("//! x\nfn f(a: [u8; 4]) {{\n{}}}\n", "    a;\n".repeat(lines - 2));
    assert!(long_functions(&Source::new("x.rs", &function(60))).is_empty());
    let found = long_functions(&Source::new("x.rs", &function(61)));
    assert_eq!((found[0].line, found[0].what.as_str()), (2, "`f`: 61 lines, at most 60"));
}

#[test]
fn braces_in_literals_and_types_of_functions_do_not_confuse_the_measure() {
    let text =
        format!("struct S {{ f: fn(u8) }}\nfn g() {{ let _ = '{{'; }}\n{}", "const X: u8 = 1;\n".repeat(90));
    assert!(long_functions(&Source::new("x.rs", &text)).is_empty());
    let declared = format!("trait T {{ fn g(); }}\nfn h() {{\n{}}}\n", "x();\n".repeat(70));
    assert_eq!(long_functions(&Source::new("x.rs", &declared)).len(), 1);
}

#[test]
fn a_table_written_as_one_match_may_be_long() {
    let function = |before: &str| {
        let arms: String = (0..70).map(|n| format!("        {n} => \"if\",\n")).collect();
        format!("fn reason(code: u8) -> &'static str {{\n    {before}match code {{\n{arms}    }}\n}}\n")
    };
    assert!(long_functions(&Source::new("x.rs", &function(""))).is_empty());
    assert_eq!(long_functions(&Source::new("x.rs", &function("if code > 9 {{}} "))).len(), 1);
    assert_eq!(long_functions(&Source::new("x.rs", &function("f()?; "))).len(), 1);
}

#[test]
fn a_missing_and_an_endless_head_are_found() {
    assert!(missing_head(&Source::new("x.rs", "//! a\n//! b\n\nfn f() {}\n")).is_empty());
    assert_eq!(missing_head(&Source::new("x.rs", "use std::fmt;\n")).len(), 1);
    assert_eq!(missing_head(&Source::new("x.rs", &"//! a\n".repeat(9))).len(), 1);
}
