//! The words of a message, for each kind of receiver.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::Notice;
use super::gather::Batch;

/// Characters of a message in a log.
const LONGEST_LINE: usize = 1_500;

/// The name of this machine.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A moment, as RFC 3339 writes it.
pub(super) fn moment(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "-".to_owned(), |time| format!("{time:.3}"))
}

fn of_one(notice: &Notice) -> Value {
    let facts: Map<String, Value> =
        notice.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    json!({
        "event": notice.kind.word(),
        "severity": if notice.urgent { "warning" } else { "info" },
        "title": notice.title,
        "time": moment(notice.time),
        "facts": facts,
    })
}

/// For a webhook.
pub(super) fn json(batch: &Batch) -> Value {
    json!({
        "source": "tidegate",
        "gateway": host(),
        "title": headline(batch),
        "count": batch.count(),
        "counts": batch.counts,
        "more": batch.more(),
        "notices": batch.notices.iter().map(of_one).collect::<Vec<_>>(),
    })
}

/// For Slack: its control characters are told as such.
pub(super) fn slack(batch: &Batch) -> Value {
    let text = format!("*{}* on {}\n{}", headline(batch), host(), list(batch));
    json!({ "text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") })
}

/// In one sentence.
pub(super) fn headline(batch: &Batch) -> String {
    match batch.notices.as_slice() {
        [only] if batch.count() == 1 => only.title.clone(),
        _ => {
            let counts: Vec<String> =
                batch.counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            format!("{} notices: {}", batch.count(), counts.join(", "))
        }
    }
}

/// Each on a line.
pub(super) fn list(batch: &Batch) -> String {
    let mut text = String::new();
    for notice in &batch.notices {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{} {}", moment(notice.time), sentence(notice));
    }
    if batch.more() > 0 {
        let _ = writeln!(text, "and {} more", batch.more());
    }
    text
}

fn sentence(notice: &Notice) -> String {
    let facts: Vec<String> = notice.facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}: {} ({})", notice.kind.word(), notice.title, facts.join(", "))
}

/// Lines of RFC 5424, facility daemon.
pub(super) fn syslog(batch: &Batch) -> Vec<String> {
    let (host, process) = (host(), std::process::id());
    let line = |urgent: bool, time: SystemTime, kind: &str, text: &str| {
        let priority = 3 * 8 + if urgent { 4 } else { 6 };
        let text: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_LINE).collect();
        format!("<{priority}>1 {} {host} tidegate {process} {kind} - {text}", moment(time))
    };
    let told = batch.notices.iter().map(|one| line(one.urgent, one.time, one.kind.word(), &sentence(one)));
    let mut lines: Vec<String> = told.collect();
    if batch.more() > 0 {
        lines.push(line(true, SystemTime::now(), "summary", &headline(batch)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NoticeKind;

    #[test]
    fn a_message_says_what_happened_and_nothing_breaks_out_of_it() {
        let facts = vec![("client", "<!channel>\r\n<13>1 forged".to_owned())];
        let mut batch = Batch::default();
        batch.notices.push(Notice::new(NoticeKind::Guard, true, "a client behaves abnormally".into(), facts));
        batch.counts.insert("guard", 1);
        let lines = syslog(&batch);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("<28>1 20") && !lines[0].contains('\n') && !lines[0].contains('\r'),
            "{lines:?}"
        );
        assert!(lines[0].contains(" guard - guard: a client behaves abnormally (client="), "{lines:?}");
        assert!(
            !slack(&batch)["text"].as_str().unwrap().contains("<!"),
            "nobody is called by what a client says"
        );
        assert_eq!(json(&batch)["title"], "a client behaves abnormally");
        batch.counts.insert("guard", 31);
        assert_eq!(headline(&batch), "31 notices: guard 31");
        assert!(list(&batch).ends_with("and 30 more\n"));
    }
}
