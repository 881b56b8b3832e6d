//! Places in a document: `orders.*.card.number`.
//!
//! Names with dots between them; `*` is every member or element, a number an element or the member of that name, a name in
//! double quotes may hold dots, and `**.name` is a member of that name at any depth.

use std::fmt;
use std::str::FromStr;

/// Segments of one path.
const MOST: usize = 32;

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The member of this name, or the element of this number.
    Name(String),
    /// Every member or element.
    Any,
}

/// A place, or many, in a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Whether it is a name at any depth; it has one segment then.
    pub deep: bool,
    /// The way from the top.
    pub segments: Vec<Segment>,
}

impl Path {
    /// A member of this name at any depth.
    pub fn deep(name: &str) -> Path {
        Path { deep: true, segments: vec![Segment::Name(name.to_owned())] }
    }

    /// The way up to its last `*`, and the names behind it. A path without one begins at the top.
    pub(crate) fn split(&self) -> (Vec<Segment>, Vec<String>) {
        let last = self.segments.iter().rposition(|segment| *segment == Segment::Any);
        let at = last.map_or(0, |last| last.saturating_add(1));
        let (before, after) = self.segments.split_at_checked(at).unwrap_or_default();
        let names = after.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(name.clone()),
            Segment::Any => None,
        });
        (before.to_vec(), names.collect())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Path, String> {
        let (deep, mut rest) = match text.strip_prefix("**.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut segments = Vec::new();
        loop {
            let (segment, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (name, after) = quoted.split_once('"').ok_or("a quote has no partner")?;
                    (Segment::Name(name.to_owned()), after)
                }
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    let (name, after) = rest.split_at_checked(end).unwrap_or_default();
                    match name {
                        "" => return Err("a name is missing: write names with dots between them".into()),
                        "*" => (Segment::Any, after),
                        "**" => return Err("`**` stands only at the beginning, as in `**.password`".into()),
                        _ if name.contains('"') => return Err("quotes stand around a whole name".into()),
                        _ => (Segment::Name(name.to_owned()), after),
                    }
                }
            };
            segments.push(segment);
            if segments.len() > MOST {
                return Err(format!("a path has at most {MOST} names"));
            }
            match after.strip_prefix('.') {
                Some(after) => rest = after,
                None if after.is_empty() => break,
                None => return Err("a dot is missing behind a quote".into()),
            }
        }
        if deep && (segments.len() != 1 || segments.first() == Some(&Segment::Any)) {
            return Err("`**.` is followed by one name, as in `**.password`".into());
        }
        Ok(Path { deep, segments })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.deep {
            f.write_str("**.")?;
        }
        for (nth, segment) in self.segments.iter().enumerate() {
            if nth > 0 {
                f.write_str(".")?;
            }
            match segment {
                Segment::Any => f.write_str("*")?,
                Segment::Name(name)
                    if name.contains('.') || name == "*" || name == "**" || name.is_empty() =>
                {
                    write!(f, "\"{name}\"")?;
                }
                Segment::Name(name) => f.write_str(name)?,
            }
        }
        Ok(())
    }
}

/// Paths put together, so that a document is followed along all of them at once. What is to be done at a place is a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    deep: Vec<(Vec<u8>, u32)>,
    /// Whether names at any depth are compared without regard to case.
    fold: bool,
    /// Which lengths the names at any depth have, to pass the others quickly.
    lengths: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    names: Vec<(Vec<u8>, Option<u64>, u32)>,
    any: Option<u32>,
    act: Option<u32>,
}

impl Trie {
    pub(crate) fn new(fold: bool) -> Trie {
        Trie { nodes: vec![Node::default()], fold, ..Trie::default() }
    }

    /// Adds a path. What was said first of a place holds.
    pub(crate) fn add(&mut self, path: &Path, act: u32) {
        if path.deep {
            if let Some(Segment::Name(name)) = path.segments.first() {
                self.deep.push((name.as_bytes().to_vec(), act));
                self.lengths |= length_bit(name.len());
            }
            return;
        }
        let mut at = 0_u32;
        for segment in &path.segments {
            at = self.child(at, segment);
        }
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.act.get_or_insert(act);
        }
    }

    fn child(&mut self, at: u32, segment: &Segment) -> u32 {
        let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(node) = self.nodes.get_mut(at as usize) else { return at };
        let found = match segment {
            Segment::Any => *node.any.get_or_insert(new),
            Segment::Name(name) => match node.names.iter().find(|(known, ..)| known == name.as_bytes()) {
                Some((.., child)) => *child,
                None => {
                    let index = name.parse::<u64>().ok().filter(|index| index.to_string() == *name);
                    node.names.push((name.as_bytes().to_vec(), index, new));
                    new
                }
            },
        };
        if found == new {
            self.nodes.push(Node::default());
        }
        found
    }

    /// Whether a name at any depth is looked for.
    pub(crate) fn is_deep(&self) -> bool {
        !self.deep.is_empty()
    }

    /// Whether what is looked for is the whole document.
    pub(crate) fn is_at_top(&self) -> bool {
        self.act(0).is_some()
    }

    /// Whether both look for the same.
    pub(crate) fn is_same(&self, other: &Trie) -> bool {
        self.nodes == other.nodes && self.deep == other.deep
    }

    fn act(&self, node: u32) -> Option<u32> {
        self.nodes.get(node as usize)?.act
    }

    fn deep_act(&self, name: &[u8]) -> Option<u32> {
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        let same = |own: &[u8]| if self.fold { own.eq_ignore_ascii_case(name) } else { own == name };
        self.deep.iter().find(|(own, _)| same(own)).map(|(_, act)| *act)
    }
}

/// Of what is to be done at a place, that which was said first.
fn first(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// Where in a document a walk along a trie is.
#[derive(Default)]
pub(crate) struct Place {
    active: Vec<u32>,
    levels: Vec<Level>,
    next: Vec<u32>,
    act: Option<u32>,
}

struct Level {
    start: usize,
    array: bool,
    index: u64,
}

impl Place {
    /// The name of the next value; what is to be done there.
    pub(crate) fn name(&mut self, trie: &Trie, name: &[u8]) -> Option<u32> {
        let name = crate::text::plain(name);
        self.next.clear();
        self.act = None;
        let start = self.levels.last().map_or(0, |level| level.start);
        for at in self.active.get(start..).unwrap_or_default() {
            let Some(node) = trie.nodes.get(*at as usize) else { continue };
            let named = node.names.iter().find(|(known, ..)| *known == *name).map(|(.., child)| *child);
            for child in [named, node.any].into_iter().flatten() {
                self.next.push(child);
                self.act = first(self.act, trie.act(child));
            }
        }
        if trie.is_deep() {
            self.act = first(self.act, trie.deep_act(&name));
        }
        self.act
    }

    /// A value begins; what is to be done there.
    pub(crate) fn value(&mut self, trie: &Trie) -> Option<u32> {
        match self.levels.last_mut() {
            Some(level) if level.array => {
                let (start, index) = (level.start, level.index);
                level.index = index.saturating_add(1);
                self.next.clear();
                self.act = None;
                for at in self.active.get(start..).unwrap_or_default() {
                    let Some(node) = trie.nodes.get(*at as usize) else { continue };
                    let named = node.names.iter().find(|(_, own, _)| *own == Some(index));
                    for child in [named.map(|(.., child)| *child), node.any].into_iter().flatten() {
                        self.next.push(child);
                        self.act = first(self.act, trie.act(child));
                    }
                }
            }
            Some(_) => {}
            None => {
                self.next.clear();
                self.next.push(0);
                self.act = trie.act(0);
            }
        }
        self.act.take()
    }

    /// Whether the value that comes next is the document.
    pub(crate) fn is_at_top(&self) -> bool {
        self.levels.is_empty()
    }

    /// Whether a path leads further than the value that comes next.
    pub(crate) fn leads_on(&self) -> bool {
        !self.next.is_empty()
    }

    /// The value is an object or array that is gone into.
    pub(crate) fn enter(&mut self, array: bool) {
        self.levels.push(Level { start: self.active.len(), array, index: 0 });
        self.active.extend_from_slice(&self.next);
    }

    /// Its end.
    pub(crate) fn leave(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.active.truncate(level.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_told() {
        for text in ["a", "orders.*.card.number", "*", "items.0.name", "\"a.b\".c", "**.password", "\"*\""] {
            let path: Path = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
        }
        for text in ["", ".", "a.", "a..b", "**", "**.a.b", "a.**.b", "**.*", "\"a", "\"a\"b", "a\"b"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
        let path: Path = "a.*.b.c".parse().unwrap();
        assert_eq!(path.split().1, ["b", "c"]);
    }
}
