//! What a template can do with values, and how they are written into its text.
//!
//! Gives an environment with these filters and tests and no others. Nothing that a service says can make one of them grow
//! beyond its bound, and where JSON is made, no text of theirs can leave the quotes that it stands in.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, HtmlEscape, Output, UndefinedBehavior, filters, tests,
};

use super::MOST_MADE;
use super::node::Node;
use crate::values::Syntax;

/// Names, and what puts all that they stand for into an environment.
macro_rules! table {
    ($(#[$about:meta])* $names:ident, $put:ident, $add:ident: $($name:literal $does:expr;)*) => {
        $(#[$about])*
        pub(super) const $names: &[&str] = &[$($name),*];

        fn $put(environment: &mut Environment<'static>) {
            $(environment.$add($name, $does);)*
        }
    };
}

table! {
    /// The filters that there are.
    FILTERS, put_filters, add_filter:
    "abs" filters::abs;
    "capitalize" filters::capitalize;
    "count" filters::length;
    "default" filters::default;
    "dictsort" filters::dictsort;
    "e" escape;
    "escape" escape;
    "first" filters::first;
    "float" filters::float;
    "int" filters::int;
    "items" filters::items;
    "join" join;
    "last" filters::last;
    "length" filters::length;
    "list" filters::list;
    "lower" filters::lower;
    "map" filters::map;
    "max" filters::max;
    "min" filters::min;
    "reject" filters::reject;
    "rejectattr" filters::rejectattr;
    "replace" replace;
    "reverse" filters::reverse;
    "round" filters::round;
    "safe" filters::safe;
    "select" filters::select;
    "selectattr" filters::selectattr;
    "sort" filters::sort;
    "split" filters::split;
    "string" string;
    "sum" filters::sum;
    "title" filters::title;
    "tojson" json;
    "trim" filters::trim;
    "unique" filters::unique;
    "upper" filters::upper;
}

table! {
    /// The tests that there are.
    TESTS, put_tests, add_test:
    "boolean" tests::is_boolean;
    "defined" tests::is_defined;
    "divisibleby" tests::is_divisibleby;
    "endingwith" tests::is_endingwith;
    "eq" tests::is_eq;
    "even" tests::is_even;
    "false" tests::is_false;
    "ge" tests::is_ge;
    "gt" tests::is_gt;
    "in" tests::is_in;
    "le" tests::is_le;
    "lt" tests::is_lt;
    "mapping" tests::is_mapping;
    "ne" tests::is_ne;
    "number" tests::is_number;
    "odd" tests::is_odd;
    "sequence" tests::is_sequence;
    "startingwith" tests::is_startingwith;
    "string" tests::is_string;
    "true" tests::is_true;
    "undefined" tests::is_undefined;
}

/// An environment for one template, whose text is read as this.
pub(super) fn environment(syntax: Syntax) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // What is missing is nothing, as in every other text with places. Names are looked at when the template is read.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_formatter(move |out, _, value| put(out, value, syntax));
    put_filters(&mut environment);
    put_tests(&mut environment);
    environment
}

/// Writes a value into the text. In HTML and XML what is not said to be markup is escaped. In JSON, a text that would end its
/// quotes or change what it says is refused: it could say more than the one value that it is.
fn put(out: &mut Output<'_>, value: &Value, syntax: Syntax) -> Result<(), Error> {
    if syntax == Syntax::Markup && !value.is_safe() {
        let written = write!(out, "{}", HtmlEscape(&text(value)?));
        return written.map_err(|_| failed("it makes more than it may"));
    }
    let text = text(value)?;
    let breaks = |byte: u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let is_text = value.kind() == ValueKind::String && !value.is_safe();
    if syntax == Syntax::Json && is_text && text.bytes().any(breaks) {
        return Err(failed("a text with quotes stands in JSON as it is: write `tojson` behind it"));
    }
    out.write_str(&text).map_err(|_| failed("it makes more than it may"))
}

/// A value as plain text: nothing of what is missing, lists and objects as JSON.
fn text(value: &Value) -> Result<Cow<'_, str>, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Cow::Borrowed(""),
        ValueKind::Bool => Cow::Borrowed(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => Cow::Owned(value.to_string()),
        _ => match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(json(value)?.to_string()),
        },
    })
}

fn string(value: &Value) -> Result<String, Error> {
    text(value).map(Cow::into_owned)
}

/// A value as JSON: of what a service has said, its own text, but for what would end a script around it.
fn json(value: &Value) -> Result<Value, Error> {
    let Some(node) = value.downcast_object_ref::<Node>() else {
        return filters::tojson(value, None, Kwargs::from_iter(std::iter::empty::<(String, Value)>()));
    };
    let mut out = String::with_capacity(node.text().len());
    for character in node.text().chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\'' => out.push_str("\\u0027"),
            plain => out.push(plain),
        }
    }
    Ok(Value::from_safe_string(out))
}

/// A value as text of HTML.
fn escape(value: &Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    Ok(Value::from_safe_string(HtmlEscape(&text(value)?).to_string()))
}

/// The elements of a list in one text.
fn join(list: &Value, between: Option<Cow<'_, str>>) -> Result<String, Error> {
    let between = between.unwrap_or_default();
    let mut out = String::new();
    for (nth, element) in list.try_iter()?.enumerate() {
        let element = text(&element)?.into_owned();
        grows(out.len().saturating_add(between.len()).saturating_add(element.len()))?;
        if nth > 0 {
            out.push_str(&between);
        }
        out.push_str(&element);
    }
    Ok(out)
}

fn replace(text: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>) -> Result<String, Error> {
    let found = text.matches(&*from).count();
    grows(found.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replace(&*from, &to))
}

fn grows(size: usize) -> Result<(), Error> {
    if size > MOST_MADE { Err(failed("it makes more than it may")) } else { Ok(()) }
}

fn failed(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}
