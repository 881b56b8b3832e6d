//! Which samples are wanted: `status>=500 route:/orders/* ms>200`, terms that must all hold.
//!
//! Takes what a user writes; gives a test of a sample. A `*` at the end of a text stands for anything.

use std::str::FromStr;

use serde_json::Value;

use crate::values::nearest;

/// Names in a filter, and the names in a sample.
const FIELDS: [(&str, &str); 13] = [
    ("status", "status"),
    ("ms", "duration_ms"),
    ("route", "route"),
    ("service", "service"),
    ("endpoint", "endpoint"),
    ("method", "method"),
    ("host", "host"),
    ("path", "path"),
    ("ip", "client"),
    ("consumer", "consumer"),
    ("reason", "reason"),
    ("id", "request_id"),
    ("why", "sampled"),
];
/// Terms of a filter.
const MOST_TERMS: usize = 16;

/// Terms that must all hold; none lets everything pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<Term>);

#[derive(Clone, Debug, PartialEq)]
struct Term {
    field: &'static str,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// Equal to this text, or beginning with it.
    Text {
        text: String,
        begins: bool,
    },
    Least(f64),
    Above(f64),
    Most(f64),
    Below(f64),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let terms: Result<Vec<Term>, String> = terms(text).into_iter().map(term).collect();
        let terms = terms?;
        if terms.len() > MOST_TERMS {
            return Err(format!("a filter has at most {MOST_TERMS} terms"));
        }
        Ok(Filter(terms))
    }
}

impl Filter {
    /// Whether a sample is wanted.
    pub fn passes(&self, sample: &Value) -> bool {
        self.0.iter().all(|term| term.holds(sample.get(term.field)))
    }
}

impl Term {
    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return false };
        let number = value.as_f64();
        match &self.test {
            Test::Text { text, begins } => {
                let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                // The key of a route may begin with its methods.
                let bare = found.split_once(' ').map_or("", |(_, bare)| bare);
                let fits = |found: &str| if *begins { found.starts_with(text) } else { found == text };
                fits(&found) || (self.field == "route" && fits(bare))
            }
            Test::Least(least) => number.is_some_and(|number| number >= *least),
            Test::Above(bound) => number.is_some_and(|number| number > *bound),
            Test::Most(most) => number.is_some_and(|number| number <= *most),
            Test::Below(bound) => number.is_some_and(|number| number < *bound),
        }
    }
}

/// The words of a filter: a word without a field goes on the one before, as in `route:GET /a`.
fn terms(text: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match terms.last_mut() {
            Some(last) if word.starts_with('/') => {
                last.push(' ');
                last.push_str(word);
            }
            _ => terms.push(word.to_owned()),
        }
    }
    terms
}

fn term(text: String) -> Result<Term, String> {
    let unclear =
        || format!("`{text}` is no term: write one such as `status>=500`, `route:/orders/*` or `ms>200`");
    let at = text.find([':', '<', '>']).ok_or_else(unclear)?;
    let (name, rest) = text.split_at_checked(at).ok_or_else(unclear)?;
    let Some((_, field)) = FIELDS.iter().find(|(own, _)| *own == name) else {
        let names = FIELDS.map(|(own, _)| own);
        let remedy = nearest(name, names).map_or_else(
            || format!("there are {}", names.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        return Err(format!("`{name}` is no field of a sample: {remedy}"));
    };
    let number = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
    let test = if let Some(text) = rest.strip_prefix(':') {
        let begins = text.strip_suffix('*');
        Test::Text { text: begins.unwrap_or(text).to_owned(), begins: begins.is_some() }
    } else if let Some(text) = rest.strip_prefix(">=") {
        Test::Least(number(text)?)
    } else if let Some(text) = rest.strip_prefix("<=") {
        Test::Most(number(text)?)
    } else if let Some(text) = rest.strip_prefix('>') {
        Test::Above(number(text)?)
    } else {
        Test::Below(number(rest.strip_prefix('<').unwrap_or_default())?)
    };
    Ok(Term { field, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_must_all_hold() {
        let sample = serde_json::json!({
            "status": 503, "duration_ms": 12.5, "route": "GET /orders/*", "path": "/orders/7", "client": "10.0.0.7",
            "sampled": "error",
        });
        for (text, passes) in [
            ("", true),
            ("status>=500", true),
            ("status<500", false),
            ("status:503", true),
            ("status:5*", true),
            ("ms>12 ms<=12.5", true),
            ("ms>12.5", false),
            ("route:/orders/*", true),
            ("route:GET /orders/*", true),
            ("route:/users/*", false),
            ("path:/orders/7 ip:10.0.0.7 why:error", true),
            ("path:/orders", false),
            ("service:app", false),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap().passes(&sample), passes, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_told() {
        for (text, word) in [
            ("500", "is no term"),
            ("statsu:500", "did you mean `status`?"),
            ("ms>fast", "`fast` is not a number"),
            ("ms>", "`` is not a number"),
        ] {
            let told = text.parse::<Filter>().unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
        assert!("ms>1 ".repeat(17).parse::<Filter>().is_err());
    }
}
