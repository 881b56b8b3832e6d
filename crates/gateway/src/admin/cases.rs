//! The tests of a configuration: each request is explained, and what is told compared with what is expected.
//!
//! Takes a configuration and the snapshot compiled from it; gives for each test what does not hold, with its place. Sends
//! nothing and needs no gateway that runs: a test sees what `explain` tells, secrets as `***`.

use serde_json::{Value, json};

use super::explain::{Explanation, Outcome, Question, Sent, explain};
use crate::config::{
    self, Case, CaseOutcome, CaseRequestMap, Config, Diagnostics, NO_ROUTE, Span, Spanned, Test,
};
use crate::snapshot::Snapshot;

/// Characters of a text that was got which are told.
const SHOWN: usize = 200;

/// One test that was run.
#[derive(Debug)]
pub struct Ran {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub span: Span,
    /// The words by which `tidegate explain` is asked the same.
    asked: String,
    /// How the request ended, in a few words.
    pub verdict: String,
    /// What does not hold. None: the test has passed.
    pub misses: Vec<Miss>,
}

/// One thing that is not as expected.
#[derive(Debug)]
pub struct Miss {
    /// Which.
    pub what: String,
    /// What it was to be.
    pub expected: String,
    /// What it is.
    pub got: String,
    /// Where it is written.
    pub span: Span,
}

/// Runs the tests whose names contain a text; all of them where it is empty.
pub fn run(config: &Config, snapshot: &Snapshot, only: &str) -> Vec<Ran> {
    let chosen = config.tests.iter().filter(|(name, _)| name.contains(only));
    chosen.map(|(name, case)| ran(name, case, snapshot)).collect()
}

/// Reports what does not hold as faults of the configuration.
pub fn report(all: &[Ran], diagnostics: &mut Diagnostics) {
    for ran in all {
        for Miss { what, expected, got, span } in &ran.misses {
            let message = format!("test `{}`: {what} is {got}, expected {expected}", ran.name);
            let masked = if got.contains("***") { "; secrets are compared as `***`" } else { "" };
            let help = format!("{}; see why: `tidegate explain {}`{masked}", ran.verdict, ran.asked);
            diagnostics.error(config::codes::TEST_FAILED, *span, message).label(got.clone()).help(help);
        }
    }
}

/// All that was found, for programs.
pub fn to_json(all: &[Ran], diagnostics: &Diagnostics) -> Value {
    let place = |span| diagnostics.files().place(span);
    let cases = all.iter().map(|ran| {
        let misses = ran.misses.iter().map(|Miss { what, expected, got, span }| {
            json!({ "what": what, "expected": expected, "got": got, "place": place(*span) })
        });
        json!({
            "name": ran.name,
            "passed": ran.misses.is_empty(),
            "verdict": ran.verdict,
            "place": place(ran.span),
            "misses": misses.collect::<Vec<_>>(),
        })
    });
    json!(cases.collect::<Vec<_>>())
}

fn ran(name: &Spanned<String>, case: &Case, snapshot: &Snapshot) -> Ran {
    let asked = question(case.request.settings());
    let mut ran = Ran {
        name: name.to_string(),
        span: name.span(),
        asked: words(&asked),
        verdict: String::new(),
        misses: Vec::new(),
    };
    match explain(snapshot, &asked) {
        Ok(told) => {
            ran.misses = Comparing { told: &told, misses: Vec::new() }.all(case);
            ran.verdict = told.verdict;
        }
        Err(unclear) => {
            ran.verdict = "no client could send this request".to_owned();
            let (what, expected) = ("the request".to_owned(), "one that a client can send".to_owned());
            ran.misses.push(Miss { what, expected, got: unclear.to_string(), span: name.span() });
        }
    }
    ran
}

fn question(request: CaseRequestMap) -> Question {
    let headers = request.headers.iter().flat_map(|(name, values)| {
        values.iter().map(|value| (name.as_str().to_owned(), value.as_str().to_owned()))
    });
    Question {
        headers: headers.collect(),
        from: request.from.get(),
        listener: request.listener.map(|name| name.to_string()),
        body_size: request.body_size.map(|size| size.bytes()),
        ..Question::new(request.method.as_str(), request.url.as_str())
    }
}

/// The question as words of a command; values of headers are left out, as they may be secrets.
fn words(asked: &Question) -> String {
    let mut words = vec![asked.method.clone(), format!("'{}'", asked.url)];
    if !asked.from.is_loopback() {
        words.push(format!("--from {}", asked.from));
    }
    words.extend(asked.headers.iter().map(|(name, _)| format!("-H '{name}: ..'")));
    words.extend(asked.body_size.map(|size| format!("--body-size {size}")));
    words.extend(asked.listener.as_ref().map(|name| format!("--listener {name}")));
    words.join(" ")
}

/// A test that is being compared with what was told.
struct Comparing<'t> {
    told: &'t Explanation,
    misses: Vec<Miss>,
}

impl Comparing<'_> {
    fn all(mut self, case: &Case) -> Vec<Miss> {
        let (told, expect) = (self.told, &case.expect);
        if let Some(outcome) = &expect.outcome {
            self.one("the outcome", outcome.word(), Some(word(told.outcome)), outcome.span());
        }
        if let Some(status) = &expect.status {
            let got = told.status.map(|status| status.to_string());
            self.one("the status", &status.to_string(), got.as_deref(), status.span());
        }
        if let Some(reason) = &expect.reason {
            self.one("the reason", reason, told.reason.as_deref(), reason.span());
        }
        if let Some(policy) = &expect.policy {
            self.one("the policy that answers", policy, told.by.as_deref(), policy.span());
        }
        if let Some(route) = &expect.route {
            let got = told.route.as_ref().map_or(NO_ROUTE, |route| route.key.as_str());
            self.one("the route", route, Some(got), route.span());
        }
        self.of_service(case);
        self.of_answer(case);
        self.misses
    }

    /// What the service gets.
    fn of_service(&mut self, case: &Case) {
        let (sent, expect) = (self.told.upstream.as_ref(), &case.expect);
        let service = sent.map(|sent| sent.service.as_str());
        if let Some(first) = expect.service.first()
            && !expect.service.iter().any(|one| Some(one.as_str()) == service)
        {
            let wanted: Vec<&str> = expect.service.iter().map(|one| one.as_str()).collect();
            self.one("the service", &wanted.join(" or "), service, first.span());
        }
        if let Some(method) = &expect.method {
            self.one(
                "the method that the service gets",
                method,
                sent.map(|sent| &*sent.method),
                method.span(),
            );
        }
        if let Some(path) = &expect.path {
            let whole = path.contains('?');
            let of = |sent: &Sent| match sent.target.split_once('?') {
                Some((own, _)) if !whole => own.to_owned(),
                _ => sent.target.clone(),
            };
            let got = sent.map(of);
            self.one("the path that the service gets", path, got.as_deref(), path.span());
        }
        for (name, test) in &expect.headers {
            let lines = sent.map(|sent| sent.headers.as_slice());
            self.header("which the service gets", (name.as_str(), name.span()), test, lines);
        }
    }

    /// What the gateway itself answers, besides its status.
    fn of_answer(&mut self, case: &Case) {
        let (answer, expect) = (self.told.answer.as_ref(), &case.expect);
        let lines = answer.map(|answer| answer.headers.as_slice());
        for (name, test) in &expect.answer_headers {
            self.header("of the answer", (name.as_str(), name.span()), test, lines);
        }
        if let Some(location) = &expect.location {
            let got = values("location", lines.unwrap_or_default());
            self.one("where the client is sent", location, got.as_deref(), location.span());
        }
        if let Some(body) = &expect.body {
            self.tested("the body of the answer", body, answer.map(|answer| &*answer.body), body.span());
        }
    }

    /// Notes what is another than expected; nothing where the gateway has none, which the verdict tells.
    fn one(&mut self, what: &str, expected: &str, got: Option<&str>, span: Span) {
        if got != Some(expected) {
            self.miss(what, format!("`{expected}`"), got, span);
        }
    }

    fn header(
        &mut self,
        whose: &str,
        (name, span): (&str, Span),
        test: &Test,
        lines: Option<&[(String, String)]>,
    ) {
        let what = format!("the header {name} {whose}");
        // Of a request that goes nowhere, or an answer that there is not, nothing holds: not even that it has no header.
        match lines {
            Some(lines) => self.tested(&what, test, values(name, lines).as_deref(), span),
            None => self.miss(&what, wanted(test), None, span),
        }
    }

    fn tested(&mut self, what: &str, test: &Test, got: Option<&str>, span: Span) {
        let holds = match (test, got) {
            (Test::Equals(text), got) => got == Some(text),
            (Test::Present(wanted), got) => got.is_some() == *wanted,
            (Test::Regex(regex), Some(got)) => {
                regex::Regex::new(regex.as_str()).is_ok_and(|regex| regex.is_match(got))
            }
            (Test::Regex(_), None) => false,
        };
        if !holds {
            self.miss(what, wanted(test), got, span);
        }
    }

    fn miss(&mut self, what: &str, expected: String, got: Option<&str>, span: Span) {
        let got = got.map(|got| {
            let cut = if got.chars().count() > SHOWN { ".." } else { "" };
            format!("`{}{cut}`", got.chars().take(SHOWN).collect::<String>().escape_debug())
        });
        let got = got.unwrap_or_else(|| "none".to_owned());
        self.misses.push(Miss { what: what.to_owned(), expected, got, span });
    }
}

/// What a test of a text wants, in words.
fn wanted(test: &Test) -> String {
    match test {
        Test::Equals(text) => format!("`{}`", text.escape_debug()),
        Test::Regex(regex) => format!("what matches `{}`", regex.as_str()),
        Test::Present(true) => "one".to_owned(),
        Test::Present(false) => "none".to_owned(),
    }
}

/// The values of a header, as one.
fn values(name: &str, lines: &[(String, String)]) -> Option<String> {
    let own = lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let values: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Forwarded => CaseOutcome::Forwarded.word(),
        Outcome::Answered => CaseOutcome::Answered.word(),
        Outcome::Refused => CaseOutcome::Refused.word(),
    }
}
