//! Looks through a template when it is loaded: whether it can be read, what it takes of the request and of the parts, and
//! whether all that it uses is there.
//!
//! Takes the text; gives the names, or all flaws. What could make more of an answer than was in it is refused here, because
//! steps and bytes are counted only where something is written out.

use std::collections::HashMap;

use minijinja::Error;
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;

use super::filters::{FILTERS, TESTS};
use super::{MOST_TEXT, NAME};
use crate::values::composed::Field;
use crate::values::{Composed, Source, nearest};

/// How many times a name may hold what it was made of.
const MOST_COPIES: u64 = 64;
/// Filters that give numbers.
const COUNTING: [&str; 6] = ["abs", "count", "float", "int", "length", "round"];
/// What a loop says of itself in numbers.
const OF_LOOP: [&str; 5] = ["index", "index0", "length", "revindex", "revindex0"];

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Flaw {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong, as a sentence without a full stop.
    pub what: String,
    /// What to write instead; empty when there is nothing to say.
    pub help: String,
}

impl Flaw {
    /// What minijinja says.
    pub(super) fn of(error: &Error) -> Flaw {
        let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        Flaw { line: error.line().unwrap_or(1), what, help: String::new() }
    }
}

/// What a template takes.
#[derive(Debug, Default)]
pub struct Names {
    /// Of the parts' answers: the part, and whether its status or its body.
    pub fields: Vec<Composed>,
    /// Of the request, under the names that are written.
    pub sources: Vec<(Vec<String>, Source)>,
}

/// Reads a template and looks through it.
pub(super) fn check(text: &str, parts: &[&str]) -> Result<Names, Vec<Flaw>> {
    if text.len() > MOST_TEXT {
        let what = format!("the template has {} bytes", text.len());
        return Err(vec![Flaw { line: 1, what, help: format!("write at most {MOST_TEXT}") }]);
    }
    let read = parse(text, NAME, SyntaxConfig::default()).map_err(|error| vec![Flaw::of(&error)])?;
    let mut walk =
        Walk { parts, scopes: vec![HashMap::new()], names: Names::default(), flaws: Vec::new(), line: 1 };
    walk.statement(&read);
    walk.overlaps();
    if walk.flaws.is_empty() { Ok(walk.names) } else { Err(walk.flaws) }
}

struct Walk<'w> {
    parts: &'w [&'w str],
    /// Names that the template gives itself, innermost last, each with how many copies of something it may hold.
    scopes: Vec<HashMap<String, u64>>,
    names: Names,
    flaws: Vec<Flaw>,
    line: usize,
}

impl Walk<'_> {
    fn flaw(&mut self, what: String, help: impl Into<String>) {
        self.flaws.push(Flaw { line: self.line, what, help: help.into() });
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(all) => self.statements(&all.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(of) => _ = self.expression(&of.expr),
            Stmt::IfCond(of) => {
                self.expression(&of.expr);
                self.statements(&of.true_body);
                self.statements(&of.false_body);
            }
            Stmt::ForLoop(of) => {
                let copies = self.expression(&of.iter);
                if of.recursive {
                    self.flaw("a loop cannot be `recursive`".to_owned(), "write one loop in the other");
                }
                self.within(|walk| {
                    walk.give("loop".to_owned(), 1);
                    walk.assign(&of.target, copies);
                    of.filter_expr.iter().for_each(|filter| _ = walk.expression(filter));
                    walk.statements(&of.body);
                });
                self.within(|walk| walk.statements(&of.else_body));
            }
            Stmt::WithBlock(of) => self.within(|walk| {
                for (target, value) in &of.assignments {
                    let copies = walk.expression(value);
                    walk.assign(target, copies);
                }
                walk.statements(&of.body);
            }),
            Stmt::Set(of) => {
                let copies = self.expression(&of.expr);
                self.assign(&of.target, copies);
            }
            Stmt::SetBlock(of) => self.capture("{% set name %}", of.span().start_line),
            Stmt::FilterBlock(of) => self.capture("{% filter %}", of.span().start_line),
            Stmt::AutoEscape(of) => self.capture("{% autoescape %}", of.span().start_line),
            Stmt::Do(of) => self.capture("{% do %}", of.span().start_line),
        }
    }

    fn capture(&mut self, what: &str, line: u16) {
        self.line = usize::from(line);
        self.flaw(format!("`{what}` is not known here"), "write each text where it is to stand");
    }

    fn within(&mut self, inner: impl FnOnce(&mut Self)) {
        self.scopes.push(HashMap::new());
        inner(self);
        self.scopes.pop();
    }

    fn give(&mut self, name: String, copies: u64) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, copies);
        }
    }

    /// Gives a value to a name, or its elements to several.
    fn assign(&mut self, target: &Expr<'_>, copies: u64) {
        match target {
            Expr::Var(name) => {
                if copies > MOST_COPIES {
                    let what = format!("`{}` would hold more than {MOST_COPIES} copies of a value", name.id);
                    self.flaw(what, "write the text where it is to stand");
                }
                self.give(name.id.to_owned(), copies);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.assign(item, copies)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.assign(item, copies)),
            _ => self.flaw("something else than a name gets a value".to_owned(), "write a name before `=`"),
        }
    }

    /// Looks through an expression; says how many copies of one value it may hold at most.
    fn expression(&mut self, expression: &Expr<'_>) -> u64 {
        self.line = usize::from(expression.span().start_line);
        match expression {
            Expr::Const(_) => 1,
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.place(expression),
            Expr::UnaryOp(of) => self.expression(&of.expr),
            Expr::BinOp(of) => {
                if matches!(of.op, BinOpKind::Mul) && !(self.counts(&of.left) && self.counts(&of.right)) {
                    // A text or list times a number that a service says could be of any size.
                    self.flaw(
                        "`*` stands beside what may be no number".to_owned(),
                        "say that it is one: `item.price|float * item.count|int`",
                    );
                }
                self.all([&of.left, &of.right])
            }
            Expr::Compare(of) => {
                self.expression(&of.expr);
                self.all(of.ops.iter().map(|op| &op.expr)).min(1)
            }
            Expr::IfExpr(of) => self.all([&of.test_expr, &of.true_expr].into_iter().chain(&of.false_expr)),
            Expr::Slice(of) => {
                self.all([&of.expr].into_iter().chain(&of.start).chain(&of.stop).chain(&of.step))
            }
            Expr::List(of) => self.all(&of.items),
            Expr::Tuple(of) => self.all(&of.items),
            Expr::Map(of) => self.all(of.keys.iter().chain(&of.values)),
            Expr::Filter(of) => {
                self.known("filter", of.name, FILTERS);
                let named = match of.name {
                    "map" => of.args.first().map(|name| ("filter", name, FILTERS)),
                    "select" | "reject" => of.args.first().map(|name| ("test", name, TESTS)),
                    "selectattr" | "rejectattr" => of.args.get(1).map(|name| ("test", name, TESTS)),
                    _ => None,
                };
                if let Some((kind, CallArg::Pos(Expr::Const(name)), all)) = named {
                    self.known(kind, name.value.as_str().unwrap_or_default(), all);
                }
                let value = of.expr.as_ref().map_or(0, |value| self.expression(value));
                value.saturating_add(self.arguments(&of.args))
            }
            Expr::Test(of) => {
                self.known("test", of.name, TESTS);
                self.expression(&of.expr);
                self.arguments(&of.args).min(1)
            }
            Expr::Call(of) => {
                self.flaw("nothing can be called".to_owned(), "use a filter: `value | upper`");
                self.arguments(&of.args)
            }
        }
    }

    fn all<'e, 's: 'e>(&mut self, several: impl IntoIterator<Item = &'e Expr<'s>>) -> u64 {
        several.into_iter().fold(0, |copies, one| copies.saturating_add(self.expression(one)))
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> u64 {
        self.all(arguments.iter().map(|argument| match argument {
            CallArg::Pos(value) | CallArg::Kwarg(_, value) => value,
            CallArg::PosSplat(value) | CallArg::KwargSplat(value) => value,
        }))
    }

    fn known(&mut self, kind: &str, name: &str, all: &[&str]) {
        if all.contains(&name) {
            return;
        }
        let help = match nearest(name, all.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: {}", all.join(", ")),
        };
        self.flaw(format!("there is no {kind} `{name}`"), help);
    }

    /// Whether an expression is a number, or fails.
    fn counts(&self, expression: &Expr<'_>) -> bool {
        match expression {
            Expr::Const(of) => of.value.is_number(),
            Expr::UnaryOp(of) => matches!(of.op, UnaryOpKind::Neg) && self.counts(&of.expr),
            Expr::BinOp(of) => match of.op {
                BinOpKind::Add | BinOpKind::Mul => self.counts(&of.left) && self.counts(&of.right),
                BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => {
                    true
                }
                _ => false,
            },
            Expr::Filter(of) => COUNTING.contains(&of.name),
            Expr::GetAttr(of) => {
                OF_LOOP.contains(&of.name) && matches!(&of.expr, Expr::Var(of) if of.id == "loop")
            }
            _ => false,
        }
    }

    /// A name and the keys behind it.
    fn place(&mut self, expression: &Expr<'_>) -> u64 {
        let (mut keys, mut at) = (Vec::new(), expression);
        let root = loop {
            match at {
                Expr::Var(name) => break name.id,
                Expr::GetAttr(of) => {
                    keys.push(Some(of.name.to_owned()));
                    at = &of.expr;
                }
                Expr::GetItem(of) => {
                    match &of.subscript_expr {
                        Expr::Const(key) => keys.push(key.value.as_str().map(str::to_owned)),
                        key => {
                            keys.push(None);
                            self.expression(key);
                        }
                    }
                    at = &of.expr;
                }
                other => return self.expression(other),
            }
        };
        if let Some(copies) = self.scopes.iter().rev().find_map(|scope| scope.get(root)) {
            return *copies;
        }
        let written = keys.into_iter().rev().map_while(|key| key);
        let path: Vec<String> = std::iter::once(root.to_owned()).chain(written).collect();
        self.line = usize::from(expression.span().start_line);
        self.outer(path);
        1
    }

    /// Takes a name that the template did not give itself: of the request, or of a part.
    fn outer(&mut self, path: Vec<String>) {
        if let Ok(source) = path.join(".").parse::<Source>() {
            if !self.names.sources.iter().any(|(known, _)| *known == path) {
                self.names.sources.push((path, source));
            }
            return;
        }
        let root = path.first().map_or("", String::as_str);
        let field = match path.get(1) {
            // The part itself is asked after: whether it is there.
            None if self.parts.contains(&root) => format!("{{{root}.status}}"),
            // What is looked for in a body is found, or not, when it is there.
            Some(of) => format!("{{{root}.{of}}}"),
            None => format!("{{{root}}}"),
        };
        match field.parse::<Composed>() {
            Ok(field) if self.names.fields.contains(&field) => {}
            Ok(field) => self.names.fields.push(field),
            Err(invalid) => {
                let of_part = || format!("{root}.{}", path.get(1)?).parse::<Field>().err();
                let invalid = if self.parts.contains(&root) { of_part().unwrap_or(invalid) } else { invalid };
                self.flaw(invalid.what, invalid.remedy);
            }
        }
    }

    /// A value cannot have others inside it.
    fn overlaps(&mut self) {
        let paths: Vec<String> = self.names.sources.iter().map(|(path, _)| path.join(".")).collect();
        for short in &paths {
            let inside = format!("{short}.");
            if let Some(long) = paths.iter().find(|long| long.starts_with(&inside)) {
                self.line = 1;
                let what = format!("`{short}` and `{long}` cannot both stand in one template");
                self.flaw(what, "send one of them to a part, or use a template of JSON");
            }
        }
    }
}
