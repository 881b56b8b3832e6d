//! The tree of path patterns, one node for each segment.
//!
//! Takes a canonical path, shows the places of the tree it leads to, the most specific first: at each segment a literal
//! before a `{name}` before regular expressions before `*`. The children of all nodes stand in one hash table, so that a
//! step costs the same however many there are; a node is entered at most once for each path. Must never allocate
//! while it walks but in the buffers of [`Params`], and never recurse.

use std::collections::HashMap;

use super::full_regex::FullRegex;
use super::hash::{Decoded, Index, NONE, Segment, first_segment, hash, under};
use super::params::Params;
use super::pattern;

const ROOT: u32 = 0;

/// A segment of some patterns; links are numbers of nodes and of places, [`NONE`] where there is none.
struct Node {
    parent: u32,
    /// The literal text, in `Tree::keys`.
    key: (u32, u32),
    /// Some literal child exists.
    literals: bool,
    /// The `{name}` child.
    named: u32,
    /// The place of patterns that end here.
    end: u32,
    /// The place of patterns that end here with `*`.
    tail: u32,
    /// Regular expressions that start with the literals up to here, in `Tree::regexes`.
    regexes: (u32, u32),
}

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
    nodes: Vec<Node>,
    keys: Vec<u8>,
    children: Index,
    regexes: Vec<(FullRegex, u32)>,
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
                && let Some(down) = self.descend(frame, node, first_segment(rest), params)
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

    /// The next node for a segment; what else could be tried at this one is kept for later.
    fn descend(&self, frame: Frame, node: &Node, segment: Segment<'_>, params: &mut Params) -> Option<Frame> {
        let end = frame.start + segment.bytes.len();
        if frame.stage == Stage::Literal
            && node.literals
            && let Some(child) = self.literal_child(frame.node, segment)
        {
            if node.has_other_ways() {
                params.frames.push(Frame { stage: Stage::Named, ..frame });
            }
            return Some(Frame { node: child, start: end + 1, named: frame.named, stage: Stage::Literal });
        }
        if node.named == NONE || segment.bytes.is_empty() {
            return None;
        }
        if node.has_last_ways() {
            params.frames.push(Frame { stage: Stage::Last, ..frame });
        }
        params.ranges.push(frame.start..end);
        Some(Frame { node: node.named, start: end + 1, named: frame.named + 1, stage: Stage::Literal })
    }

    fn literal_child(&self, parent: u32, segment: Segment<'_>) -> Option<u32> {
        if !segment.escaped {
            let is = |id| self.key_under(id, parent).is_some_and(|key| key == segment.bytes);
            return self.children.find(under(parent, segment.hash), is);
        }
        let decoded = Decoded::path(segment.bytes);
        let is = |id| self.key_under(id, parent).is_some_and(|key| key.iter().copied().eq(decoded.clone()));
        self.children.find(under(parent, hash(decoded.clone())), is)
    }

    /// The literal of a node if that is a child of `parent`.
    fn key_under(&self, id: u32, parent: u32) -> Option<&[u8]> {
        let node = self.nodes.get(id as usize).filter(|node| node.parent == parent)?;
        self.keys.get(node.key.0 as usize..node.key.1 as usize)
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

/// A tree that still grows.
pub(super) struct Growing {
    nodes: Vec<Node>,
    literals: HashMap<(u32, Box<[u8]>), u32>,
    regexes: Vec<(u32, FullRegex, u32)>,
    regex_places: HashMap<Box<str>, u32>,
    places: u32,
}

impl Default for Growing {
    fn default() -> Self {
        let (nodes, literals, regexes) = (Vec::new(), HashMap::new(), Vec::new());
        let mut tree = Self { nodes, literals, regexes, regex_places: HashMap::new(), places: 0 };
        tree.add_node(NONE);
        tree
    }
}

impl Growing {
    /// The place of patterns with these segments; the same for the same ones.
    pub(super) fn place_of_segments(&mut self, segments: &[pattern::Segment], tail: bool) -> u32 {
        let end = segments.iter().fold(ROOT, |node, segment| match segment {
            pattern::Segment::Literal(text) => self.literal_child(node, pattern::Segment::literal_key(text)),
            pattern::Segment::Name(_) => self.named_child(node),
        });
        let next = self.places;
        let place = match self.nodes.get_mut(end as usize) {
            Some(node) if tail => &mut node.tail,
            Some(node) => &mut node.end,
            None => return NONE,
        };
        if *place == NONE {
            *place = next;
            self.places += 1;
        }
        *place
    }

    /// The place of patterns with this regular expression. It hangs below the whole segments that each match starts with.
    pub(super) fn place_of_regex(&mut self, regex: &FullRegex) -> u32 {
        if let Some(&place) = self.regex_places.get(regex.as_str()) {
            return place;
        }
        let start = regex.literal_start();
        let whole = start.strip_prefix(b"/").and_then(|rest| rest.get(..memchr::memrchr(b'/', rest)?));
        let node = whole.map_or(ROOT, |whole| {
            whole
                .split(|&byte| byte == b'/')
                .fold(ROOT, |node, literal| self.literal_child(node, Decoded::path(literal).collect()))
        });
        let place = self.places;
        self.places += 1;
        self.regexes.push((node, regex.clone(), place));
        self.regex_places.insert(regex.as_str().into(), place);
        place
    }

    /// How many places there are.
    pub(super) fn places(&self) -> u32 {
        self.places
    }

    /// Puts the tree into the form in which it is searched.
    pub(super) fn finish(self) -> Tree {
        let Self { mut nodes, literals, mut regexes, .. } = self;
        let mut children = Index::with_room_for(literals.len());
        let mut keys = Vec::new();
        for ((parent, literal), id) in literals {
            children.insert(under(parent, hash(literal.iter().copied())), id);
            let start = keys.len() as u32;
            keys.extend_from_slice(&literal);
            if let Some(node) = nodes.get_mut(id as usize) {
                node.key = (start, keys.len() as u32);
            }
        }
        // Longer text first, then by text: an order that the user sees and that no file decides.
        regexes.sort_by(|(left_node, left, _), (right_node, right, _)| {
            let length = right.as_str().len().cmp(&left.as_str().len());
            left_node.cmp(right_node).then(length).then_with(|| left.as_str().cmp(right.as_str()))
        });
        for (at, (node, ..)) in regexes.iter().enumerate() {
            if let Some(node) = nodes.get_mut(*node as usize) {
                let start = if node.regexes.0 == node.regexes.1 { at as u32 } else { node.regexes.0 };
                node.regexes = (start, at as u32 + 1);
            }
        }
        let regexes = regexes.into_iter().map(|(_, regex, place)| (regex, place)).collect();
        Tree { nodes, keys, children, regexes }
    }

    fn literal_child(&mut self, parent: u32, literal: Box<[u8]>) -> u32 {
        if let Some(&child) = self.literals.get(&(parent, literal.clone())) {
            return child;
        }
        let child = self.add_node(parent);
        self.literals.insert((parent, literal), child);
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.literals = true;
        }
        child
    }

    fn named_child(&mut self, parent: u32) -> u32 {
        match self.nodes.get(parent as usize) {
            Some(node) if node.named != NONE => return node.named,
            _ => {}
        }
        let child = self.add_node(parent);
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.named = child;
        }
        child
    }

    fn add_node(&mut self, parent: u32) -> u32 {
        let (named, end, tail) = (NONE, NONE, NONE);
        self.nodes.push(Node { parent, key: (0, 0), literals: false, named, end, tail, regexes: (0, 0) });
        self.nodes.len() as u32 - 1
    }
}
