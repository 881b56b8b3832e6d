//! Regular expressions that must match a whole text.
//!
//! Takes what a user wrote, gives a matcher and the literal text with which every match starts. Matching takes time
//! linear in the text and never backtracks.

use std::fmt;

use regex::bytes::{CaptureLocations, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look};

/// A regular expression over a whole text: `[0-9]+` matches `12`, not `a12`.
#[derive(Clone)]
pub struct FullRegex {
    text: Box<str>,
    regex: Regex,
    literal_start: Box<[u8]>,
}

impl FullRegex {
    /// Compiles the text; `^` and `$` around it are allowed and change nothing.
    ///
    /// # Errors
    /// What is wrong with the expression, in one sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        // Parsed alone first, so that a stray `)` cannot end the group that the second parse puts around it.
        let parsed =
            ParserBuilder::new().utf8(false).build().parse(text).map_err(|error| last_line(&error))?;
        let regex = Regex::new(&format!("\\A(?:{text})\\z")).map_err(|error| last_line(&error))?;
        let mut literal_start = Vec::new();
        push_literal_start(&parsed, &mut literal_start);
        Ok(Self { text: text.into(), regex, literal_start: literal_start.into() })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the expression matches all of the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// What every matching text starts with.
    pub(super) fn literal_start(&self) -> &[u8] {
        &self.literal_start
    }

    /// The names of the groups that have one, in order.
    pub(super) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }

    /// Where the named groups stand in a matching text, in the order of [`Self::group_names`]; a group that took no part
    /// in the match stands empty at 0.
    pub(super) fn groups<'r>(&'r self, text: &[u8]) -> impl Iterator<Item = (usize, usize)> + use<'r> {
        let mut places: CaptureLocations = self.regex.capture_locations();
        self.regex.captures_read(&mut places, text);
        let named = self.regex.capture_names().enumerate().filter(|(_, name)| name.is_some());
        named.map(move |(group, _)| places.get(group).unwrap_or_default())
    }
}

impl PartialEq for FullRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for FullRegex {}

impl fmt::Debug for FullRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

/// The error itself; the lines before it draw a picture of the place.
fn last_line(error: &dyn fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().next_back().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Appends the literal text that starts `hir`; says whether all of it is literal.
fn push_literal_start(hir: &Hir, out: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(Look::Start) => true,
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            true
        }
        HirKind::Capture(group) => push_literal_start(&group.sub, out),
        HirKind::Concat(parts) => parts.iter().all(|part| push_literal_start(part, out)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        for (regex, text, expected) in [
            ("/a[0-9]+", "/a12", true),
            ("^/a[0-9]+$", "/a12", true),
            ("/a[0-9]+", "/a12x", false),
            ("/a[0-9]+", "x/a12", false),
            ("/a|/b", "/b", true),
            ("/a|/b", "/ab", false),
        ] {
            assert_eq!(
                FullRegex::new(regex).unwrap().is_match(text.as_bytes()),
                expected,
                "{regex} on {text}"
            );
        }
    }

    #[test]
    fn the_literal_start_holds_for_every_match() {
        for (regex, expected) in [
            ("/users/[0-9]+", "/users/"),
            ("^/users/(a|b)c", "/users/"),
            ("/users/(list)", "/users/list"),
            ("/v1\\.0/x?", "/v1.0/"),
            ("/users/?", "/users"),
            ("/a|/b", ""),
            ("(?i)/a", "/"),
            ("[/]x", "/x"),
            (".*\\.php", ""),
        ] {
            let regex = FullRegex::new(regex).unwrap();
            assert_eq!(String::from_utf8_lossy(regex.literal_start()), expected, "{regex:?}");
        }
    }

    #[test]
    fn a_wrong_expression_is_told_in_one_line() {
        for (regex, expected) in [
            ("/a(", "unclosed group"),
            ("/a)|(/b", "unopened group"),
            ("[z-a]", "invalid character class range, the start must be <= the end"),
        ] {
            assert_eq!(FullRegex::new(regex).unwrap_err(), expected);
        }
    }
}
