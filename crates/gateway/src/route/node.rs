//! The tree of path patterns, one node for each segment.
//!
//! Takes a canonical path, shows the places of the tree it leads to, the most specific first: at each segment a literal
//! before a `{name}` before regular expressions before `*`. The children of all nodes stand in one hash table, so that a
//! step costs the same however many there are; a node is entered at most once for each path. Literals that follow each
//! other with no other way between them are one node: with very many routes a step is a miss of the cache, and those
//! are what a search costs. Must never allocate while it walks but in the buffers of [`Params`], and never recurse.

use super::full_regex::FullRegex;
use super::hash::{Decoded, Index, NONE, Segment, first_segment, hash, under};
use super::key::Key;
use super::params::Params;

/// The node at which each search begins.
pub(super) const ROOT: u32 = 0;

/// A segment of some patterns, or several literal ones; links are numbers of nodes and of places, [`NONE`] where there
/// is none. One cache line, its key mostly included.
#[repr(align(64))]
pub(super) struct Node {
    pub(super) parent: u32,
    /// The literal text.
    pub(super) key: Key,
    /// Some literal child exists.
    pub(super) literals: bool,
    /// The `{name}` child.
    pub(super) named: u32,
    /// The place of patterns that end here.
    pub(super) end: u32,
    /// The place of patterns that end here with `*`.
    pub(super) tail: u32,
    /// Regular expressions that start with the literals up to here, in `Tree::regexes`.
    pub(super) regexes: (u32, u32),
}

const _: () = assert!(size_of::<Node>() == 64, "a node fills one cache line");

impl Node {
    fn has_other_ways(&self) -> bool {
        self.named != NONE || self.has_last_ways()
    }

    fn has_last_ways(&self) -> bool {
        self.tail != NONE || self.regexes.0 != self.regexes.1
    }
}

/// The finished tree.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) children: Index,
    pub(super) regexes: Vec<(FullRegex, u32)>,
}

/// What is next at a node.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Literal,
    Named,
    Last,
}

/// A place of the walk: a node, where its next segment starts, how many parts of the path were taken by name.
#[derive(Copy, Clone, Debug)]
pub(super) struct Frame {
    node: u32,
    /// One more than the length of the path when no segment is left.
    start: usize,
    named: usize,
    stage: Stage,
}

enum Next {
    Down(Frame),
    Back,
    Taken,
}

impl Tree {
    /// Shows the places that `path` leads to until `visit` takes one; says whether it did. `params` then holds the parts of
    /// the path for that place.
    pub(super) fn walk<F>(&self, path: &[u8], params: &mut Params, mut visit: F) -> bool
    where
        F: FnMut(u32, &mut Params) -> bool,
    {
        params.clear();
        if !path.starts_with(b"/") {
            return false;
        }
        let mut frame = Frame { node: ROOT, start: 1, named: 0, stage: Stage::Literal };
        loop {
            frame = match self.step(frame, path, params, &mut visit) {
                Next::Down(frame) => frame,
                Next::Taken => return true,
                Next::Back => {
                    let Some(frame) = params.frames.pop() else { return false };
                    params.ranges.truncate(frame.named);
                    frame
                }
            };
        }
    }

    #[inline]
    fn step<F>(&self, frame: Frame, path: &[u8], params: &mut Params, visit: &mut F) -> Next
    where
        F: FnMut(u32, &mut Params) -> bool,
    {
        let Some(node) = self.nodes.get(frame.node as usize) else { return Next::Back };
        if let Some(rest) = path.get(frame.start..) {
            if frame.stage < Stage::Last
                && let Some(down) = self.descend(frame, node, rest, params)
            {
                return Next::Down(down);
            }
        } else if node.end != NONE && visit(node.end, params) {
            return Next::Taken;
        }
        if node.has_last_ways() && self.last_ways(frame, node, path, params, visit) {
            return Next::Taken;
        }
        Next::Back
    }

    /// The next node for what is left of the path; what else could be tried at this one is kept for later.
    fn descend(&self, frame: Frame, node: &Node, rest: &[u8], params: &mut Params) -> Option<Frame> {
        let segment = first_segment(rest);
        if frame.stage == Stage::Literal
            && node.literals
            && let Some((child, taken)) = self.literal_child(frame.node, rest, segment)
        {
            if node.has_other_ways() {
                params.frames.push(Frame { stage: Stage::Named, ..frame });
            }
            let start = frame.start + taken + 1;
            return Some(Frame { node: child, start, named: frame.named, stage: Stage::Literal });
        }
        if node.named == NONE || segment.bytes.is_empty() {
            return None;
        }
        if node.has_last_ways() {
            params.frames.push(Frame { stage: Stage::Last, ..frame });
        }
        let end = frame.start + segment.bytes.len();
        params.ranges.push(frame.start..end);
        Some(Frame { node: node.named, start: end + 1, named: frame.named + 1, stage: Stage::Literal })
    }

    /// The literal child that `rest` leads to, and how many bytes of it that takes.
    #[inline]
    fn literal_child(&self, parent: u32, rest: &[u8], segment: Segment<'_>) -> Option<(u32, usize)> {
        let decoded = || hash(Decoded::path(segment.bytes));
        let hash = if segment.escaped { decoded() } else { segment.hash };
        self.children.find(under(parent, hash), |id| {
            let node = self.nodes.get(id as usize).filter(|node| node.parent == parent)?;
            Some((id, node.key.takes(rest, segment)?))
        })
    }

    /// Regular expressions, then `*`.
    fn last_ways<F>(&self, frame: Frame, node: &Node, path: &[u8], params: &mut Params, visit: &mut F) -> bool
    where
        F: FnMut(u32, &mut Params) -> bool,
    {
        let regexes = self.regexes.get(node.regexes.0 as usize..node.regexes.1 as usize);
        for (regex, place) in regexes.unwrap_or_default() {
            if regex.is_match(path) && visit(*place, params) {
                return true;
            }
        }
        if node.tail == NONE {
            return false;
        }
        params.ranges.push(frame.start.min(path.len())..path.len());
        if visit(node.tail, params) {
            return true;
        }
        params.ranges.pop();
        false
    }
}
