//! `allow`: who of those who are known may do what.
//!
//! Takes the identity that the policies before it found, and the request. What is not allowed is refused; which rule it was
//! stands in the decision record and not in the answer.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Method, OneOrMany, Pairs, Spanned, codes};
use crate::exchange::{Answer, Exchange, Expression, Identity, Verdict};
use crate::values::{Cidr, Invalid, Name};

/// Lets pass by who calls and what is asked, with 403 for all others.
///
/// A rule fits when all that it says fits; of a list one is enough, but scopes must all be there. `if` lets pass what fits one
/// of its rules; `unless` refuses what fits one of its own, whatever `if` says. A rule that asks for something of the caller
/// never fits who is not known, so put `api_key`, `jwt`, `basic` or `any_of` on the route, too. Times are in UTC.
///
/// ```yaml
/// allow:
///   if:
///     - { scopes: orders.read, methods: [GET, HEAD] }
///     - { roles: clerk, networks: 10.0.0.0/8, days: [mon, tue, wed, thu, fri], hours: 08:00-18:00 }
///     - groups: admin
///     - expression: claims.tenant == request.headers["x-tenant"]
///   unless: { consumers: retired-app }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Allow {
    /// Rules of which one must fit. Default: everything that `unless` does not refuse.
    #[serde(default)]
    r#if: OneOrMany<Rule>,
    /// Rules of which none may fit.
    #[serde(default)]
    unless: OneOrMany<Rule>,
}

/// What must all be so for a rule to fit.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "AllowRule")]
struct Rule {
    /// The caller is one of these consumers.
    consumers: OneOrMany<Name>,
    /// The caller is in one of these groups.
    groups: OneOrMany<String>,
    /// The caller has one of these roles.
    roles: OneOrMany<String>,
    /// The caller has all of these scopes.
    scopes: OneOrMany<String>,
    /// The caller is one of these, by the `sub` of its token or its user name.
    subjects: OneOrMany<String>,
    /// The token has these claims, each one of these texts; a claim that is a list must have it.
    claims: Pairs<String, OneOrMany<String>>,
    /// The method is one of these.
    methods: OneOrMany<Method>,
    /// The client's address is in one of these networks.
    networks: OneOrMany<Cidr>,
    /// It is one of these days of the week: mon, tue, wed, thu, fri, sat, sun.
    days: OneOrMany<Day>,
    /// It is between these times of the day, as `08:00-18:00`; `22:00-06:00` goes over midnight.
    hours: OneOrMany<Hours>,
    /// This is true, in the Common Expression Language: `claims.tenant == request.headers["x-tenant"]`. What it can read is on
    /// the page on identity. Where it cannot be told, as with a claim that is not there, a rule of `if` does not fit and a rule
    /// of `unless` does.
    expression: Option<Expression>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Day {
    Thu,
    Fri,
    Sat,
    Sun,
    Mon,
    Tue,
    Wed,
}

/// A part of the day, in minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
struct Hours {
    from: u32,
    to: u32,
}

impl FromStr for Hours {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Hours, Invalid> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5)?;
            let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
            let of_day = hour.checked_mul(60)?.checked_add(minute)?;
            (minute < 60 && of_day <= 24 * 60).then_some(of_day)
        };
        let read = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        match read {
            Some((from, to)) if from != to => Ok(Hours { from, to }),
            _ => Err(Invalid::new(format!("`{text}` is not a part of the day"), "write 08:00-18:00, in UTC")),
        }
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Hours, String> {
        text.parse().map_err(|invalid: Invalid| invalid.two_lines())
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> String {
        let text = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        format!("{}-{}", text(hours.from), text(hours.to))
    }
}

impl Hours {
    fn contain(self, minute: u32) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

/// The day of the week and the minute of the day. The first of January 1970 was a Thursday.
fn day_and_minute(at: SystemTime) -> (u64, u32) {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    (seconds / 86_400 % 7, u32::try_from(seconds % 86_400 / 60).unwrap_or(0))
}

/// What an expression says that cannot be told.
type Untold = Cow<'static, str>;

impl Rule {
    /// Whether the rule fits; an error where its expression cannot be told and all else fits.
    fn fits(&self, exchange: &Exchange) -> Result<bool, Untold> {
        match &self.expression {
            _ if !self.fits_plainly(exchange) => Ok(false),
            Some(expression) => expression.holds(exchange),
            None => Ok(true),
        }
    }

    fn fits_plainly(&self, exchange: &Exchange) -> bool {
        let (day, minute) = day_and_minute(exchange.record.started_at);
        let method = exchange.request.method_text();
        let about_the_request = fits(&self.methods, |own| own.as_str().as_bytes() == method)
            && fits(&self.networks, |own| own.contains(exchange.client.ip))
            && fits(&self.days, |own| *own as u64 == day)
            && fits(&self.hours, |own| own.contain(minute));
        about_the_request
            && (!self.asks_who() || exchange.identity.as_ref().is_some_and(|who| self.is_about(who)))
    }

    fn asks_who(&self) -> bool {
        let lists = [&self.groups, &self.roles, &self.scopes, &self.subjects];
        lists.iter().any(|list| !list.is_empty()) || !self.consumers.is_empty() || !self.claims.is_empty()
    }

    fn is_about(&self, who: &Identity) -> bool {
        let has = |texts: &[Box<str>], own: &String| texts.iter().any(|text| **text == **own);
        let claim = |(path, values): &(String, OneOrMany<String>)| {
            let value = who.claim(path);
            value.is_some_and(|value| values.iter().any(|own| crate::identity::claims::says(value, own)))
        };
        fits(&self.consumers, |own| who.consumer.as_deref() == Some(own.as_str()))
            && fits(&self.groups, |own| has(&who.groups, own))
            && fits(&self.roles, |own| has(&who.roles, own))
            && self.scopes.iter().all(|own| has(&who.scopes, own))
            && fits(&self.subjects, |own| who.subject.as_deref() == Some(own.as_str()))
            && self.claims.iter().all(claim)
    }
}

/// Whether one of a list fits, or the list says nothing.
fn fits<T>(list: &OneOrMany<T>, fits: impl FnMut(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(fits)
}

impl Settings for Allow {
    const NAME: &'static str = "allow";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let says_nothing = |rule: &Rule| *rule == Rule::default();
        if self.r#if.is_empty() && self.unless.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`allow` has no rule");
            fault.help("write `if: { scopes: orders.read }`, `unless: ..`, or both");
            return None;
        }
        if self.r#if.iter().chain(self.unless.iter()).any(says_nothing) {
            let fault = faults.error(
                codes::BAD_POLICY,
                key.span(),
                "a rule of `allow` fits everybody and everything",
            );
            fault.help("write what it asks for: consumers, groups, roles, scopes, methods, networks, ...");
            return None;
        }
        Some(Box::new(self))
    }
}

impl Policy for Allow {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match self.judge(exchange) {
            None => Verdict::Go,
            Some(why) => {
                exchange.record.why = why;
                Verdict::answer(Answer::problem(403, "not_allowed", "this is not allowed"))
            }
        }
    }
}

impl Allow {
    /// Why the request is refused; none where it is allowed. What cannot be told is never to anybody's good.
    fn judge(&self, exchange: &Exchange) -> Option<Cow<'static, str>> {
        for (place, rule) in self.unless.iter().enumerate() {
            let nth = place.saturating_add(1);
            match rule.fits(exchange) {
                Ok(false) => {}
                Ok(true) => return Some(Cow::Owned(format!("rule {nth} of `unless` fits"))),
                Err(untold) => return Some(Cow::Owned(format!("rule {nth} of `unless`: {untold}"))),
            }
        }
        let mut first = None;
        for (place, rule) in self.r#if.iter().enumerate() {
            match rule.fits(exchange) {
                Ok(true) => return None,
                Ok(false) => {}
                Err(untold) => {
                    let nth = place.saturating_add(1);
                    first.get_or_insert_with(|| {
                        Cow::Owned(format!("no rule of `if` fits; rule {nth}: {untold}"))
                    });
                }
            }
        }
        match self.r#if.is_empty() {
            true => None,
            false => Some(first.unwrap_or(Cow::Borrowed("no rule of `if` fits"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::super::tests::{asked, fault, run};
    use super::*;

    fn who() -> Identity {
        let serde_json::Value::Object(claims) = serde_json::json!({ "tenant": { "id": 7 }, "list": ["a"] })
        else {
            unreachable!()
        };
        Identity {
            consumer: Some("mobile".into()),
            subject: Some("u1".into()),
            groups: ["gold".into()].into(),
            scopes: ["read".into(), "list".into()].into(),
            roles: ["clerk".into()].into(),
            claims,
            ..Identity::new("jwt")
        }
    }

    #[test]
    fn each_rule_with_its_verdict() {
        // A Saturday: 2027-01-02T23:30:00Z.
        let at = UNIX_EPOCH + Duration::from_secs(1_798_761_600 + 86_400 + 23 * 3600 + 30 * 60);
        for (settings, known, unknown) in [
            ("if: { consumers: mobile }", true, false),
            ("if: { consumers: [other, mobile] }", true, false),
            ("if: { consumers: mobil }", false, false),
            ("if: { groups: gold }", true, false),
            ("if: { groups: [silver] }", false, false),
            ("if: { roles: clerk, groups: gold }", true, false),
            ("if: { roles: clerk, groups: silver }", false, false),
            ("if: { scopes: [read, list] }", true, false),
            ("if: { scopes: [read, write] }", false, false),
            ("if: { subjects: u1 }", true, false),
            ("if: { claims: { tenant.id: \"7\" } }", true, false),
            ("if: { claims: { tenant.id: [\"8\", \"9\"] } }", false, false),
            ("if: { claims: { list: a } }", true, false),
            ("if: { methods: [GET, HEAD] }", true, true),
            ("if: { methods: POST }", false, false),
            ("if: { networks: 10.0.0.0/8 }", true, true),
            ("if: { networks: 11.0.0.0/8 }", false, false),
            ("if: { days: [sat, sun] }", true, true),
            ("if: { days: mon }", false, false),
            ("if: { hours: 23:00-24:00 }", true, true),
            ("if: { hours: 08:00-18:00 }", false, false),
            ("if: { hours: [08:00-18:00, 22:00-06:00] }", true, true),
            ("if: { hours: 00:00-23:30 }", false, false),
            ("if: [{ groups: silver }, { methods: GET }]", true, true),
            ("unless: { consumers: mobile }", false, true),
            ("unless: { networks: 10.0.0.0/8 }, if: { groups: gold }", false, false),
            ("unless: { methods: POST }, if: { groups: gold }", true, false),
        ] {
            for (identity, passes) in [(Some(Rc::new(who())), known), (None, unknown)] {
                let mut exchange = asked("GET", "/", &[]);
                exchange.client.ip = "10.1.2.3".parse().unwrap();
                (exchange.identity, exchange.record.started_at) = (identity, at);
                let answer = run(&format!("allow: {{ {settings} }}"), &mut exchange);
                let told = answer.map(|answer| (answer.status, answer.reason));
                assert_eq!(told, if passes { None } else { Some((403, "not_allowed")) }, "{settings}");
                assert_eq!(exchange.record.why.is_empty(), passes, "{settings}");
            }
        }
    }

    #[test]
    fn what_an_expression_cannot_tell_lets_nobody_pass() {
        for (settings, known, unknown) in [
            ("if: { expression: claims.tenant.id == 7 }", "", "no rule of `if` fits; rule 1: "),
            (
                "if: { expression: claims.tenant.id == 8 }",
                "no rule of `if` fits",
                "no rule of `if` fits; rule 1: ",
            ),
            (
                "if: [{ groups: silver }, { expression: claims.other }]",
                "no rule of `if` fits; rule 2: ",
                "no rule of `if` fits; rule 2: ",
            ),
            ("if: { groups: gold, expression: subject == 'u1' }", "", "no rule of `if` fits"),
            (
                "unless: { expression: claims.tenant.id == 7 }",
                "rule 1 of `unless` fits",
                "rule 1 of `unless`: ",
            ),
            ("unless: { expression: claims.tenant.id == 8 }", "", "rule 1 of `unless`: "),
            ("unless: { expression: authenticated && claims.tenant.id == 8 }", "", ""),
            ("unless: { methods: POST, expression: claims.other == 1 }", "", ""),
        ] {
            for (identity, why) in [(Some(Rc::new(who())), known), (None, unknown)] {
                let mut exchange = asked("GET", "/", &[]);
                exchange.identity = identity;
                let answer = run(&format!("allow: {{ {settings} }}"), &mut exchange);
                assert_eq!(answer.is_none(), why.is_empty(), "{settings}");
                let told = &*exchange.record.why;
                assert!(told.starts_with(why) && why.is_empty() == told.is_empty(), "{settings}: {told}");
            }
        }
    }

    #[test]
    fn rules_that_say_nothing_are_faults() {
        assert_eq!(
            fault("allow: {}"),
            "`allow` has no rule: write `if: { scopes: orders.read }`, `unless: ..`, or both"
        );
        for rule in ["if: {}", "if: [{ groups: a }, {}]", "unless: { groups: [] }"] {
            assert!(
                fault(&format!("allow: {{ {rule} }}")).starts_with("a rule of `allow` fits everybody"),
                "{rule}"
            );
        }
        for hours in ["8:00-9:00", "08:00", "08:00-08:00", "25:00-26:00", "08:60-09:00", "24:01-25:00"] {
            assert!(
                fault(&format!("allow: {{ if: {{ hours: \"{hours}\" }} }}"))
                    .contains("is not a part of the day"),
                "{hours}"
            );
        }
    }
}
