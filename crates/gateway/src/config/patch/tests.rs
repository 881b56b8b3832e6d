//! Patches of texts by hand and of a thousand generated ones: what changes is meant, what is outside stays.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn set(path: &[&str], value: Value) -> Edit {
    Edit::Set { path: path.iter().map(|key| (*key).to_owned()).collect(), value }
}

fn remove(path: &[&str]) -> Edit {
    Edit::Remove { path: path.iter().map(|key| (*key).to_owned()).collect() }
}

fn put(path: &[&str], before: Option<&str>) -> Edit {
    Edit::Move { path: path.iter().map(|key| (*key).to_owned()).collect(), before: before.map(str::to_owned) }
}

fn rename(path: &[&str], to: &str) -> Edit {
    Edit::Rename { path: path.iter().map(|key| (*key).to_owned()).collect(), to: to.to_owned() }
}

const SHOP: &str = "\
# The shop.
listen: 0.0.0.0:8080   # clients

services:
  users:  'http://users:8000'
  # Two of them.
  orders:
    targets:
      - http://orders-a:8000   # old
      - http://orders-b:8000
    timeout: 3s

routes:
  /users/*:   { to: users, rate_limit: { rate: 100/min } }  # people
  GET /orders/*:
    to: orders
    # Slow at night.
    timeout: 5s

# The end.
";

#[test]
fn the_smallest_node_changes() {
    for (edit, before, after) in [
        (set(&["listen"], json!("0.0.0.0:9090")), "0.0.0.0:8080   # c", "0.0.0.0:9090   # c"),
        (set(&["services", "users"], json!("http://u:1")), "'http://users:8000'", "'http://u:1'"),
        (set(&["services", "orders", "timeout"], json!("4s")), "timeout: 3s", "timeout: 4s"),
        (
            set(&["routes", "/users/*", "rate_limit", "rate"], json!("5/min")),
            "{ rate: 100/min }",
            "{ rate: 5/min }",
        ),
        (set(&["routes", "/users/*", "timeout"], json!("1s")), "100/min } }", "100/min }, timeout: 1s }"),
        (set(&["routes", "/users/*"], json!({ "to": "users" })), ", rate_limit: { rate: 100/min } }", " }"),
        (
            set(&["routes", "GET /orders/*", "rate_limit"], json!({ "rate": "5/min", "per": "ip" })),
            "    timeout: 5s\n",
            "    timeout: 5s\n    rate_limit: { rate: 5/min, per: ip }\n",
        ),
        (remove(&["routes", "GET /orders/*", "timeout"]), "    timeout: 5s\n", ""),
        (remove(&["routes", "/users/*", "rate_limit"]), ", rate_limit: { rate: 100/min } }", " }"),
        (remove(&["services", "orders", "targets", "0"]), "      - http://orders-a:8000   # old\n", ""),
        (
            set(&["services", "orders", "targets", "-"], json!("http://orders-c:8000")),
            "orders-b:8000\n",
            "orders-b:8000\n      - http://orders-c:8000\n",
        ),
        (
            set(&["routes", "/new"], json!({ "respond": { "status": 200, "text": "a: b" } })),
            "    timeout: 5s\n",
            "    timeout: 5s\n  /new: { respond: { status: 200, text: \"a: b\" } }\n",
        ),
        (remove(&["services", "users"]), "  users:  'http://users:8000'\n", ""),
        (set(&["workers"], json!(2)), "    timeout: 5s\n", "    timeout: 5s\nworkers: 2\n"),
    ] {
        assert_eq!(SHOP.matches(before).count(), 1, "{before:?} is not one place");
        let patched =
            patch(SHOP, std::slice::from_ref(&edit)).unwrap_or_else(|why| panic!("{edit:?}: {why}"));
        assert_eq!(patched, SHOP.replacen(before, after, 1), "{edit:?}");
    }
}

#[test]
fn entries_change_their_places_and_names_with_their_comments() {
    const BLOCK: &str =
        "a:\n  # of one\n  one: { x: 1 }   # first\n\n  two: 2\n  # of three\n  three:\n    y: 3\nb: 1\n";
    const FLOW: &str = "a: { one: [1], \"two\": 2, three: { y: 3 } }  # all\n";
    let one = "  # of one\n  one: { x: 1 }   # first";
    let three = "  # of three\n  three:\n    y: 3";
    for (text, edit, wanted) in [
        (BLOCK, put(&["a", "three"], Some("one")), format!("a:\n{three}\n{one}\n\n  two: 2\nb: 1\n")),
        (BLOCK, put(&["a", "one"], None), format!("a:\n  two: 2\n{three}\n\n{one}\nb: 1\n")),
        (BLOCK, put(&["a", "one"], Some("three")), format!("a:\n  two: 2\n\n{one}\n{three}\nb: 1\n")),
        (BLOCK, put(&["a", "three"], None), BLOCK.to_owned()),
        (BLOCK, put(&["a", "two"], Some("two")), BLOCK.to_owned()),
        (BLOCK, rename(&["a", "three"], "3rd: it"), BLOCK.replace("three:", "\"3rd: it\":")),
        (
            FLOW,
            put(&["a", "three"], Some("one")),
            "a: { three: { y: 3 }, one: [1], \"two\": 2 }  # all\n".into(),
        ),
        (FLOW, put(&["a", "one"], None), "a: { \"two\": 2, three: { y: 3 }, one: [1] }  # all\n".into()),
        (FLOW, rename(&["a", "two"], "zwei"), FLOW.replace("two", "zwei")),
    ] {
        let patched =
            patch(text, std::slice::from_ref(&edit)).unwrap_or_else(|why| panic!("{edit:?}: {why}"));
        assert_eq!(patched, wanted, "{edit:?}");
    }
    for (edit, word) in [
        (put(&["a", "none"], None), "there is no `none`"),
        (put(&["a", "one"], Some("none")), "there is no `none`"),
        (put(&["b", "one"], None), "there is no `one`"),
        (rename(&["a", "one"], "two"), "a `two` at this place already"),
        (rename(&["a", "none"], "four"), "there is no `none`"),
    ] {
        let told = patch(BLOCK, std::slice::from_ref(&edit)).unwrap_err().to_string();
        assert!(told.contains(word), "{edit:?}: {told}");
    }
}

#[test]
fn what_cannot_be_changed_in_place_is_refused() {
    let anchored = "a: &x { b: 1 }\nc: *x\n";
    for (text, edit, word) in [
        (SHOP, remove(&["routes", "/nothing"]), "there is no `/nothing`"),
        (SHOP, set(&["services", "users", "timeout"], json!("1s")), "set the whole"),
        (SHOP, set(&[], json!({})), "a path has 1 to 32"),
        (SHOP, remove(&["services", "orders", "targets", "7"]), "there is no `7`"),
        (anchored, set(&["c", "b"], json!(2)), "cannot be changed in place"),
        ("a: [", set(&["a"], json!(2)), "not valid YAML"),
    ] {
        let told = patch(text, std::slice::from_ref(&edit)).unwrap_err().to_string();
        assert!(told.contains(word), "{edit:?}: {told}");
    }
}

#[test]
fn a_block_of_text_is_replaced_whole() {
    let text = "a:\n  b: |  # why\n    one\n\n    two\n  c: 1\n";
    let patched = patch(text, &[set(&["a", "b"], json!("x"))]).unwrap();
    assert_eq!(patched, "a:\n  b: x\n  c: 1\n");
    let removed = patch(text, &[remove(&["a", "b"])]).unwrap();
    assert_eq!(removed, "a:\n  c: 1\n");
}

#[test]
fn a_json_file_stays_json_and_line_ends_stay() {
    let json_text = "{ \"routes\": { \"/a\": { \"to\": \"x\" } } }";
    let patched = patch(json_text, &[set(&["routes", "/b"], json!({ "to": "y" }))]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&patched).unwrap()["routes"]["/b"]["to"], "y", "{patched}");
    let windows = SHOP.replace('\n', "\r\n");
    let patched = patch(&windows, &[set(&["routes", "/new"], json!({ "to": "users" }))]).unwrap();
    assert!(!patched.replace("\r\n", "").contains(['\r', '\n']), "{patched:?}");
}

/// How a generated text is written; each place takes the next of them.
struct Hand {
    choices: Vec<u8>,
    at: usize,
    comments: usize,
}

impl Hand {
    fn choose(&mut self, of: u8) -> u8 {
        self.at = (self.at + 1) % self.choices.len();
        self.choices[self.at] % of
    }

    fn comment(&mut self) -> String {
        self.comments += 1;
        format!("# comment {} of many: {{ [ ' \"", self.comments)
    }

    fn scalar(&mut self, value: &Value) -> String {
        let quotes = [render::Quotes::Needed, render::Quotes::Double, render::Quotes::Single];
        let quotes = if value.is_string() { quotes[usize::from(self.choose(3))] } else { quotes[0] };
        render::flow(value, quotes)
    }

    fn key(&mut self, key: &str) -> String {
        self.scalar(&Value::from(key))
    }

    fn flow(&mut self, value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let entries: Vec<String> = map
                    .iter()
                    .map(|(name, value)| format!("{}: {}", self.key(name), self.flow(value)))
                    .collect();
                let (open, close) = if self.choose(2) == 0 { ("{", "}") } else { ("{ ", " }") };
                format!("{open}{}{close}", entries.join(", "))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join(if self.choose(2) == 0 { "," } else { ", " }))
            }
            scalar => self.scalar(scalar),
        }
    }

    /// What stands behind a key or a dash, from there to the end of the line.
    fn behind(&mut self, value: &Value, indent: usize, out: &mut String) {
        let empty =
            value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        let block = !empty && (value.is_object() || value.is_array()) && self.choose(3) > 0;
        if !block {
            out.push(' ');
            let line = self.flow(value);
            out.push_str(&line);
        }
        if self.choose(3) == 0 {
            out.push_str("  ");
            let comment = self.comment();
            out.push_str(&comment);
        }
        out.push('\n');
        if block {
            self.block(value, indent, out);
        }
    }

    fn block(&mut self, value: &Value, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        let step = 2 + 2 * usize::from(self.choose(2));
        let before = |hand: &mut Hand, out: &mut String| match hand.choose(5) {
            0 => {
                let comment = hand.comment();
                out.push_str(&format!("{pad}{comment}\n"));
            }
            1 => out.push('\n'),
            _ => {}
        };
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    before(self, out);
                    let key = self.key(name);
                    out.push_str(&format!("{pad}{key}:"));
                    self.behind(value, indent + step, out);
                }
            }
            Value::Array(items) => {
                for item in items {
                    before(self, out);
                    out.push_str(&format!("{pad}-"));
                    let line = self.flow(item);
                    out.push_str(&format!(" {line}\n"));
                }
            }
            _ => {}
        }
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "/[a-z]{1,4}/\\*",
        "GET /[a-z]{1,3}",
        // `<<` is no key here: the reader refuses it, however it is quoted.
        "[ -~]{0,8}".prop_filter("a merge key", |word| word != "<<"),
        "[0-9]{1,3}",
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("zwölf 日本".to_owned()),
        Just("http://a-b:80".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        words().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn maps() -> impl Strategy<Value = Value> {
    prop::collection::vec((words(), values()), 1..6)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

/// A path that leads somewhere, by the choices.
fn some_path(value: &Value, hand: &mut Hand, path: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let place = usize::from(hand.choose(map.len() as u8));
            let (key, inner) = map.iter().nth(place).unwrap();
            path.push(key.clone());
            if hand.choose(4) > 0 {
                some_path(inner, hand, path);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let place = usize::from(hand.choose(list.len() as u8));
            path.push(place.to_string());
            if hand.choose(4) > 0 {
                some_path(&list[place], hand, path);
            }
        }
        _ => {}
    }
}

/// The stretch of a text that the node of a path has with its key, to the end of its last line.
fn stretch(text: &str, path: &[String]) -> (usize, usize) {
    let tree = read(text).unwrap();
    let (last, way) = path.split_last().unwrap();
    let around = find(&tree, way).unwrap();
    let node = find(&tree, path).unwrap();
    let start =
        around.entries().iter().find(|entry| *entry.key == *last).map_or(node.span, |entry| entry.key.span());
    (start.start as usize, node.span.end as usize)
}

/// Whether nothing else stands where this does.
fn is_last(text: &str, path: &[String]) -> bool {
    let tree = read(text).unwrap();
    let around = find(&tree, path.split_last().unwrap().1).unwrap();
    around.entries().len().max(around.items().len()) == 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_outside_the_node_stay(
        value in maps(),
        choices in prop::collection::vec(any::<u8>(), 8..40),
        next in values(),
        fresh in "[a-z]{7,9}",
    ) {
        let mut hand = Hand { choices, at: 0, comments: 0 };
        let mut text = String::from("# head\n");
        hand.block(&value, 0, &mut text);
        text.push_str("# tail\n");
        prop_assert_eq!(&meaning(&text).unwrap(), &value, "the generator writes something else:\n{}", text);
        let mut path = Vec::new();
        some_path(&value, &mut hand, &mut path);
        let (start, end) = stretch(&text, &path);
        let choice = hand.choose(5);
        let edit = match choice {
            0 => Edit::Remove { path },
            1 => Edit::Set { path, value: next },
            3 => Edit::Rename { path, to: fresh },
            4 => Edit::Move { path, before: None },
            _ => {
                // Something new at the side of it.
                path.pop();
                path.push(fresh);
                Edit::Set { path, value: next }
            }
        };
        let Ok(meant) = intended(value, &edit) else { return Ok(()) };
        let patched = match patch(&text, std::slice::from_ref(&edit)) {
            Ok(patched) => patched,
            Err(why) => return Err(TestCaseError::fail(format!("{edit:?}: {why}\n{text}"))),
        };
        prop_assert_eq!(meaning(&patched).unwrap(), meant, "{:?}\n{}", edit, text);
        if choice == 4 {
            // Only the order of lines changes, unless it stands in a flow.
            let sorted = |text: &str| {
                let mut comments: Vec<String> = text.lines().filter_map(|line| Some(line.get(line.find("# comment")?..)?.to_owned())).collect();
                comments.sort();
                comments
            };
            prop_assert_eq!(sorted(&text), sorted(&patched), "{:?}\n{}\n=>\n{}", edit, text, patched);
            return Ok(());
        }
        if choice == 2 || meaning(&text) == meaning(&patched) {
            // What is new comes between lines that stay, or in one flow: nothing but it was added.
            let comments = |text: &str| text.lines().filter_map(|line| Some(line.get(line.find("# comment")?..)?.to_owned())).collect::<Vec<_>>();
            prop_assert_eq!(comments(&text), comments(&patched), "{:?}\n{}\n=>\n{}", edit, text, patched);
            return Ok(());
        }
        // A line that is wholly outside of the node stays, byte for byte and in its place.
        let from = text.split_at(start).0.rfind('\n').map_or(0, |at| at + 1);
        let until = text.split_at(end).1.find('\n').map_or(text.len(), |at| end + at + 1);
        // Taking the last of a map or list away makes its parent `{}`: then the line of the parent's key changes.
        let emptied = matches!(&edit, Edit::Remove { path } if is_last(&text, path));
        prop_assert!(emptied || patched.starts_with(text.split_at(from).0), "{:?}\n{}\n=>\n{}", edit, text, patched);
        prop_assert!(patched.ends_with(text.split_at(until).1), "{:?}\n{}\n=>\n{}", edit, text, patched);
    }
}
