//! What can be known of an expression before it runs: that its names exist, that its values fit, what it reads, and the most
//! steps it can take.
//!
//! Takes an expression as parsed; gives what it uses of an exchange. A list is taken to have as many items as one may have.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr};
use regex::{Regex, RegexBuilder};

use super::kinds::Kind;
use super::{DEEPEST_PART, MOST_ITEMS, MOST_STEPS};
use crate::values::nearest;

/// Most bytes of a compiled pattern.
const LARGEST_PATTERN: usize = 256 * 1024;
/// Patterns that a thread remembers.
const PATTERNS: usize = 256;

/// One thing that an expression reads of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A plain name of the language, as `request.path`.
    Name(&'static str),
    /// A header by its name.
    Header(String),
    /// A query parameter by its name.
    Query(String),
    /// A claim by its name.
    Claim(String),
}

/// What is odd, where, and what to write instead.
#[derive(Debug)]
pub(super) struct Odd {
    pub(super) at: u64,
    pub(super) what: String,
    pub(super) remedy: String,
}

/// The names that have parts, and those parts.
const PARTS: [(&str, &[&str]); 3] = [
    ("request", &["method", "path", "host", "scheme", "headers", "query"]),
    ("client", &["address"]),
    ("time", &["unix", "hour", "minute", "weekday"]),
];
/// Names whose parts have any name.
const NAMED: [&str; 3] = ["request.headers", "request.query", "claims"];
/// All plain names, each with what it is.
const PLAIN: [&str; 15] = [
    "request.method",
    "request.path",
    "request.host",
    "request.scheme",
    "client.address",
    "time.unix",
    "time.hour",
    "time.minute",
    "time.weekday",
    "authenticated",
    "consumer",
    "subject",
    "groups",
    "scopes",
    "roles",
];
const ROOTS: [&str; 10] = [
    "request",
    "client",
    "time",
    "claims",
    "authenticated",
    "consumer",
    "subject",
    "groups",
    "scopes",
    "roles",
];

fn kind_of(name: &'static str) -> Kind {
    match name {
        "authenticated" => Kind::Truth,
        "groups" | "scopes" | "roles" => Kind::List(Box::new(Kind::Text)),
        "time.unix" | "time.hour" | "time.minute" => Kind::Number,
        name if NAMED.contains(&name) || PARTS.iter().any(|(parts, _)| *parts == name) => Kind::Parts(name),
        _ => Kind::Text,
    }
}

/// Checks an expression; gives what it reads.
pub(super) fn check(expression: &IdedExpr) -> Result<Vec<Use>, Odd> {
    let mut checking = Checking { scope: Vec::new(), uses: Vec::new(), deep: 0 };
    let found = checking.value(expression)?;
    if !found.kind.may_be(&Kind::Truth) {
        return Err(odd(expression, format!("the expression is {}", found.kind), "write a comparison"));
    }
    if found.steps > MOST_STEPS {
        let text = format!("the expression can take {} steps, more than {MOST_STEPS}", found.steps);
        return Err(odd(expression, text, "go through fewer lists inside of lists"));
    }
    Ok(checking.uses)
}

fn odd(at: &IdedExpr, what: impl Into<String>, remedy: impl Into<String>) -> Odd {
    Odd { at: at.id, what: what.into(), remedy: remedy.into() }
}

/// What is known of a part of an expression.
struct Found {
    kind: Kind,
    /// Most steps to get it.
    steps: u64,
    /// Most items, if it is a list.
    items: u64,
}

impl Found {
    fn one(kind: Kind) -> Found {
        Found { kind, steps: 1, items: MOST_ITEMS as u64 }
    }

    fn after(self, steps: u64) -> Found {
        Found { steps: self.steps.saturating_add(steps), ..self }
    }
}

struct Checking {
    /// Names of lists that are being gone through.
    scope: Vec<(String, Kind)>,
    uses: Vec<Use>,
    /// How deep the part that is being looked at stands.
    deep: usize,
}

impl Checking {
    fn uses(&mut self, used: Use) {
        if !self.uses.contains(&used) {
            self.uses.push(used);
        }
    }

    /// A part that must be a value, not a name with parts.
    fn value(&mut self, part: &IdedExpr) -> Result<Found, Odd> {
        let found = self.found(part)?;
        if let Kind::Parts(name) = found.kind {
            let remedy = match PARTS.iter().find(|(known, _)| *known == name) {
                Some((_, parts)) => format!("write `{name}.` and one of {}", parts.join(", ")),
                None => format!("write `{name}[\"name\"]`, or `\"name\" in {name}`"),
            };
            return Err(odd(part, format!("`{name}` is no value"), remedy));
        }
        Ok(found)
    }

    fn found(&mut self, part: &IdedExpr) -> Result<Found, Odd> {
        self.deep = self.deep.saturating_add(1);
        if self.deep > DEEPEST_PART {
            return Err(odd(part, "the expression is too deep", "write several rules instead of one"));
        }
        let found = self.found_here(part);
        self.deep = self.deep.saturating_sub(1);
        found
    }

    fn found_here(&mut self, part: &IdedExpr) -> Result<Found, Odd> {
        match &part.expr {
            Expr::Literal(literal) => Ok(Found::one(match literal {
                LiteralValue::Boolean(_) => Kind::Truth,
                LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Number,
                LiteralValue::Double(_) => Kind::Fraction,
                LiteralValue::String(_) => Kind::Text,
                LiteralValue::Bytes(_) => Kind::Bytes,
                LiteralValue::Null => Kind::Null,
            })),
            Expr::Ident(name) => self.name(part, name),
            Expr::Select(select) => self.select(part, select),
            Expr::Call(call) => self.call(part, call),
            Expr::Comprehension(going) => self.going(part, going),
            Expr::List(list) => {
                let (mut steps, mut kind) = (1u64, None);
                for element in &list.elements {
                    let found = self.value(element)?;
                    steps = steps.saturating_add(found.steps);
                    kind = Some(kind.map_or(found.kind.clone(), |kind: Kind| kind.or(found.kind)));
                }
                let kind = Kind::List(Box::new(kind.unwrap_or(Kind::Any)));
                Ok(Found { kind, steps, items: list.elements.len() as u64 })
            }
            Expr::Map(map) => {
                let mut steps = 1u64;
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    for half in [&entry.key, &entry.value] {
                        steps = steps.saturating_add(self.value(half)?.steps);
                    }
                }
                Ok(Found { kind: Kind::Any, steps, items: map.entries.len() as u64 })
            }
            Expr::Struct(_) | Expr::Unspecified => {
                Err(odd(part, "an expression has no types of its own here", "write texts, numbers and lists"))
            }
        }
    }

    fn name(&mut self, part: &IdedExpr, name: &str) -> Result<Found, Odd> {
        if let Some((_, kind)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(Found::one(kind.clone()));
        }
        let Some(known) = ROOTS.iter().find(|known| **known == name) else {
            let remedy = match nearest(name, ROOTS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", ROOTS.join(", ")),
            };
            return Err(odd(part, format!("an expression knows no `{name}`"), remedy));
        };
        let kind = kind_of(known);
        if !matches!(kind, Kind::Parts(_)) {
            self.uses(Use::Name(known));
        }
        Ok(Found::one(kind))
    }

    fn select(&mut self, part: &IdedExpr, select: &SelectExpr) -> Result<Found, Odd> {
        let of = self.found(&select.operand)?;
        let steps = of.steps;
        let found = match of.kind {
            Kind::Parts(name) => Found::one(self.part(part, name, &select.field)?),
            Kind::Any => Found::one(Kind::Any),
            other => {
                let text = format!("{other} has no `{}`", select.field);
                return Err(odd(part, text, "only `claims`, and what stands in them, have parts"));
            }
        };
        let found = found.after(steps);
        Ok(if select.test { Found { kind: Kind::Truth, ..found } } else { found })
    }

    /// A part of a name that has parts.
    fn part(&mut self, at: &IdedExpr, name: &'static str, field: &str) -> Result<Kind, Odd> {
        if NAMED.contains(&name) {
            return Ok(match name {
                "request.headers" => {
                    self.uses(Use::Header(field.to_owned()));
                    Kind::Text
                }
                "request.query" => {
                    self.uses(Use::Query(field.to_owned()));
                    Kind::Text
                }
                _ => {
                    self.uses(Use::Claim(field.to_owned()));
                    Kind::Any
                }
            });
        }
        let whole = format!("{name}.{field}");
        if let Some(known) = NAMED.iter().find(|known| **known == whole) {
            return Ok(Kind::Parts(known));
        }
        if let Some(known) = PLAIN.iter().find(|known| **known == whole) {
            self.uses(Use::Name(known));
            return Ok(kind_of(known));
        }
        let parts = PARTS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, parts)| parts);
        let remedy = match nearest(field, parts.iter().copied()) {
            Some(meant) => format!("did you mean `{name}.{meant}`?"),
            None => format!("write `{name}.` and one of {}", parts.join(", ")),
        };
        Err(odd(at, format!("`{name}` has no `{field}`"), remedy))
    }

    /// A list that is gone through: `exists`, `all`, `map`, `filter`, `exists_one`.
    fn going(&mut self, part: &IdedExpr, going: &ComprehensionExpr) -> Result<Found, Odd> {
        let range = self.value(&going.iter_range)?;
        let item = match &range.kind {
            Kind::List(item) => (**item).clone(),
            Kind::Any => Kind::Any,
            other => return Err(odd(part, format!("{other} is no list"), "go through `groups` or a claim")),
        };
        let start = self.value(&going.accu_init)?;
        let depth = self.scope.len();
        self.scope.push((going.iter_var.clone(), item));
        // What is gathered may be of any kind that a step makes of it.
        let gathered = if matches!(start.kind, Kind::List(_)) { Kind::Any } else { start.kind.clone() };
        self.scope.push((going.accu_var.clone(), gathered));
        let condition = self.value(&going.loop_cond)?;
        let step = self.value(&going.loop_step)?;
        let kind = match (start.kind, step.kind) {
            (Kind::List(_), Kind::List(item)) => Kind::List(item),
            (Kind::List(_), _) => Kind::List(Box::new(Kind::Any)),
            (start, _) => start,
        };
        if let Some((_, gathered)) = self.scope.last_mut() {
            *gathered = kind;
        }
        let result = self.value(&going.result)?;
        self.scope.truncate(depth);
        let each = condition.steps.saturating_add(step.steps);
        let steps = range.items.saturating_mul(each).saturating_add(range.steps).saturating_add(start.steps);
        Ok(Found { kind: result.kind, steps: steps.saturating_add(result.steps), items: range.items })
    }

    fn call(&mut self, part: &IdedExpr, call: &CallExpr) -> Result<Found, Odd> {
        let name = call.func_name.as_str();
        if let Some(found) = self.call_on_parts(part, call)? {
            return Ok(found);
        }
        let given: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let mut kinds = Vec::with_capacity(given.len());
        let (mut steps, mut items) = (1u64, 0u64);
        for argument in &given {
            let found = self.value(argument)?;
            steps = steps.saturating_add(found.steps);
            items = match name {
                "_+_" => items.saturating_add(found.items),
                _ => items.max(found.items),
            };
            kinds.push(found.kind);
        }
        if name == "matches" {
            check_pattern(part, given.get(1).copied())?;
        }
        let Some(kind) = outcome(name, call.target.is_some(), &kinds) else {
            return Err(misfit(part, name, &kinds));
        };
        Ok(Found { kind, steps, items })
    }

    /// `request.headers["x-tenant"]` and `"x-tenant" in request.headers`: the name must be known now.
    fn call_on_parts(&mut self, part: &IdedExpr, call: &CallExpr) -> Result<Option<Found>, Odd> {
        let (of, key) = match (call.func_name.as_str(), &*call.args) {
            ("_[_]", [of, key]) => (of, key),
            ("@in", [key, of]) => (of, key),
            _ => return Ok(None),
        };
        let before = self.uses.len();
        let Kind::Parts(name) = self.found(of)?.kind else {
            self.uses.truncate(before);
            return Ok(None);
        };
        let Expr::Literal(LiteralValue::String(field)) = &key.expr else {
            let remedy = format!("write it out: `{name}[\"name\"]`");
            return Err(odd(part, format!("what is read of `{name}` is not known beforehand"), remedy));
        };
        let kind = self.part(part, name, field.inner())?;
        let kind = if call.func_name == "@in" { Kind::Truth } else { kind };
        Ok(Some(Found::one(kind).after(3)))
    }
}

/// What a function or an operator makes of values of these kinds; none when it takes no such values.
fn outcome(name: &str, is_method: bool, kinds: &[Kind]) -> Option<Kind> {
    use Kind::{Any, Fraction, List, Null, Number, Text, Truth};
    let all = |wanted: &Kind| kinds.iter().all(|kind| kind.may_be(wanted));
    match (name, kinds) {
        ("_&&_" | "_||_" | "!_" | "@not_strictly_false", _) => all(&Truth).then_some(Truth),
        ("_?_:_", [asked, yes, no]) => asked.may_be(&Truth).then(|| yes.clone().or(no.clone())),
        ("_==_" | "_!=_", [one, other]) => {
            (one.may_be(other) || *one == Null || *other == Null).then_some(Truth)
        }
        ("_<_" | "_<=_" | "_>_" | "_>=_", [one, other]) => {
            let ordered = [Number, Text, Truth, Kind::Bytes].iter().any(&all);
            (ordered && one.may_be(other)).then_some(Truth)
        }
        ("_+_", [one, other]) => {
            let adds = matches!(one, Number | Fraction | Text | List(_) | Any | Kind::Bytes);
            (adds && one.may_be(other)).then(|| one.clone().or(other.clone()))
        }
        ("_-_" | "_*_" | "_/_" | "_%_", [one, other]) => all(&Number).then(|| one.clone().or(other.clone())),
        ("-_", [one]) => all(&Number).then(|| one.clone()),
        ("_[_]", [List(item), at]) => at.may_be(&Number).then(|| (**item).clone()),
        ("_[_]", [Any, _]) => Some(Any),
        ("@in", [item, List(items)]) => item.may_be(items).then_some(Truth),
        ("@in", [_, Any]) => Some(Truth),
        ("size", [Text | List(_) | Any | Kind::Bytes]) => Some(Number),
        ("startsWith" | "endsWith" | "contains" | "matches", [_, _]) if is_method => {
            all(&Text).then_some(Truth)
        }
        ("string", [Text | Number | Fraction | Truth | Any]) if !is_method => Some(Text),
        ("int", [Text | Number | Fraction | Any]) if !is_method => Some(Number),
        _ => None,
    }
}

const FUNCTIONS: [&str; 12] = [
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "string",
    "int",
    "exists",
    "all",
    "exists_one",
    "map",
    "filter",
];

fn misfit(part: &IdedExpr, name: &str, kinds: &[Kind]) -> Odd {
    let shown: Vec<String> = kinds.iter().map(Kind::to_string).collect();
    let shown = shown.join(" and ");
    let plain = name.trim_matches(['_', '@']).replace("_:_", ":");
    if plain.starts_with(|first: char| first.is_ascii_alphabetic())
        && name != "@in"
        && !FUNCTIONS.contains(&name)
    {
        let remedy = match nearest(name, FUNCTIONS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: {}", FUNCTIONS.join(", ")),
        };
        return odd(part, format!("an expression knows no function `{name}`"), remedy);
    }
    let remedy = match name {
        "_==_" | "_!=_" => "they are never equal: compare things of one kind",
        "startsWith" | "endsWith" | "contains" | "matches" => {
            "write `text.startsWith(\"a\")`, with a text on both sides"
        }
        "@in" => "write `\"text\" in list`",
        _ => "give it values that it takes",
    };
    odd(part, format!("`{plain}` cannot take {shown}"), remedy)
}

/// A pattern must be there to be read, and is compiled once to know that it can be.
fn check_pattern(part: &IdedExpr, pattern: Option<&IdedExpr>) -> Result<(), Odd> {
    let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern.map(|pattern| &pattern.expr) else {
        return Err(odd(part, "the pattern of `matches` is not known beforehand", "write it out as a text"));
    };
    match compile(pattern.inner()) {
        Some(_) => Ok(()),
        None => Err(odd(
            part,
            format!("`{}` is not a pattern, or too large a one", pattern.inner().escape_debug()),
            "write a regular expression without look-around",
        )),
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build().ok()
}

thread_local! {
    static COMPILED: RefCell<HashMap<String, Rc<Regex>>> = RefCell::default();
}

/// Whether a text has a part that fits a pattern; none for what is no pattern. Each thread compiles a pattern once.
pub(super) fn fits(pattern: &str, text: &str) -> Option<bool> {
    COMPILED.with(|compiled| {
        let mut compiled = compiled.try_borrow_mut().ok()?;
        if let Some(known) = compiled.get(pattern) {
            return Some(known.is_match(text));
        }
        if compiled.len() >= PATTERNS {
            compiled.clear();
        }
        let regex = Rc::new(compile(pattern)?);
        let fits = regex.is_match(text);
        compiled.insert(pattern.to_owned(), regex);
        Some(fits)
    })
}
