//! One Rust file as the rules see it: its text, and the same text with comments and literals blanked.
//! Takes the path and the text; gives `code`, in which every byte outside of code is a space and every
//! line break stands where it stood, so that line numbers of the two agree.
//! It must never take a brace, a keyword or a path inside a comment or a string for code.

use std::fmt;

/// A Rust file of the repository.
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// The file with comments, strings and characters blanked.
    pub(crate) code: String,
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offence {
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: blanked(text) }
    }

    pub(crate) fn offence(&self, line: usize, what: impl Into<String>) -> Offence {
        Offence { path: self.path.clone(), line, what: what.into() }
    }

    /// The line, counted from 1, on which the byte stands.
    pub(crate) fn line_of(&self, byte: usize) -> usize {
        self.code.as_bytes()[..byte].iter().filter(|&&b| b == b'\n').count() + 1
    }

    /// Every identifier and keyword of the code with the place of its first byte.
    pub(crate) fn words(&self) -> Vec<(usize, &str)> {
        let mut words = Vec::new();
        let mut start = None;
        for (at, b) in self.code.bytes().chain([b' ']).enumerate() {
            match (start, is_word(b)) {
                (None, true) => start = Some(at),
                (Some(from), false) => {
                    words.push((from, &self.code[from..at]));
                    start = None;
                }
                _ => {}
            }
        }
        words
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// The text with all that is not code made spaces.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => end_of_line(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => end_of_block(bytes, at),
            b'"' => end_of_string(bytes, at + 1),
            b'\'' => end_of_character(bytes, at),
            b'r' | b'b' | b'c' if at == 0 || !is_word(bytes[at - 1]) => end_of_prefixed(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for b in &mut out[at..end] {
            if *b != b'\n' {
                *b = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("only whole tokens are blanked, and they hold whole characters")
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n)
}

/// Block comments nest in Rust.
fn end_of_block(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            (depth, i) = (depth + 1, i + 2);
        } else if bytes[i..].starts_with(b"*/") {
            (depth, i) = (depth - 1, i + 2);
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    bytes.len()
}

/// The end of a string whose opening quote stands before `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal, or nothing when the quote opens a lifetime.
fn end_of_character(bytes: &[u8], at: usize) -> usize {
    let Some(&first) = bytes.get(at + 1) else { return at };
    if first == b'\\' {
        let close = bytes.iter().skip(at + 3).position(|&b| b == b'\'');
        return close.map_or(bytes.len(), |n| at + 3 + n + 1);
    }
    let width = match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    if bytes.get(at + 1 + width) == Some(&b'\'') { at + width + 2 } else { at }
}

/// Byte strings, C strings and raw strings; nothing when the letter only begins a word.
fn end_of_prefixed(bytes: &[u8], at: usize) -> usize {
    let mut i = at;
    let mut raw = false;
    while let Some(b @ (b'r' | b'b' | b'c')) = bytes.get(i) {
        raw |= *b == b'r';
        i += 1;
    }
    let hashes = bytes[i..].iter().take_while(|&&b| b == b'#').count();
    match bytes.get(i + hashes) {
        Some(b'"') if raw => {
            let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
            let body = i + hashes + 1;
            let found = bytes[body..].windows(close.len()).position(|window| window == close);
            found.map_or(bytes.len(), |n| body + n + close.len())
        }
        Some(b'"') if hashes == 0 => end_of_string(bytes, i + 1),
        Some(b'\'') if hashes == 0 && i == at + 1 && bytes[at] == b'b' => end_of_character(bytes, i),
        _ => at,
    }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let cases = [
        ("a // fn {\nb", "a        \nb"),
        ("a /* x /* y */ } */ b", "a                   b"),
        ("f(\"}\\\"{\") g", "f(      ) g"),
        ("r#\"}\"#; z", "      ; z"),
        ("br\"}\"; z", "     ; z"),
        ("b'{' 'x' '\\'' '\\u{7d}' z", "                       z"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("let r = 1; broken", "let r = 1; broken"),
        ("\"two\nlines\" z", "    \n       z"),
        ("'é' z", "     z"),
    ];
    for (text, code) in cases {
        assert_eq!(blanked(text).trim_end(), code.trim_end(), "{text}");
        assert_eq!(blanked(text).len(), text.len(), "{text}");
    }
}
