//! The compiled table of all routes: which one takes a request.
//!
//! Takes patterns, each with what its owner wants to find again; gives for a request the most specific one that takes it.
//! The path decides first, then the method, the host, the conditions; the order in which patterns came never does. A search
//! takes time by the length of the path, not by the number of routes, and never allocates.

use std::collections::HashMap;
use std::fmt;

use http1::{Fields, Method};

use super::growing::Growing;
use super::method::MethodSet;
use super::node::Tree;
use super::params::Params;
use super::pattern::{HostPattern, PathPattern, Pattern, Segment};
use super::place::{Entry, Gathering, Places};

/// What a request says that a route may ask for.
#[derive(Copy, Clone)]
pub struct Lookup<'r> {
    /// The method.
    pub method: Method,
    /// The text of the method, read when that is [`Method::Other`].
    pub method_text: &'r [u8],
    /// The host in its canonical spelling, without port; empty if the request has none.
    pub host: &'r [u8],
    /// The path in its canonical spelling.
    pub path: &'r [u8],
    /// The query without its `?`, as it came.
    pub query: &'r [u8],
    /// The fields.
    pub fields: &'r Fields,
}

/// The route that takes a request.
#[derive(Debug)]
pub struct Found<'t, T> {
    /// What its owner stored.
    pub value: T,
    /// Its pattern.
    pub pattern: &'t Pattern,
}

/// No route takes the request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NotFound {
    /// The methods with which a route would have taken it, all else the same; empty when it is not the method that is wrong.
    /// [`Method::Other`] stands for methods that [`Table::allow`] can name.
    pub allowed: MethodSet,
}

/// Two patterns that would take the same requests with equal right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The pattern that was refused.
    pub pattern: String,
    /// The pattern it collides with.
    pub existing: String,
    /// Which one that is, counted from 0 in the order of adding.
    pub existing_index: usize,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` and `{}` take the same requests", self.existing, self.pattern)
    }
}

impl std::error::Error for Conflict {}

/// All routes, ready to be searched.
pub struct Table<T> {
    // A search looks at neither: with very many routes each line of memory counts.
    patterns: Vec<Pattern>,
    values: Vec<T>,
    /// The names that routes give to the parts of the path; many routes have the same.
    names: Vec<Vec<String>>,
    tree: Tree,
    places: Places<T>,
}

impl<T: Copy> Table<T> {
    /// Finds the route that takes the request. `params` then holds the parts of the path it names.
    ///
    /// # Errors
    /// [`NotFound`] when no route takes it.
    pub fn find(&self, lookup: &Lookup<'_>, params: &mut Params) -> Result<Found<'_, T>, NotFound> {
        let mut winner = None;
        let mut methods_matter = false;
        self.tree.walk(lookup.path, params, |place, params| {
            methods_matter |= self.places.names_methods(place);
            self.places.routes(place, lookup.method, lookup.host, |entry| {
                let taken = self.takes(entry, lookup, &mut params.scratch);
                if taken {
                    winner = Some(*entry);
                }
                taken
            })
        });
        let found = winner.and_then(|entry| Some((entry, self.patterns.get(entry.route as usize)?)));
        let Some((Entry { value, route, names, groups, .. }, pattern)) = found else {
            let allowed =
                if methods_matter { self.allowed_methods(lookup, params) } else { MethodSet::EMPTY };
            return Err(NotFound { allowed });
        };
        (params.route, params.names) = (route as usize, names as usize);
        if groups && let PathPattern::Regex(regex) = &pattern.path {
            params.ranges.extend(regex.groups(lookup.path).map(|(start, end)| start..end));
        }
        Ok(Found { value, pattern })
    }

    /// The part of the path that the route of the last search calls so; the tail is `*`.
    pub fn param<'p>(&self, params: &Params, path: &'p [u8], name: &str) -> Option<&'p [u8]> {
        let names = self.names.get(params.names)?;
        params.get(names.iter().position(|own| own == name)?, path)
    }

    /// The parts of the path that the route of the last search names.
    pub fn params<'s>(
        &'s self,
        params: &'s Params,
        path: &'s [u8],
    ) -> impl Iterator<Item = (&'s str, &'s [u8])> {
        let names = self.names.get(params.names).map(Vec::as_slice).unwrap_or_default();
        let values = (0..params.len()).map_while(|at| params.get(at, path));
        names.iter().map(String::as_str).zip(values)
    }

    /// The value of `Allow` for a request that no route takes because of its method (RFC 9110 section 10.2.1).
    pub fn allow(&self, lookup: &Lookup<'_>, params: &mut Params) -> String {
        let mut others: Vec<&str> = Vec::new();
        let mut known = MethodSet::EMPTY;
        self.each_by_other_method(lookup, params, |entry| {
            known = known.union(entry.methods);
            let pattern = self.patterns.get(entry.route as usize);
            let texts = pattern.map(|pattern| pattern.other_methods.as_slice()).unwrap_or_default();
            others.extend(texts.iter().map(String::as_str));
        });
        others.sort_unstable();
        others.dedup();
        let known = with_head(known).to_string();
        let known = Some(known.as_str()).filter(|known| !known.is_empty());
        known.into_iter().chain(others).collect::<Vec<_>>().join(", ")
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The route that was added as number `index`, from 0.
    pub(super) fn get(&self, index: usize) -> Option<(&Pattern, &T)> {
        Some((self.patterns.get(index)?, self.values.get(index)?))
    }

    /// The routes in the order of adding.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &T)> {
        self.patterns.iter().zip(&self.values)
    }

    /// Whether a route that takes path, host and known method takes all else.
    fn takes(&self, entry: &Entry<T>, lookup: &Lookup<'_>, scratch: &mut Vec<u8>) -> bool {
        let other = lookup.method == Method::Other && !entry.methods.is_empty();
        if !other && !entry.conditional {
            return true;
        }
        self.patterns.get(entry.route as usize).is_some_and(|pattern| {
            (!other || pattern.names_method(lookup.method, lookup.method_text))
                && pattern.conditions.iter().all(|condition| condition.judge(lookup, scratch).is_ok())
        })
    }

    fn allowed_methods(&self, lookup: &Lookup<'_>, params: &mut Params) -> MethodSet {
        let mut allowed = MethodSet::EMPTY;
        self.each_by_other_method(lookup, params, |entry| allowed = allowed.union(entry.methods));
        with_head(allowed)
    }

    /// Shows the routes that name methods and would take the request with one of them.
    fn each_by_other_method(
        &self,
        lookup: &Lookup<'_>,
        params: &mut Params,
        mut show: impl FnMut(&Entry<T>),
    ) {
        self.tree.walk(lookup.path, params, |place, params| {
            self.places.routes_that_name_methods(place, lookup.host, |entry| {
                let pattern = self.patterns.get(entry.route as usize);
                let conditions = pattern.map(|pattern| pattern.conditions.as_slice()).unwrap_or_default();
                if conditions.iter().all(|condition| condition.judge(lookup, &mut params.scratch).is_ok()) {
                    show(entry);
                }
            });
            false
        });
        params.clear();
    }

    /// All routes that take the request, the most specific first.
    pub(super) fn all(&self, lookup: &Lookup<'_>, params: &mut Params) -> Vec<usize> {
        let mut found = Vec::new();
        self.tree.walk(lookup.path, params, |place, params| {
            self.places.routes(place, lookup.method, lookup.host, |entry| {
                if self.takes(entry, lookup, &mut params.scratch) {
                    found.push(entry.route as usize);
                }
                false
            })
        });
        found
    }
}

/// A route that takes GET takes HEAD.
fn with_head(mut methods: MethodSet) -> MethodSet {
    if methods.contains(Method::Get) {
        methods.insert(Method::Head);
    }
    methods
}

/// A table that still grows.
pub struct Builder<T> {
    values: Vec<T>,
    patterns: Vec<Pattern>,
    names: Vec<Vec<String>>,
    known_names: HashMap<Vec<String>, u32>,
    /// The routes that differ in nothing but their methods.
    same_but_methods: HashMap<String, Vec<usize>>,
    tree: Growing,
    places: Gathering<T>,
}

impl<T> Default for Builder<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            patterns: Vec::new(),
            names: Vec::new(),
            known_names: HashMap::new(),
            same_but_methods: HashMap::new(),
            tree: Growing::default(),
            places: Gathering::default(),
        }
    }
}

impl<T: Copy> Builder<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a route in.
    ///
    /// # Errors
    /// [`Conflict`] with a route of the same path, host and conditions that has a method in common or, as this one, takes every
    /// method. The names of `{name}` segments make no difference.
    pub fn add(&mut self, pattern: Pattern, value: T) -> Result<(), Conflict> {
        let alike = self.same_but_methods.entry(key_without_methods(&pattern)).or_default();
        let existing = alike.iter().find_map(|&index| {
            let existing = self.patterns.get(index)?;
            share_method(existing, &pattern).then_some((index, existing))
        });
        if let Some((existing_index, existing)) = existing {
            let (pattern, existing) = (pattern.to_string(), existing.to_string());
            return Err(Conflict { pattern, existing, existing_index });
        }
        alike.push(self.patterns.len());
        let place = match &pattern.path {
            PathPattern::Segments { segments, tail } => self.tree.place_of_segments(segments, *tail),
            PathPattern::Regex(regex) => self.tree.place_of_regex(regex),
        };
        let names = self.known_names.entry(pattern.param_names()).or_insert_with_key(|names| {
            self.names.push(names.clone());
            self.names.len() as u32 - 1
        });
        self.places.add(place, self.patterns.len() as u32, *names, &pattern, value);
        self.values.push(value);
        self.patterns.push(pattern);
        Ok(())
    }

    /// Puts the routes into the form in which they are searched.
    pub fn build(self) -> Table<T> {
        let places = self.places.finish(self.tree.places());
        let Self { values, patterns, names, tree, .. } = self;
        Table { patterns, values, names, tree: tree.finish(), places }
    }
}

fn share_method(left: &Pattern, right: &Pattern) -> bool {
    (left.takes_every_method() && right.takes_every_method())
        || !left.methods.intersection(right.methods).is_empty()
        || left.other_methods.iter().any(|method| right.other_methods.contains(method))
}

/// A text that is the same for patterns of the same path, host and conditions.
fn key_without_methods(pattern: &Pattern) -> String {
    let mut key = match &pattern.host {
        HostPattern::Any => "*".to_owned(),
        host => host.to_string(),
    };
    match &pattern.path {
        PathPattern::Segments { segments, tail } => {
            for segment in segments {
                match segment {
                    // A NUL stands in no segment, so that no literal looks like a name.
                    Segment::Name(_) => key.push_str("/\0"),
                    Segment::Literal(text) => {
                        key.push('/');
                        key.extend(Segment::literal_key(text).iter().map(|&byte| match byte {
                            b'/' => '\u{1}',
                            byte => char::from(byte),
                        }));
                    }
                }
            }
            key.push_str(if *tail { "/\0*" } else { "" });
        }
        PathPattern::Regex(regex) => {
            key.push('~');
            key.push_str(regex.as_str());
        }
    }
    key.push('\0');
    key.push_str(&pattern.conditions_key());
    key
}

#[cfg(test)]
mod tests;
