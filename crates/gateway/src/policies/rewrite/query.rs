//! Another query: parameters removed, set and added.
//!
//! Parameters that stay keep their bytes and their order. Names are compared decoded, as services read them.

use super::{QueryChanges, fill};
use crate::exchange::Exchange;
use crate::exchange::source::decoded;
use crate::values::Template;

/// The changes, ready to run.
pub(in crate::policies) struct Edits {
    removed: Vec<Name>,
    /// The old name, and the new one encoded.
    renamed: Vec<(Vec<u8>, Vec<u8>)>,
    lines: Vec<(Vec<u8>, Template)>,
}

/// A name, or the beginning of one.
struct Name {
    text: Vec<u8>,
    prefix: bool,
}

impl Edits {
    pub(in crate::policies) fn new(changes: &QueryChanges) -> Edits {
        let mut removed: Vec<Name> = changes
            .remove
            .iter()
            .map(|name| match name.strip_suffix('*') {
                Some(beginning) => Name { text: beginning.into(), prefix: true },
                None => Name { text: name.as_str().into(), prefix: false },
            })
            .collect();
        let renamed =
            changes.rename.iter().map(|(old, new)| (old.as_bytes().to_vec(), encoded(new))).collect();
        let mut lines = Vec::new();
        for (name, value) in &changes.set {
            removed.push(Name { text: name.as_str().into(), prefix: false });
            lines.push((encoded(name), value.clone()));
        }
        for (name, values) in &changes.add {
            lines.extend(values.iter().map(|value| (encoded(name), value.clone())));
        }
        Edits { removed, renamed, lines }
    }

    /// The query for the service, where it is another one.
    pub(in crate::policies) fn apply(&self, exchange: &Exchange) -> Option<Vec<u8>> {
        if self.removed.is_empty() && self.renamed.is_empty() && self.lines.is_empty() {
            return None;
        }
        let mut query = Vec::with_capacity(exchange.query.len());
        let pairs = exchange.query.split(|byte| *byte == b'&');
        for pair in pairs.filter(|pair| !pair.is_empty() && !self.removes(pair)) {
            separate(&mut query);
            match self.renamed(pair) {
                Some((name, rest)) => {
                    query.extend_from_slice(name);
                    query.extend_from_slice(rest);
                }
                None => query.extend_from_slice(pair),
            }
        }
        for (name, template) in &self.lines {
            let Some(value) = fill::value(exchange, template) else { continue };
            separate(&mut query);
            query.extend_from_slice(name);
            query.push(b'=');
            query.extend_from_slice(&value);
        }
        Some(query)
    }

    /// The new name of a parameter that has one, and what follows its name.
    fn renamed<'p>(&self, pair: &'p [u8]) -> Option<(&[u8], &'p [u8])> {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, rest) = pair.split_at_checked(end)?;
        let name = decoded(name);
        let (_, new) = self.renamed.iter().find(|(old, _)| *old == *name)?;
        Some((new, rest))
    }

    fn removes(&self, pair: &[u8]) -> bool {
        let name = decoded(pair.split(|byte| *byte == b'=').next().unwrap_or_default());
        self.removed
            .iter()
            .any(|own| if own.prefix { name.starts_with(&own.text) } else { *name == *own.text })
    }
}

fn separate(query: &mut Vec<u8>) {
    if !query.is_empty() {
        query.push(b'&');
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    fill::encode(name.as_bytes(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::asked;
    use super::super::tests::rewritten;

    #[test]
    fn parameters_are_removed_set_and_added() {
        for (changes, target, sent) in [
            ("set: { a: new }", "/?a=1&b=2&a=3", "/?b=2&a=new"),
            ("set: { a: \"\" }", "/", "/?a="),
            ("set: { a: new }", "/?%61=1&a%3d=2", "/?a%3d=2&a=new"),
            ("set: { \"a b\": \"x&y=z#ü\" }", "/", "/?a%20b=x%26y%3Dz%23%C3%BC"),
            ("set: { a: \"{query.b}\" }", "/?b=x%26y+z", "/?b=x%26y+z&a=x%26y%20z"),
            ("set: { user: \"{jwt.sub}\" }", "/?user=root", "/"),
            ("set: { user: \"u-{jwt.sub}\" }", "/?user=root", "/?user=u-"),
            (
                "set: { id: \"{path.*}\" }",
                "/a&admin=1;b+c%20d",
                "/a&admin=1;b+c%20d?id=a%26admin%3D1%3Bb%2Bc%20d",
            ),
            ("add: { a: [x, y] }", "/?a=1", "/?a=1&a=x&a=y"),
            ("remove: [a, utm_*]", "/?a=1&utm_x&b=%zz&utm_y=2", "/?b=%zz"),
            ("remove: a", "/?a", "/"),
            ("remove: \"*\"", "/?a&b", "/"),
            ("remove: \"*\", add: { a: b }", "/?a&b", "/?a=b"),
            ("remove: x", "/?", "/"),
            ("rename: { q: \"new name\" }", "/?a=1&%71=x%20y&q", "/?a=1&new%20name=x%20y&new%20name"),
            ("rename: { q: s }, remove: s", "/?q=1&s=2", "/?s=1"),
        ] {
            let settings = format!("{{ query: {{ {changes} }} }}");
            assert_eq!(rewritten(&settings, asked("GET", target, &[])), sent, "{changes} {target}");
        }
    }
}
