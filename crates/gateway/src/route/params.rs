//! The parts of a path that a route asked for by name, and the memory a search needs.
//!
//! One is kept by each connection and used for each of its requests, so that a search allocates nothing. Says where the parts
//! stand; the names belong to the table.

use std::ops::Range;

use super::node::Frame;

/// Where the `{name}` segments and the tail stand in the path of the last search.
#[derive(Clone, Default, Debug)]
pub struct Params {
    pub(super) ranges: Vec<Range<usize>>,
    /// The route of the table that the ranges belong to.
    pub(super) route: usize,
    /// The names of that route's parts, in the table.
    pub(super) names: usize,
    /// Ways the search could still take.
    pub(super) frames: Vec<Frame>,
    /// A value under test.
    pub(super) scratch: Vec<u8>,
}

impl Params {
    /// Forgets the last search and keeps its memory.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.frames.clear();
        (self.route, self.names) = (0, 0);
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The part at this place in [`super::pattern::Pattern::param_names`], as bytes of the path that was searched, escapes
    /// as they stand there.
    pub fn get<'p>(&self, at: usize, path: &'p [u8]) -> Option<&'p [u8]> {
        path.get(self.ranges.get(at)?.clone())
    }
}
