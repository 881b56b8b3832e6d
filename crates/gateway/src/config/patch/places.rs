//! Which node of a text stands at a place: the way back from a fault to the setting that somebody edits.
//!
//! Takes a text and lines with columns; gives the keys that lead to the innermost node there. Where the text cannot be
//! read it gives nothing, never an error: the fault itself has been told already.

use super::read;
use crate::config::node::{Kind, Node};

/// The keys and indices that lead to what stands at each of these places (line and column in characters, from 1).
pub fn paths_at(text: &str, places: &[(usize, usize)]) -> Vec<Option<Vec<String>>> {
    let tree = read(text).ok();
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1))).collect();
    let path = |(line, column): &(usize, usize)| {
        let start = *starts.get(line.checked_sub(1)?)?;
        let rest = text.get(start..)?;
        let within = rest.char_indices().nth(column.checked_sub(1)?).map_or(rest.len(), |(at, _)| at);
        let mut path = Vec::new();
        walk(tree.as_ref()?, start.saturating_add(within), &mut path);
        Some(path)
    };
    places.iter().map(path).collect()
}

fn walk(node: &Node, at: usize, path: &mut Vec<String>) {
    let covers = |node: &Node| (node.span.start as usize..node.span.end as usize).contains(&at);
    match &node.kind {
        Kind::Map(entries) => {
            // The last key that begins before the place: what stands between a key and its value is of that key.
            let mut before = entries.iter().filter(|entry| entry.key.span().start as usize <= at);
            let Some(entry) = before.next_back() else { return };
            let key = entry.key.span();
            if at < key.end as usize || at < node.span.end as usize || covers(&entry.value) {
                path.push(entry.key.to_string());
                walk(&entry.value, at, path);
            }
        }
        Kind::List(items) => {
            let mut found = items.iter().enumerate().filter(|(_, item)| covers(item));
            if let Some((index, item)) = found.next() {
                path.push(index.to_string());
                walk(item, at, path);
            }
        }
        Kind::Scalar(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_leads_to_its_keys() {
        let text = "# a comment\nroutes:\n  /a/*:\n    to: ü\n    ip: { allow: [10.0.0.0/8, \"x\"] }\n  /b: { to: b, timeout: 0s }\n";
        let cases: [(usize, usize, &[&str]); 7] = [
            (4, 5, &["routes", "/a/*", "to"]),
            (4, 9, &["routes", "/a/*", "to"]),
            (5, 5, &["routes", "/a/*", "ip"]),
            (5, 32, &["routes", "/a/*", "ip", "allow", "1"]),
            (6, 3, &["routes", "/b"]),
            (6, 25, &["routes", "/b", "timeout"]),
            (2, 1, &["routes"]),
        ];
        for (line, column, path) in cases {
            let found = paths_at(text, &[(line, column)]);
            assert_eq!(found, [Some(path.iter().map(|key| (*key).to_owned()).collect())], "{line}:{column}");
        }
    }

    #[test]
    fn what_is_no_place_leads_nowhere() {
        assert_eq!(paths_at("a: [", &[(1, 1)]), [None]);
        assert_eq!(paths_at("a: 1\n", &[(0, 1), (9, 1)]), [None, None]);
    }
}
