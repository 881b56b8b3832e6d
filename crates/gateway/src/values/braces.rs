//! Texts with braces: `{place}` between stretches of text, `{{` and `}}` for the characters themselves.
//!
//! Takes such a text; gives its stretches in order. What a place means says whoever asked.

use super::Invalid;

/// One stretch of a text, as written.
pub(super) enum Stretch<'t> {
    /// Text as it is, never empty, braces already unescaped.
    Literal(String),
    /// What stands between braces.
    Place(&'t str),
}

/// The stretches of a text; two literals never follow each other.
///
/// # Errors
/// A brace has no partner.
pub(super) fn stretches(text: &str) -> Result<Vec<Stretch<'_>>, Invalid> {
    let (mut found, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at_checked(at).unwrap_or((rest, ""));
        literal.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            literal.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            literal.push('}');
            rest = after;
        } else if let Some((place, after)) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            close(&mut literal, &mut found);
            found.push(Stretch::Place(place));
            rest = after;
        } else {
            let lone = brace.chars().next().unwrap_or('{');
            return Err(Invalid::new(
                format!("`{lone}` without its partner in `{text}`"),
                format!("write `{lone}{lone}` for the character itself"),
            ));
        }
    }
    literal.push_str(rest);
    close(&mut literal, &mut found);
    Ok(found)
}

/// The text with its braces escaped, as it was written.
pub(super) fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

fn close(literal: &mut String, found: &mut Vec<Stretch<'_>>) {
    if !literal.is_empty() {
        found.push(Stretch::Literal(std::mem::take(literal)));
    }
}
