//! Expressions over an exchange, in the Common Expression Language: `claims.tenant == request.headers["x-tenant"]`.
//!
//! Takes a text as written; gives yes, no, or that it cannot be told. Everything that can be known beforehand is: names,
//! types, and the most steps that it can take, so that no expression of a running configuration hangs or surprises. The
//! interpreter is a crate that nobody outside of this folder knows, and a panic of it is a "cannot be told".

mod check;
mod given;
mod kinds;

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelString};
use cel::{Context, Env, ExecutionError, IdedExpr, Value};

use self::check::Use;
use super::Exchange;
use crate::values::{Invalid, text_value};

/// Longest expression.
const LONGEST: usize = 2048;
/// How deep brackets may stand inside of others, and parts of an expression inside of others.
const DEEPEST: usize = 24;
const DEEPEST_PART: usize = 48;
/// The stack of whoever reads an expression: each level takes the parser a few dozen kilobytes.
const PARSER_STACK: usize = 64 << 20;
/// Most steps that an expression may take, whatever the exchange.
const MOST_STEPS: u64 = 200_000;
/// Most items of a list that an expression goes through, and most bytes of a text that it sees.
const MOST_ITEMS: usize = 128;
const MOST_TEXT: usize = 8 * 1024;

/// An expression that says yes or no of an exchange.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    expression: IdedExpr,
    uses: Vec<Use>,
}

/// The functions and operators, and no others.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut language = Env::stdlib().with_optional_support(false);
    // It can only be taken by a function of this name, and there is none.
    let added = cel::add_member_overload!(language, fn matches: (CelString, CelString) -> Result<CelBool>);
    debug_assert!(added.is_ok());
    Arc::new(language)
});

fn matches(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let fits = check::fits(pattern.inner(), text.inner());
    fits.map(CelBool::from).ok_or_else(|| ExecutionError::function_error("matches", "no such pattern"))
}

impl Expression {
    /// Whether it says yes of this exchange.
    ///
    /// # Errors
    /// Why that cannot be told: it reads what is not there, what is there twice, or what it cannot read. Whoever asks must
    /// then decide as if the answer were the one that lets nobody pass.
    pub fn holds(&self, exchange: &Exchange) -> Result<bool, Cow<'static, str>> {
        let evaluate = || {
            let mut context = Context::with_env(LANGUAGE.clone());
            for used in &self.0.uses {
                given::give(used, exchange, &mut context)?;
            }
            match Value::resolve(&self.0.expression, &context) {
                Ok(Value::Bool(holds)) => Ok(holds),
                Ok(_) => Err(Cow::Borrowed("the expression is neither true nor false")),
                Err(error) => Err(why(&error)),
            }
        };
        catch_unwind(AssertUnwindSafe(evaluate))
            .unwrap_or(Err(Cow::Borrowed("the expression cannot be evaluated")))
    }
}

/// What went wrong, without a value in it: values may be secret.
fn why(error: &ExecutionError) -> Cow<'static, str> {
    Cow::Borrowed(match error {
        ExecutionError::NoSuchKey(_) => "the expression reads something that is not there",
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedBinaryOperator(..) => "the expression meets a value of another type",
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "the expression divides by zero"
        }
        ExecutionError::Overflow(..) => "a number in the expression grows too large",
        ExecutionError::IndexOutOfBounds(_) => "the expression reads beyond the end of a list",
        _ => "the expression cannot be evaluated",
    })
}

impl FromStr for Expression {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Expression, Invalid> {
        if text.len() > LONGEST {
            return Err(Invalid::new(
                format!("an expression of {} bytes is too long", text.len()),
                format!("write at most {LONGEST}, or several rules"),
            ));
        }
        if nesting(text) > DEEPEST {
            return Err(Invalid::new(
                "an expression has too many brackets inside of others",
                "write it flatter",
            ));
        }
        // The parser is not ours, and descends for every bracket and operator: what it does with an odd text must not end
        // the gateway. It gets a stack that is large enough for the longest.
        let owned = text.to_owned();
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK).spawn(move || parse(&owned));
        let parsed = parser.ok().and_then(|thread| thread.join().ok());
        parsed.unwrap_or_else(|| Err(unreadable(text, None, "")))
    }
}

/// How deep brackets stand inside of others, at most.
fn nesting(text: &str) -> usize {
    let (mut deep, mut most) = (0usize, 0usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => deep = deep.saturating_add(1),
            b')' | b']' | b'}' => deep = deep.saturating_sub(1),
            _ => {}
        }
        most = most.max(deep);
    }
    most
}

fn parse(text: &str) -> Result<Expression, Invalid> {
    let parser = LANGUAGE.parser().error_recovery_limit(1);
    let (expression, places) = parser.parse_with_source_info(text).map_err(|errors| {
        let first = errors.errors.first();
        let place = first.and_then(|error| usize::try_from(error.pos.1).ok());
        unreadable(text, place, first.map_or("", |error| error.msg.as_str()))
    })?;
    match check::check(&expression) {
        Ok(uses) => Ok(Expression(Arc::new(Compiled { text: text.to_owned(), expression, uses }))),
        Err(odd) => {
            let place = places.offset_for(odd.at);
            let at = place
                .map_or_else(String::new, |(start, _)| format!(", at character {}", start.saturating_add(1)));
            Err(Invalid::new(format!("{}{at}", odd.what), odd.remedy))
        }
    }
}

fn unreadable(text: &str, place: Option<usize>, told: &str) -> Invalid {
    let told = told.lines().next().unwrap_or_default();
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.to_lowercase()) };
    let at = place.map_or_else(String::new, |place| format!(", at character {place}"));
    let shown: String = text.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect();
    Invalid::new(
        format!("`{shown}` is not an expression{at}{told}"),
        "write one such as `claims.tenant == \"acme\"`",
    )
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.0.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.0.text == other.0.text
    }
}

text_value!(Expression, "Expression", "an expression such as claims.tenant == \"acme\"", {
    "type": "string",
    "description": "An expression in the Common Expression Language that is true or false.",
    "examples": ["claims.tenant == request.headers[\"x-tenant\"]", "groups.exists(g, g.startsWith(\"eu-\"))"]
});

#[cfg(test)]
mod tests;
