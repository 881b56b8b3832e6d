//! A text that a pattern matches: the shortest that is easily found, always the same.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The longest text.
const LONGEST: usize = 1_000;

/// A text of a pattern; `None` for one that this does not understand, such as one that looks around.
pub(crate) fn of(pattern: &str) -> Option<String> {
    let hir = regex_syntax::ParserBuilder::new().nest_limit(50).build().parse(pattern).ok()?;
    let mut text = String::new();
    add(&hir, &mut text)?;
    Some(text)
}

fn add(hir: &Hir, text: &mut String) -> Option<()> {
    if text.len() > LONGEST {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(one_of(class)?),
        HirKind::Repetition(repetition) => {
            // Once rather than never: what may be there is more telling than nothing.
            let most = repetition.max.unwrap_or(u32::MAX);
            for _ in 0..repetition.min.max(1).min(most) {
                add(&repetition.sub, text)?;
            }
        }
        HirKind::Capture(capture) => add(&capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| add(part, text))?,
        HirKind::Alternation(choices) => add(choices.first()?, text)?,
    }
    Some(())
}

/// A letter or a digit where one is among them, else the first that can be seen.
fn one_of(class: &Class) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => {
            class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
        }
    };
    let has = |wanted: char| ranges.iter().any(|(start, end)| (*start..=*end).contains(&wanted));
    let plain = ('a'..='z').chain('0'..='9').chain('A'..='Z').chain('!'..='~').find(|wanted| has(*wanted));
    plain.or_else(|| ranges.first().map(|(start, _)| *start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_patterns() {
        for (pattern, text) in [
            (r"rdme_\w+", Some("rdme_a")),
            (r"[a-f\d]{24}", Some("aaaaaaaaaaaaaaaaaaaaaaaa")),
            (r"^(stable|\d+)(\.\d+)?$", Some("stable.0")),
            (r"^[^a-z]$", Some("0")),
            (r"(?=a)b", None),
            ("(", None),
            (r"x{5000}", None),
        ] {
            assert_eq!(of(pattern).as_deref(), text, "{pattern}");
        }
    }
}
