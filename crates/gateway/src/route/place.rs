//! The routes at one place of the tree, by host and method.
//!
//! Takes a place, a method and a host, shows the routes that take them, the most specific first: those that name the method
//! before those that take every method, in each of these an exact host before a longer suffix before any host, in each of
//! these more conditions before fewer. Hosts stand in a hash table, so that a thousand on one path cost no more than one.

use std::collections::HashMap;

use http1::Method;

use super::hash::{Index, hash, under};
use super::method::MethodSet;
use super::pattern::{HostPattern, PathPattern, Pattern};

/// A route at a place, with all that a search gives of it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Entry<T> {
    /// What its owner wants to find again.
    pub(super) value: T,
    /// The number of the route in the table.
    pub(super) route: u32,
    /// The names of its parts, in the table.
    pub(super) names: u32,
    /// The methods it names; the texts of [`Method::Other`] stand in its pattern.
    pub(super) methods: MethodSet,
    /// It has conditions.
    pub(super) conditional: bool,
    /// Its path is a regular expression, whose groups have names.
    pub(super) groups: bool,
}

/// The routes of a place that name methods, or those that take every method.
#[derive(Copy, Clone, Default)]
struct Half {
    /// All methods that are named here.
    methods: MethodSet,
    /// The routes for any host, in `Places::entries`.
    any_host: (u32, u32),
    /// Some route names an exact host.
    exact: bool,
    /// The lengths of the shortest and the longest suffix, with its leading dot; 1 and 0 without one.
    suffixes: (u32, u32),
}

/// The routes for one host of a half.
struct Bucket {
    half: u32,
    /// The host, a suffix with its leading dot.
    host: Box<[u8]>,
    entries: (u32, u32),
}

/// One place. A cache line where the owner's value is a number, the route of a place that has no other included.
#[repr(align(64))]
struct Place<T> {
    /// The routes that name methods, and those that do not.
    halves: [Half; 2],
    /// The only route here, if that takes any host.
    lone: Option<Entry<T>>,
}

const _: () = assert!(size_of::<Place<u32>>() == 64, "a place fills one cache line");

/// The routes of all places.
pub(super) struct Places<T> {
    places: Vec<Place<T>>,
    buckets: Vec<Bucket>,
    hosts: Index,
    entries: Vec<Entry<T>>,
}

impl<T: Copy> Places<T> {
    /// Whether some route here names methods.
    pub(super) fn names_methods(&self, place: u32) -> bool {
        self.place(place).is_some_and(|place| !place.halves[0].methods.is_empty())
    }

    fn place(&self, place: u32) -> Option<&Place<T>> {
        self.places.get(place as usize)
    }

    fn half(&self, number: u32) -> Option<&Half> {
        self.place(number / 2)?.halves.get(number as usize % 2)
    }

    /// Shows the routes that take this method and host until `visit` takes one; says whether it did. A route that names GET
    /// also takes HEAD, after those that name HEAD.
    pub(super) fn routes<F>(&self, place: u32, method: Method, host: &[u8], mut visit: F) -> bool
    where
        F: FnMut(&Entry<T>) -> bool,
    {
        let Some(Place { halves: [naming, _], lone }) = self.place(place) else { return false };
        let named = naming.methods;
        if let Some(lone) = lone {
            let stands_in = method == Method::Head && named.contains(Method::Get);
            return (named.is_empty() || named.contains(method) || stands_in) && visit(lone);
        }
        let (naming, every) = (place * 2, place * 2 + 1);
        if named.contains(method)
            && self.hosts(naming, host, |entry| entry.methods.contains(method) && visit(entry))
        {
            return true;
        }
        let stands_in = |methods: MethodSet| methods.contains(Method::Get) && !methods.contains(Method::Head);
        if method == Method::Head
            && named.contains(Method::Get)
            && self.hosts(naming, host, |entry| stands_in(entry.methods) && visit(entry))
        {
            return true;
        }
        self.hosts(every, host, visit)
    }

    /// Shows the routes here that name methods and take this host.
    pub(super) fn routes_that_name_methods<F: FnMut(&Entry<T>)>(
        &self,
        place: u32,
        host: &[u8],
        mut visit: F,
    ) {
        self.hosts(place * 2, host, |entry| {
            visit(entry);
            false
        });
    }

    fn hosts<F: FnMut(&Entry<T>) -> bool>(&self, number: u32, host: &[u8], mut visit: F) -> bool {
        let Some(half) = self.half(number) else { return false };
        if half.exact && self.bucket(number, host).iter().any(&mut visit) {
            return true;
        }
        if half.suffixes.1 != 0 && self.suffixes(number, half, host, &mut visit) {
            return true;
        }
        self.entries(half.any_host).iter().any(visit)
    }

    fn suffixes<F: FnMut(&Entry<T>) -> bool>(
        &self,
        number: u32,
        half: &Half,
        host: &[u8],
        visit: &mut F,
    ) -> bool {
        let (shortest, longest) = half.suffixes;
        // The first byte is no dot: a suffix stands behind at least one label.
        for dot in memchr::memchr_iter(b'.', host).filter(|&dot| dot > 0) {
            let Some(suffix) = host.get(dot..) else { break };
            if suffix.len() < shortest as usize {
                break;
            }
            if suffix.len() <= longest as usize && self.bucket(number, suffix).iter().any(&mut *visit) {
                return true;
            }
        }
        false
    }

    fn bucket(&self, half: u32, host: &[u8]) -> &[Entry<T>] {
        let found = self.hosts.find(under(half, hash(host.iter().copied())), |id| {
            self.buckets.get(id as usize).filter(|bucket| bucket.half == half && *bucket.host == *host)
        });
        found.map_or(&[], |bucket| self.entries(bucket.entries))
    }

    fn entries(&self, (start, end): (u32, u32)) -> &[Entry<T>] {
        self.entries.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Routes before they are put in order.
pub(super) struct Gathering<T> {
    routes: HashMap<(u32, HostPattern), Vec<Ranked<T>>>,
}

type Ranked<T> = (Rank, Entry<T>);

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        Self { routes: HashMap::new() }
    }
}

/// The order of the routes for one host: more conditions first, then by what they ask, which differs between any two
/// whose methods overlap.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    fewer_conditions: usize,
    key: String,
}

impl<T: Copy> Gathering<T> {
    /// Takes a route in: the number of the table for it and for the names of its parts.
    pub(super) fn add(&mut self, place: u32, route: u32, names: u32, pattern: &Pattern, value: T) {
        let mut methods = pattern.methods;
        if !pattern.other_methods.is_empty() {
            methods.insert(Method::Other);
        }
        let half = place * 2 + u32::from(methods.is_empty());
        let conditions = pattern.conditions.len();
        let rank = Rank { fewer_conditions: usize::MAX - conditions, key: pattern.conditions_key() };
        let groups = matches!(pattern.path, PathPattern::Regex(_)) && !pattern.param_names().is_empty();
        let entry = Entry { value, route, names, methods, conditional: conditions > 0, groups };
        self.routes.entry((half, pattern.host.clone())).or_default().push((rank, entry));
    }

    /// Puts the routes into the form in which they are searched.
    pub(super) fn finish(self, places: u32) -> Places<T> {
        let half = Half { suffixes: (1, 0), ..Half::default() };
        let mut found = Places {
            places: (0..places).map(|_| Place { halves: [half; 2], lone: None }).collect(),
            buckets: Vec::new(),
            hosts: Index::with_room_for(self.routes.len()),
            entries: Vec::new(),
        };
        // In the order of the places, so that what one request looks at stands together.
        let mut gathered: Vec<_> = self.routes.into_iter().collect();
        gathered.sort_unstable_by_key(|((number, _), _)| *number);
        for ((number, host), mut routes) in gathered {
            routes.sort_by(|(left, _), (right, _)| left.cmp(right));
            let start = found.entries.len() as u32;
            found.entries.extend(routes.into_iter().map(|(_, entry)| entry));
            let entries = (start, found.entries.len() as u32);
            found.add_host(number, host, entries);
        }
        found.find_lone();
        found
    }
}

impl<T: Copy> Places<T> {
    /// Puts the route of a place that has no other into the place.
    fn find_lone(&mut self) {
        for Place { halves: [naming, every], lone } in &mut self.places {
            let plain = |half: &Half| !half.exact && half.suffixes.1 == 0;
            let counts = [naming.any_host, every.any_host].map(|(start, end)| (start, end - start));
            if let ([(at, 1), (_, 0)] | [(_, 0), (at, 1)], true) = (counts, plain(naming) && plain(every)) {
                *lone = self.entries.get(at as usize).copied();
            }
        }
    }

    fn add_host(&mut self, number: u32, host: HostPattern, entries: (u32, u32)) {
        let methods =
            self.entries(entries).iter().fold(MethodSet::EMPTY, |all, entry| all.union(entry.methods));
        let place = self.places.get_mut(number as usize / 2);
        let Some(half) = place.and_then(|place| place.halves.get_mut(number as usize % 2)) else { return };
        half.methods = half.methods.union(methods);
        let host: Box<[u8]> = match host {
            HostPattern::Any => {
                half.any_host = entries;
                return;
            }
            HostPattern::Exact(name) => {
                half.exact = true;
                name.into_bytes().into()
            }
            HostPattern::Suffix(name) => {
                let length = name.len() as u32 + 1;
                let (shortest, longest) = half.suffixes;
                half.suffixes =
                    if longest == 0 { (length, length) } else { (shortest.min(length), longest.max(length)) };
                [b".", name.as_bytes()].concat().into()
            }
        };
        self.hosts.insert(under(number, hash(host.iter().copied())), self.buckets.len() as u32);
        self.buckets.push(Bucket { half: number, host, entries });
    }
}
