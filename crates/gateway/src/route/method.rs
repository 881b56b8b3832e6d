//! Sets of request methods, one bit for each.
//!
//! Takes methods, gives membership and the value of `Allow`. Holds no texts: a method the codec has no word for is
//! [`Method::Other`] here, and a pattern compares its text apart.

use std::fmt;

use http1::Method;

/// Every method, in the order in which `Allow` names them.
const ALL: [Method; 10] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Connect,
    Method::Trace,
    Method::Other,
];

/// A set of methods.
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct MethodSet(u16);

impl MethodSet {
    /// The set without a member.
    pub const EMPTY: Self = Self(0);

    /// Takes a method in.
    pub fn insert(&mut self, method: Method) {
        self.0 |= bit(method);
    }

    /// Whether the method is a member.
    pub fn contains(self, method: Method) -> bool {
        self.0 & bit(method) != 0
    }

    /// Whether no method is a member.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        ALL.into_iter().filter(move |&method| self.contains(method))
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        let mut set = Self::EMPTY;
        methods.into_iter().for_each(|method| set.insert(method));
        set
    }
}

/// The known members as `Allow` lists them (RFC 9110 section 10.2.1).
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.iter().filter(|&method| method != Method::Other);
        for (at, method) in known.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", method.as_str())?;
        }
        Ok(())
    }
}

fn bit(method: Method) -> u16 {
    1 << (method as u8)
}
