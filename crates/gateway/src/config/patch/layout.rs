//! The layout of a text: line ends, blank lines, spaces at ends of lines. Comments and everything else stay.

use super::{Unpatchable, meaning, read};
use crate::config::node::{Kind, Node};

/// The text in the usual layout: no spaces at ends of lines, at most one blank line in a row, none at the start, one
/// line end at the end. Blocks of text (`|` and `>`) are left as they are.
///
/// # Errors
/// [`Unpatchable`] when it is not YAML, or would mean something else.
pub fn tidy(text: &str) -> Result<String, Unpatchable> {
    let tree = read(text)?;
    let mut blocks = Vec::new();
    find_blocks(text, &tree, &mut blocks);
    let (mut tidied, mut blank, mut at) = (String::with_capacity(text.len()), true, 0_usize);
    for line in text.split_inclusive('\n') {
        let end = at.saturating_add(line.len());
        let inside = blocks.iter().any(|(start, until)| end > *start && at < *until);
        at = end;
        let bare = line.trim_end_matches('\n').trim_end_matches('\r');
        let bare = if inside { bare } else { bare.trim_end() };
        if bare.is_empty() && blank && !inside {
            continue;
        }
        blank = bare.is_empty();
        tidied.push_str(bare);
        tidied.push('\n');
    }
    while tidied.ends_with("\n\n") && blocks.iter().all(|(_, until)| *until < text.trim_end().len()) {
        tidied.pop();
    }
    if meaning(&tidied)? == meaning(text)? {
        Ok(tidied)
    } else {
        Err(Unpatchable::new("the layout of this text cannot be changed without changing its meaning"))
    }
}

/// Where blocks of text begin and end.
fn find_blocks(text: &str, node: &Node, found: &mut Vec<(usize, usize)>) {
    match &node.kind {
        Kind::Scalar(_) => {
            let (start, end) = (node.span.start as usize, node.span.end as usize);
            // A text over several lines: its spaces and blank lines may be part of it.
            if text.get(start..end).is_some_and(|own| own.contains('\n')) {
                found.push((start, end));
            }
        }
        Kind::List(items) => items.iter().for_each(|item| find_blocks(text, item, found)),
        Kind::Map(entries) => entries.iter().for_each(|entry| find_blocks(text, &entry.value, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_and_the_rest_is_tidied_once() {
        let text = "\n\n# head  \na: 1   # why \r\n\n\n\nb:\n  - x  \n  - |\n    keep  \n\n\n    this\n\n\n";
        let tidied = tidy(text).unwrap();
        assert!(
            tidied.starts_with("# head\na: 1   # why\n\nb:\n  - x\n  - |\n    keep  \n\n\n    this\n"),
            "{tidied:?}"
        );
        assert_eq!(tidy(&tidied).unwrap(), tidied);
        assert_eq!(tidy("a: 1").unwrap(), "a: 1\n");
        assert!(tidy("a: [").is_err());
    }
}
