//! How policies are tried without a server, and what is common to all.
//!
//! Takes lines of a route, gives the policies compiled, what they answer and their faults.

use std::sync::OnceLock;
use std::time::Instant;

use futures_util::FutureExt;
use http1::Name;

use super::*;
use crate::config::{Known, System, load_text};

/// The policies of a route on which these lines stand; its faults as "message: help".
pub(super) fn bound(lines: &str) -> Result<Vec<Bound>, Vec<String>> {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("listen: 127.0.0.1:0\nroutes:\n  /*:\n    respond: ok\n{lines}");
    let names: Vec<&str> = LIST.iter().map(|kind| kind.name).collect();
    let told = |faults: &Diagnostics| -> Vec<String> {
        faults
            .iter()
            .map(|fault| format!("{}: {}", fault.message, fault.help.as_deref().unwrap_or("-")))
            .collect()
    };
    let mut loaded = load_text("gateway.yaml", text, &System, &Known { policies: &names })
        .map_err(|faults| told(&faults))?;
    let (_, route) = loaded.config.routes.iter().next().unwrap();
    let faults = &mut loaded.diagnostics;
    let written = |kind: &&Kind| route.policies.iter().find(|(key, _)| **key == kind.name);
    let context = Context::default();
    let bound = LIST.iter().filter_map(|kind| {
        let (key, node) = written(&kind)?;
        kind.bind(key, node, &context, faults)
    });
    let bound = bound.collect();
    if faults.is_empty() { Ok(bound) } else { Err(told(faults)) }
}

/// The only fault of these lines.
#[track_caller]
pub(super) fn fault(lines: &str) -> String {
    let faults = bound(lines).err().unwrap_or_else(|| panic!("no fault in {lines}"));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.concat()
}

/// A request for a target of host `h.example` with these fields, captured whole as `*`.
pub(super) fn asked(method: &str, target: &str, fields: &[(&str, &str)]) -> Exchange {
    let mut exchange = Exchange::default();
    exchange.request.set_method(method.as_bytes()).unwrap();
    exchange.request.set_target(target.as_bytes());
    exchange.request.fields.push(http1::names::HOST, b"h.example");
    for (name, value) in fields {
        exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
    }
    crate::http::target::take_apart(&mut exchange, false).unwrap();
    let rest = exchange.path.get(1..).unwrap_or_default().to_vec();
    exchange.captures.push("*", &rest);
    exchange
}

/// What these policies answer; none when they let the request pass.
pub(super) fn run(lines: &str, exchange: &mut Exchange) -> Option<Box<Answer>> {
    let bound = bound(lines).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let stopped_by = request(&bound, exchange).now_or_never().expect("no policy here waits");
    stopped_by.err().map(stopped)
}

/// The answer with which a policy has stopped a request.
pub(super) fn stopped(stop: Stop) -> Box<Answer> {
    let Stop::With(answer) = stop else { panic!("answered from elsewhere") };
    answer
}

/// All the lines of a head, as `name: value`.
pub(super) fn lines(fields: &http1::Fields) -> Vec<String> {
    fields
        .iter()
        .map(|field| {
            format!("{}: {}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
        })
        .collect()
}

#[test]
fn a_policy_that_watches_refuses_nothing_and_says_so() {
    let mut exchange = asked("GET", "/", &[]);
    let answer = run("ip: { allow: [10.0.0.0/8], mode: shadow }", &mut exchange);
    assert!(answer.is_none());
    assert_eq!(exchange.record.shadowed, [("ip", "ip_denied")]);
    assert_eq!(exchange.record.refused_by, None);
    assert_eq!(
        fault("ip: { allow: [10.0.0.0/8], mode: watch }"),
        "`mode` of `ip` is neither `enforce` nor `shadow`: `shadow` decides, counts and logs, and lets pass"
    );
}

/// Waits for somebody else, and notes when that was over.
struct Waits(Arc<OnceLock<Instant>>);

impl Policy for Waits {
    fn request<'a>(&'a self, _: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Wait(Box::pin(async {
            tokio::task::yield_now().await;
            self.0.get_or_init(Instant::now);
            Verdict::Go
        }))
    }
}

#[tokio::test]
async fn an_exchange_knows_when_it_went_on_after_a_policy_had_waited() {
    let over = Arc::<OnceLock<Instant>>::default();
    let waits = Bound {
        name: "waits",
        policy: Box::new(Waits(over.clone())),
        shadow: false,
        every_answer: false,
        takes_preflights: false,
    };
    let mut exchange = asked("GET", "/", &[]);
    assert!(request(&[], &mut exchange).await.is_ok());
    assert_eq!(exchange.record.resumed, exchange.record.started);
    assert!(request(&[waits], &mut exchange).await.is_ok());
    assert!(exchange.record.resumed >= *over.get().unwrap());
}
