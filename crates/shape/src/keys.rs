//! The names of the members of all open objects, to see one that comes twice.
//!
//! Holds eight bytes for each, and no more of them than may be open at once.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use crate::Misfit;
use crate::text::plain;

/// Members that are searched one by one.
const FEW: usize = 16;

/// The names seen in open objects.
pub struct Names {
    most: usize,
    hasher: RandomState,
    /// The names of all open objects that have few, one object's after the other's.
    few: Vec<u64>,
    open: Vec<Open>,
    /// How many names are held.
    held: usize,
}

struct Open {
    /// Where its names begin.
    start: usize,
    many: Option<HashSet<u64, RandomState>>,
}

impl Names {
    /// None seen, and so many at most that may be open at once.
    pub fn new(most: usize) -> Names {
        Names { most, hasher: RandomState::default(), few: Vec::new(), open: Vec::new(), held: 0 }
    }

    /// An object begins.
    pub fn enter(&mut self) {
        self.open.push(Open { start: self.few.len(), many: None });
    }

    /// The innermost object ends.
    pub fn leave(&mut self) {
        if let Some(open) = self.open.pop() {
            let few = self.few.len().saturating_sub(open.start);
            let many = open.many.map_or(0, |many| many.len());
            self.held = self.held.saturating_sub(few).saturating_sub(many);
            self.few.truncate(open.start);
        }
    }

    /// One more member of the innermost object, its name as written between quotes.
    ///
    /// # Errors
    /// It has one of that name, or too many are open.
    pub fn add(&mut self, name: &[u8]) -> Result<(), Misfit> {
        // Two escapes of one name are one name.
        let hash = self.hasher.hash_one(&*plain(name));
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        match &mut open.many {
            Some(many) => {
                if !many.insert(hash) {
                    return Err(Misfit::Duplicate);
                }
            }
            None => {
                let own = self.few.get(open.start..).unwrap_or_default();
                if own.contains(&hash) {
                    return Err(Misfit::Duplicate);
                }
                self.few.push(hash);
                let count = self.few.len().saturating_sub(open.start);
                if count > FEW {
                    let mut many = HashSet::with_hasher(RandomState::default());
                    many.extend(self.few.drain(open.start..));
                    open.many = Some(many);
                }
            }
        }
        self.held = self.held.saturating_add(1);
        if self.held > self.most { Err(Misfit::Wide(self.most)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_is_seen_at_its_own_level_only() {
        for count in [3, 40] {
            let mut names = Names::new(100);
            names.enter();
            for nth in 0..count {
                names.add(format!("n{nth}").as_bytes()).unwrap();
                names.enter();
                names.add(b"n0").unwrap();
                assert_eq!(names.add(br"\u006e0"), Err(Misfit::Duplicate));
                names.leave();
            }
            assert_eq!(names.add(b"n1"), Err(Misfit::Duplicate));
        }
    }

    #[test]
    fn an_object_has_so_many_members() {
        let mut names = Names::new(20);
        names.enter();
        let ended = (0..30).try_for_each(|nth| names.add(format!("{nth}").as_bytes()));
        assert_eq!(ended, Err(Misfit::Wide(20)));
    }
}
