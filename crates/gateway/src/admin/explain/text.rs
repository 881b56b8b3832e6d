//! An explanation for people: what was decided, top down, in the order of the road.
//!
//! No byte of a request reaches a terminal as a control character.

use std::fmt::{self, Write as _};

use super::parts::Part;
use super::told::{Change, Explanation, Response, Seen, Sent};

/// Width of the first column.
const COLUMN: usize = 10;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page::default();
        page.line("verdict", &self.verdict);
        self.request_lines(&mut page);
        self.route_lines(&mut page);
        self.policy_lines(&mut page);
        if let Some(sent) = &self.upstream {
            sent_lines(&mut page, sent, &self.request);
        }
        part_lines(&mut page, &self.parts);
        if let Some(answer) = &self.answer {
            answer_lines(&mut page, answer);
        }
        f.write_str(&page.0)
    }
}

impl Explanation {
    fn request_lines(&self, page: &mut Page) {
        let Seen { method, host, path, query, client, trusted_proxy, removed, .. } = &self.request;
        if method.is_empty() {
            return;
        }
        let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        page.line("request", &format!("{method} {host}{path}{query}"));
        let proxy = if *trusted_proxy { ", through a trusted proxy" } else { "" };
        let place = format!("from {client}{proxy}, on listener `{}`", self.listener);
        page.line("", &format!("{place}, revision {}", self.revision));
        for told in &self.door {
            page.line("", &format!("the listener {told}"));
        }
        if !removed.is_empty() {
            page.line("", &format!("removed on receipt: {}", removed.join(", ")));
        }
    }

    fn route_lines(&self, page: &mut Page) {
        match &self.route {
            Some(route) => {
                page.line("route", &route.key);
                page.line("", &route.why);
                for (name, value) in &route.captures {
                    page.line("", &format!("{{{name}}} is {value}"));
                }
            }
            None => page.line("route", "none"),
        }
        let width = self.others.iter().map(|other| other.route.chars().count()).max().unwrap_or(0).min(40);
        for (place, other) in self.others.iter().enumerate() {
            let title = if place == 0 { "not" } else { "" };
            page.line(title, &format!("{:<width$}  {}", other.route, other.why));
        }
    }

    fn policy_lines(&self, page: &mut Page) {
        let width = self.policies.iter().map(|step| step.policy.len()).max().unwrap_or(0);
        for (place, step) in self.policies.iter().enumerate() {
            let title = if place == 0 { "policies" } else { "" };
            page.line(title, &format!("{:<width$}  {}", step.policy, step.verdict));
            for change in &step.changes {
                page.line("", &format!("{:<width$}  {}", "", changed(change)));
            }
        }
    }
}

/// `~ path: /a -> /b`, `+ header X: y`, `- header X: y`.
fn changed(Change { what, before, after }: &Change) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("~ {what}: {before} -> {after}"),
        (None, Some(after)) => format!("+ {what}: {after}"),
        (Some(before), None) => format!("- {what}: {before}"),
        (None, None) => format!("~ {what}"),
    }
}

fn sent_lines(page: &mut Page, sent: &Sent, request: &Seen) {
    let Sent { service, targets, endpoints, balance, care, method, target, headers, changes } = sent;
    page.line("upstream", &format!("service `{service}`: {} ({balance})", targets.join(", ")));
    if !endpoints.is_empty() {
        page.line("", &format!("endpoints now: {}", endpoints.join(", ")));
    }
    for care in care {
        page.line("", care);
    }
    page.line("", &format!("  {method} {target} HTTP/1.1"));
    for (name, value) in headers {
        let known = |(own, same): &&(String, String)| own.eq_ignore_ascii_case(name) && same == value;
        let named = request.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mark = match request.headers.iter().find(known) {
            Some(_) => ' ',
            None if named => '~',
            None => '+',
        };
        page.line("", &format!("{mark} {name}: {value}"));
    }
    let is_sent = |what: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(what));
    for Change { what, .. } in changes {
        let name = what.strip_prefix("header ").unwrap_or(what);
        if !is_sent(name) {
            page.line("", &format!("- {name}"));
        }
    }
}

fn part_lines(page: &mut Page, parts: &[Part]) {
    let width = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    for (place, part) in parts.iter().enumerate() {
        let Part { name, service, method, target, fault, after, rule, each, care } = part;
        let target = match (target, fault) {
            (Some(target), _) => target.clone(),
            (None, Some(fault)) => format!("(cannot be asked: {fault})"),
            (None, None) => "(known once others have answered)".to_owned(),
        };
        let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
        let each = if *each { ", for each element" } else { "" };
        let title = if place == 0 { "parts" } else { "" };
        let line = format!("{name:<width$}  {method} {target} of service `{service}`, {rule}{after}{each}");
        page.line(title, &line);
        for care in care {
            page.line("", &format!("{:<width$}  {care}", ""));
        }
    }
}

fn answer_lines(page: &mut Page, answer: &Response) {
    page.line("answer", &format!("{} {}", answer.status, http1::canonical_reason(answer.status)));
    for (name, value) in &answer.headers {
        page.line("", &format!("{name}: {value}"));
    }
    for line in answer.body.lines() {
        page.line("", line);
    }
}

/// Lines with a title each.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, title: &str, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "{}", format!("{title:<COLUMN$}{clean}").trim_end());
    }
}
