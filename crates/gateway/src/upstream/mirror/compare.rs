//! Whether two answers say the same: by status, or by status and JSON.
//!
//! Takes what came of two services; gives the places where they differ, a bounded number, without what stands there: bodies
//! may hold what is nobody's business. Order of keys does not matter, order in lists does.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use shape::coding::decoded;

use crate::exchange::{Exchange, Tap};

/// Places that are told of one comparison.
const MOST_DIFFERENCES: usize = 20;

/// How answers are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Not at all.
    Off,
    /// By status.
    Status,
    /// By status and body; these places of JSON do not count.
    Json(Vec<Pointer>),
}

/// A place in JSON, such as `/orders/*/time`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a JSON pointer (RFC 6901) in which `*` stands for any key or index. None when it is not one.
    pub fn read(text: &str) -> Option<Pointer> {
        let rest = text.strip_prefix('/')?;
        Some(Pointer(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()))
    }

    fn is(&self, path: &[String]) -> bool {
        self.0.len() == path.len()
            && self.0.iter().zip(path).all(|(wanted, part)| wanted == "*" || wanted == part)
    }
}

/// An answer, as far as it is to be compared.
#[derive(Default)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    coding: Vec<u8>,
    body: Vec<u8>,
    /// Whether the body was too large, or has not come whole.
    missed: bool,
    ended: bool,
}

/// A place where two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// A JSON pointer; empty for all of the body.
    pub at: String,
    /// The word: `status`, `missing`, `added`, `type`, `value`, `length`, `body`.
    pub what: &'static str,
}

impl Difference {
    /// As JSON.
    pub(super) fn told(&self) -> Value {
        json!({ "at": self.at, "what": self.what })
    }
}

impl Compare {
    /// Begins to keep the answer of an exchange whose head has come as the service gave it.
    pub fn head(&self, exchange: &Exchange) -> Option<Rc<RefCell<Answered>>> {
        if *self == Compare::Off {
            return None;
        }
        let coding =
            exchange.response.fields.get(http1::names::CONTENT_ENCODING).unwrap_or_default().to_vec();
        let answered = Answered { status: exchange.response.status, coding, ..Answered::default() };
        Some(Rc::new(RefCell::new(answered)))
    }

    /// Has the body taken down as it passes, up to so many bytes, besides whoever else does.
    pub fn watch(&self, exchange: &mut Exchange, answered: &Rc<RefCell<Answered>>, most: usize) {
        if matches!(self, Compare::Json(_)) {
            let next = exchange.witness.take();
            exchange.witness = Some(Box::new(Recorder { answered: answered.clone(), most, next }));
        }
    }

    /// The places where two answers differ; none at all when they cannot be compared.
    pub fn differences(&self, real: &Answered, shadow: &Answered, most: usize) -> Option<Vec<Difference>> {
        let mut found = Vec::new();
        if real.status != shadow.status {
            found.push(Difference { at: String::new(), what: "status" });
        }
        let Compare::Json(ignored) = self else { return Some(found) };
        let is_whole = |answered: &Answered| !answered.missed && (answered.ended || answered.body.is_empty());
        if !is_whole(real) || !is_whole(shadow) {
            return None;
        }
        let real = decoded(&real.body, &real.coding, most).ok()?;
        let shadow = decoded(&shadow.body, &shadow.coding, most).ok()?;
        if real == shadow {
            return Some(found);
        }
        match (serde_json::from_slice(&real), serde_json::from_slice(&shadow)) {
            (Ok(real), Ok(shadow)) => differ(&real, &shadow, &mut Vec::new(), ignored, &mut found),
            _ => found.push(Difference { at: String::new(), what: "body" }),
        }
        Some(found)
    }
}

/// Walks two values; their depth is bounded by the reader of JSON.
fn differ(
    real: &Value,
    shadow: &Value,
    path: &mut Vec<String>,
    ignored: &[Pointer],
    found: &mut Vec<Difference>,
) {
    if found.len() >= MOST_DIFFERENCES || ignored.iter().any(|pointer| pointer.is(path)) {
        return;
    }
    let mut add = |path: &[String], what| {
        let ignored = ignored.iter().any(|pointer| pointer.is(path));
        if !ignored && found.len() < MOST_DIFFERENCES {
            found.push(Difference { at: written(path), what });
        }
    };
    match (real, shadow) {
        (Value::Object(real), Value::Object(shadow)) => {
            for key in real.keys().filter(|key| !shadow.contains_key(*key)) {
                path.push(key.clone());
                add(path, "missing");
                path.pop();
            }
            for key in shadow.keys().filter(|key| !real.contains_key(*key)) {
                path.push(key.clone());
                add(path, "added");
                path.pop();
            }
            for (key, real) in real {
                let Some(shadow) = shadow.get(key) else { continue };
                path.push(key.clone());
                differ(real, shadow, path, ignored, found);
                path.pop();
            }
        }
        (Value::Array(real), Value::Array(shadow)) => {
            if real.len() != shadow.len() {
                add(path, "length");
            }
            for (index, (real, shadow)) in real.iter().zip(shadow).enumerate() {
                path.push(index.to_string());
                differ(real, shadow, path, ignored, found);
                path.pop();
            }
        }
        // 1 and 1.0 are one number.
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if std::mem::discriminant(real) != std::mem::discriminant(shadow) => add(path, "type"),
        _ if real != shadow => add(path, "value"),
        _ => {}
    }
}

fn written(path: &[String]) -> String {
    path.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Takes down a body as it passes.
struct Recorder {
    answered: Rc<RefCell<Answered>>,
    most: usize,
    next: Option<Box<dyn Tap>>,
}

impl Tap for Recorder {
    fn data(&mut self, piece: &[u8]) {
        if let Some(next) = &mut self.next {
            next.data(piece);
        }
        let mut answered = self.answered.borrow_mut();
        if answered.missed || piece.len() > self.most.saturating_sub(answered.body.len()) {
            answered.missed = true;
            answered.body = Vec::new();
        } else {
            answered.body.extend_from_slice(piece);
        }
    }

    fn end(&mut self) {
        if let Some(next) = &mut self.next {
            next.end();
        }
        self.answered.borrow_mut().ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Answered {
        Answered { status, body: body.as_bytes().to_vec(), ended: true, ..Answered::default() }
    }

    fn told(compare: &Compare, real: &Answered, shadow: &Answered) -> Option<Vec<String>> {
        let found = compare.differences(real, shadow, 1 << 20)?;
        Some(found.iter().map(|one| format!("{} {}", one.what, one.at)).collect())
    }

    #[test]
    fn where_two_answers_differ() {
        let ignored = ["/time", "/orders/*/id"].iter().filter_map(|text| Pointer::read(text)).collect();
        let compare = Compare::Json(ignored);
        for (real, shadow, places) in [
            (r#"{"a":1,"b":[1,2]}"#, r#"{ "b": [1, 2], "a": 1.0 }"#, &[][..]),
            (r#"{"a":1,"time":1}"#, r#"{"a":1}"#, &[]),
            (r#"{"orders":[{"id":1},{"id":2}]}"#, r#"{"orders":[{"id":7},{"id":8}]}"#, &[]),
            (
                r#"{"a":{"b/c":1},"d":1}"#,
                r#"{"a":{"b/c":"1"},"e":1}"#,
                &["missing /d", "added /e", "type /a/b~1c"],
            ),
            ("[1,2]", "[1,3,4]", &["length ", "value /1"]),
            ("text", "other", &["body "]),
            ("same", "same", &[]),
        ] {
            let found = told(&compare, &answered(200, real), &answered(200, shadow)).unwrap();
            assert_eq!(found, places, "{real} {shadow}");
        }
        let (ok, bad) = (answered(200, "[]"), answered(500, "{}"));
        assert_eq!(told(&Compare::Status, &ok, &bad).unwrap(), ["status "]);
        assert_eq!(told(&compare, &ok, &bad).unwrap(), ["status ", "type "]);
    }

    #[test]
    fn what_has_not_come_whole_is_not_compared_and_much_is_told_in_part() {
        let compare = Compare::Json(Vec::new());
        let cut = Answered { ended: false, ..answered(200, "[1") };
        assert_eq!(told(&compare, &answered(200, "[1]"), &cut), None);
        let unknown = Answered { coding: b"rot13".to_vec(), ..answered(200, "x") };
        assert_eq!(told(&compare, &answered(200, "[1]"), &unknown), None);
        let many = |from: u32| json!((from..from + 100).collect::<Vec<_>>()).to_string();
        let found = told(&compare, &answered(200, &many(0)), &answered(200, &many(1))).unwrap();
        assert_eq!(found.len(), MOST_DIFFERENCES);
    }
}
