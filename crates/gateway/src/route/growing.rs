//! The tree of path patterns while it grows: one node for each segment, each to be found by its text.
//!
//! Takes patterns, gives each its place; makes the tree that is searched, in which literals without a fork between them
//! are one node.

use std::collections::HashMap;

use super::full_regex::FullRegex;
use super::hash::{Decoded, Index, NONE, hash, under};
use super::key::Key;
use super::node::{Node, ROOT, Tree};
use super::pattern;

/// A segment of some patterns.
struct Sprout {
    parent: u32,
    /// The decoded text; `None` for the root and for `{name}`.
    literal: Option<Box<[u8]>>,
    named: u32,
    end: u32,
    tail: u32,
    regexes: (u32, u32),
    literals: u32,
    /// The literal child made last.
    child: u32,
}

/// A tree that still grows.
pub(super) struct Growing {
    nodes: Vec<Sprout>,
    literals: HashMap<(u32, Box<[u8]>), u32>,
    regexes: Vec<(u32, FullRegex, u32)>,
    regex_places: HashMap<Box<str>, u32>,
    places: u32,
}

impl Default for Growing {
    fn default() -> Self {
        let (nodes, literals, regexes) = (Vec::new(), HashMap::new(), Vec::new());
        let mut tree = Self { nodes, literals, regexes, regex_places: HashMap::new(), places: 0 };
        tree.add_node(NONE, None);
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
    pub(super) fn finish(mut self) -> Tree {
        let regexes = self.place_regexes();
        let merged: Vec<bool> = self.nodes.iter().map(|node| self.is_passage(node)).collect();
        let is_merged = |id: u32| merged.get(id as usize).is_some_and(|merged| *merged);
        let live = merged.iter().filter(|merged| !**merged).count();
        let mut children = Index::with_room_for(live);
        let mut nodes: Vec<Node> = Vec::with_capacity(live);
        // For each sprout its number in the tree, or of the node above which its text is only a part of another's.
        let mut numbers: Vec<u32> = Vec::with_capacity(self.nodes.len());
        let mut started: HashMap<u32, Vec<u8>> = HashMap::new();
        for (id, sprout) in (0..).zip(&self.nodes) {
            let above = numbers.get(sprout.parent as usize).copied().unwrap_or(NONE);
            let mut text = started.remove(&sprout.parent).filter(|_| sprout.literal.is_some());
            let several = text.is_some();
            if let (Some(text), Some(literal)) = (&mut text, &sprout.literal) {
                text.push(b'/');
                text.extend_from_slice(literal);
            }
            let text = text.unwrap_or_else(|| sprout.literal.as_deref().unwrap_or_default().to_vec());
            if is_merged(id) {
                numbers.push(above);
                started.insert(id, text);
                continue;
            }
            let number = nodes.len() as u32;
            numbers.push(number);
            if sprout.literal.is_some() {
                let first = text.split(|&byte| several && byte == b'/').next().unwrap_or_default();
                children.insert(under(above, hash(first.iter().copied())), number);
            }
            let Sprout { named, end, tail, regexes, literals, .. } = *sprout;
            let key = Key::new(&text, several);
            nodes.push(Node { parent: above, key, literals: literals > 0, named, end, tail, regexes });
        }
        for node in &mut nodes {
            node.named = numbers.get(node.named as usize).copied().unwrap_or(NONE);
        }
        Tree { nodes, children, regexes }
    }

    /// Whether nothing can happen at a node but going on to its one literal child.
    fn is_passage(&self, node: &Sprout) -> bool {
        let plain = |node: &Sprout| node.literal.as_ref().is_some_and(|text| !text.contains(&b'/'));
        plain(node)
            && node.literals == 1
            && [node.named, node.end, node.tail].iter().all(|way| *way == NONE)
            && node.regexes.0 == node.regexes.1
            && self.nodes.get(node.child as usize).is_some_and(plain)
    }

    /// Puts the regular expressions in order and tells each node its own.
    fn place_regexes(&mut self) -> Vec<(FullRegex, u32)> {
        // Longer text first, then by text: an order that the user sees and that no file decides.
        self.regexes.sort_by(|(left_node, left, _), (right_node, right, _)| {
            let length = right.as_str().len().cmp(&left.as_str().len());
            left_node.cmp(right_node).then(length).then_with(|| left.as_str().cmp(right.as_str()))
        });
        for (at, (node, ..)) in self.regexes.iter().enumerate() {
            if let Some(node) = self.nodes.get_mut(*node as usize) {
                let start = if node.regexes.0 == node.regexes.1 { at as u32 } else { node.regexes.0 };
                node.regexes = (start, at as u32 + 1);
            }
        }
        std::mem::take(&mut self.regexes).into_iter().map(|(_, regex, place)| (regex, place)).collect()
    }

    fn literal_child(&mut self, parent: u32, literal: Box<[u8]>) -> u32 {
        if let Some(&child) = self.literals.get(&(parent, literal.clone())) {
            return child;
        }
        let child = self.add_node(parent, Some(literal.clone()));
        self.literals.insert((parent, literal), child);
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            (node.literals, node.child) = (node.literals.saturating_add(1), child);
        }
        child
    }

    fn named_child(&mut self, parent: u32) -> u32 {
        match self.nodes.get(parent as usize) {
            Some(node) if node.named != NONE => return node.named,
            _ => {}
        }
        let child = self.add_node(parent, None);
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            node.named = child;
        }
        child
    }

    fn add_node(&mut self, parent: u32, literal: Option<Box<[u8]>>) -> u32 {
        let (named, end, tail, child) = (NONE, NONE, NONE, NONE);
        self.nodes.push(Sprout { parent, literal, named, end, tail, regexes: (0, 0), literals: 0, child });
        self.nodes.len() as u32 - 1
    }
}
