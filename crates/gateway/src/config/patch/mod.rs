//! Changes a configuration where it is written: the smallest node of the text, and not a byte outside it.
//!
//! Takes the text of one file and edits by path; gives the text after them. Comments, order, quotes and blank lines
//! outside the nodes that change stay as they are. What came out is read again and compared with what was meant: a
//! text that would mean something else is refused, never given.

mod layout;
mod order;
mod places;
mod render;
mod splice;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::diagnostic::Diagnostics;
use super::node::{Kind, Node};
use super::place::Files;
use super::tree;
pub use layout::tidy;
pub use places::paths_at;

/// Edits in one patch.
const MOST_EDITS: usize = 1_000;
/// Keys and indices of one path.
const LONGEST_PATH: usize = 32;

/// One change of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Lets this stand at the path; keys on the way that are not there are made.
    Set {
        /// Keys, and indices of lists (`-` is behind the last).
        path: Vec<String>,
        /// What is to stand there.
        value: Value,
    },
    /// Takes away what stands at the path.
    Remove {
        /// Keys, and indices of lists.
        path: Vec<String>,
    },
    /// Puts the entry of a map at the path elsewhere among the others, with its comments.
    Move {
        /// Keys, and indices of lists.
        path: Vec<String>,
        /// The key before which it is to stand; without one it becomes the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
    },
    /// Gives the entry of a map at the path another key.
    Rename {
        /// Keys, and indices of lists.
        path: Vec<String>,
        /// The new key.
        to: String,
    },
}

/// Why a text cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpatchable(String);

impl fmt::Display for Unpatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unpatchable {}

impl Unpatchable {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// The text after the edits, one after the other.
///
/// # Errors
/// [`Unpatchable`] when a path leads nowhere, or the text is written in a way that cannot be changed in place.
pub fn patch(text: &str, edits: &[Edit]) -> Result<String, Unpatchable> {
    if edits.len() > MOST_EDITS {
        return Err(Unpatchable::new(format!("more than {MOST_EDITS} edits at once")));
    }
    edits.iter().try_fold(text.to_owned(), |text, edit| one(&text, edit))
}

/// What a text says, places aside; `${...}` as written.
///
/// # Errors
/// [`Unpatchable`] when it is not YAML.
pub fn meaning(text: &str) -> Result<Value, Unpatchable> {
    Ok(value_of(&read(text)?))
}

fn one(text: &str, edit: &Edit) -> Result<String, Unpatchable> {
    let before = read(text)?;
    let meant = intended(value_of(&before), edit)?;
    let mut patched = text.to_owned();
    for step in steps(&before, edit)? {
        let tree = read(&patched)?;
        let splice = match &step {
            Edit::Set { path, value } => splice::set(&patched, &tree, path, value)?,
            Edit::Remove { path } => splice::remove(&patched, &tree, path)?,
            Edit::Move { path, before } => order::place(&patched, &tree, path, before.as_deref())?,
            Edit::Rename { path, to } => order::rename(&patched, &tree, path, to)?,
        };
        patched = splice.apply(&patched).ok_or_else(|| Unpatchable::new("the place is not in the text"))?;
    }
    // Two maps are equal in any order; where the order is the change, it counts.
    let ordered = matches!(edit, Edit::Move { .. } | Edit::Rename { .. });
    match meaning(&patched) {
        Ok(found) if found == meant && (!ordered || in_order(&found) == in_order(&meant)) => Ok(patched),
        _ => Err(Unpatchable::new(format!(
            "`{}` is written in a way that cannot be changed in place; change the file by hand",
            path_of(edit).join(" / ")
        ))),
    }
}

/// A value with the order of its maps.
fn in_order(value: &Value) -> String {
    value.to_string()
}

fn path_of(edit: &Edit) -> &[String] {
    match edit {
        Edit::Set { path, .. }
        | Edit::Remove { path }
        | Edit::Move { path, .. }
        | Edit::Rename { path, .. } => path,
    }
}

fn read(text: &str) -> Result<Node, Unpatchable> {
    let mut diagnostics = Diagnostics::new(Files::default());
    let file = diagnostics.files_mut().add("draft", text.to_owned());
    let tree = tree::parse(file, &mut diagnostics);
    match tree {
        Some(tree) if !diagnostics.has_errors() => Ok(tree),
        _ => Err(Unpatchable::new(diagnostics.render(false).trim_end())),
    }
}

fn value_of(tree: &Node) -> Value {
    serde_json::to_value(tree).unwrap_or(Value::Null)
}

/// The value after the edit.
fn intended(mut root: Value, edit: &Edit) -> Result<Value, Unpatchable> {
    let path = path_of(edit);
    if path.is_empty() || path.len() > LONGEST_PATH {
        return Err(Unpatchable::new(format!("a path has 1 to {LONGEST_PATH} keys")));
    }
    let Some((last, way)) = path.split_last() else { return Ok(root) };
    let mut place = &mut root;
    for key in way {
        place = step_into(place, key, matches!(edit, Edit::Set { .. }))?;
    }
    match edit {
        Edit::Set { value, .. } => *step_into(place, last, true)? = value.clone(),
        Edit::Remove { .. } => {
            let gone = match place {
                Value::Object(map) => map.shift_remove(last).is_some(),
                Value::Array(list) => match last.parse::<usize>().ok().filter(|index| *index < list.len()) {
                    Some(index) => {
                        list.remove(index);
                        true
                    }
                    None => false,
                },
                _ => false,
            };
            if !gone {
                return Err(nothing_at(last));
            }
        }
        Edit::Move { before, .. } => moved(place, last, before.as_deref())?,
        Edit::Rename { to, .. } => renamed(place, last, to)?,
    }
    Ok(root)
}

fn moved(place: &mut Value, key: &str, before: Option<&str>) -> Result<(), Unpatchable> {
    let Value::Object(map) = place else { return Err(nothing_at(key)) };
    if before.is_some_and(|before| !map.contains_key(before)) {
        return Err(nothing_at(before.unwrap_or_default()));
    }
    if before == Some(key) {
        return Ok(());
    }
    let value = map.shift_remove(key).ok_or_else(|| nothing_at(key))?;
    let at = map.keys().position(|own| Some(own.as_str()) == before).unwrap_or(map.len());
    map.shift_insert(at, key.to_owned(), value);
    Ok(())
}

fn renamed(place: &mut Value, key: &str, to: &str) -> Result<(), Unpatchable> {
    let Value::Object(map) = place else { return Err(nothing_at(key)) };
    if map.contains_key(to) {
        return Err(Unpatchable::new(format!("there is a `{to}` at this place already")));
    }
    let at = map.keys().position(|own| own == key).ok_or_else(|| nothing_at(key))?;
    let value = map.shift_remove(key).unwrap_or_default();
    map.shift_insert(at, to.to_owned(), value);
    Ok(())
}

fn step_into<'v>(place: &'v mut Value, key: &str, make: bool) -> Result<&'v mut Value, Unpatchable> {
    if make && place.is_null() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(map) => {
            if make && !map.contains_key(key) {
                map.insert(key.to_owned(), Value::Null);
            }
            map.get_mut(key).ok_or_else(|| nothing_at(key))
        }
        Value::Array(list) => {
            let index = if key == "-" { list.len() } else { key.parse().map_err(|_| nothing_at(key))? };
            if make && index == list.len() {
                list.push(Value::Null);
            }
            list.get_mut(index).ok_or_else(|| nothing_at(key))
        }
        _ => Err(Unpatchable::new(format!(
            "`{key}` cannot be put there: what stands there is neither a map nor a list; set the whole"
        ))),
    }
}

fn nothing_at(key: &str) -> Unpatchable {
    Unpatchable::new(format!("there is no `{key}` at this place"))
}

/// The edit as edits of the smallest nodes: where a map takes the place of a map, only the keys that differ.
fn steps(tree: &Node, edit: &Edit) -> Result<Vec<Edit>, Unpatchable> {
    let Edit::Set { path, value } = edit else { return Ok(vec![edit.clone()]) };
    let Some(node) = find(tree, path) else { return Ok(vec![edit.clone()]) };
    let mut steps = Vec::new();
    differ(node, value, path.clone(), &mut steps);
    Ok(steps)
}

fn find<'n>(tree: &'n Node, path: &[String]) -> Option<&'n Node> {
    path.iter().try_fold(tree, |node, key| match &node.kind {
        Kind::Map(_) => node.get(key),
        Kind::List(items) => items.get(key.parse::<usize>().ok()?),
        Kind::Scalar(_) => None,
    })
}

fn differ(node: &Node, value: &Value, path: Vec<String>, steps: &mut Vec<Edit>) {
    if value_of(node) == *value {
        return;
    }
    let below = |key: &str| path.iter().cloned().chain([key.to_owned()]).collect::<Vec<String>>();
    match (&node.kind, value) {
        (Kind::Map(entries), Value::Object(map)) if !map.is_empty() => {
            // What is new comes first, so that no map is empty in between.
            for (key, value) in map {
                match node.get(key) {
                    Some(inner) => differ(inner, value, below(key), steps),
                    None => steps.push(Edit::Set { path: below(key), value: value.clone() }),
                }
            }
            let gone = entries.iter().filter(|entry| !map.contains_key(entry.key.as_str()));
            steps.extend(gone.map(|entry| Edit::Remove { path: below(&entry.key) }));
        }
        (Kind::List(items), Value::Array(list)) if !items.is_empty() && items.len() <= list.len() => {
            let (same, more) = list.split_at_checked(items.len()).unwrap_or((list, &[]));
            for (index, (item, value)) in items.iter().zip(same).enumerate() {
                differ(item, value, below(&index.to_string()), steps);
            }
            steps.extend(more.iter().map(|value| Edit::Set { path: below("-"), value: value.clone() }));
        }
        _ => steps.push(Edit::Set { path, value: value.clone() }),
    }
}

#[cfg(test)]
mod tests;
