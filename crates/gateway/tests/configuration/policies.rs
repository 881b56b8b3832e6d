//! How a policy reads its own settings: plain derived types, every fault with its place.

use super::good;
use tidegate::config;
use tidegate::values::{Duration, Rate, Source};

/// Settings as a policy has them: required and optional keys, a short and a long form, a place, a check of its own.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Settings {
    rate: Rate,
    #[serde(default)]
    burst: Option<u16>,
    #[serde(default)]
    per: Option<Per>,
    window: config::Spanned<Duration>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(rename = "$shape", rename_all = "lowercase")]
enum Per {
    Text(Source),
    Map(Keys),
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(try_from = "Keys2")]
struct Keys(Vec<Source>);

#[derive(serde::Deserialize)]
struct Keys2 {
    all: Vec<Source>,
}

impl TryFrom<Keys2> for Keys {
    type Error = String;
    fn try_from(keys: Keys2) -> Result<Self, String> {
        if keys.all.is_empty() { Err("no key\nname one".into()) } else { Ok(Self(keys.all)) }
    }
}

/// What reading the settings of the only policy gives, and each message on a line with its place.
fn settings(text: &str) -> (Option<Settings>, String) {
    let loaded = good(&format!("listen: 127.0.0.1:0\nroutes:\n  /a:\n    respond: 204\n    ip: {text}\n"));
    let mut diagnostics = loaded.diagnostics.clone();
    let (key, node) = loaded.config.routes.get("/a").unwrap().policies.iter().next().unwrap();
    let read = diagnostics.within("route `/a`", |diagnostics| config::decode_key(key, node, diagnostics));
    let lines = diagnostics.iter().map(|one| {
        let (place, help) = (one.place.as_ref().unwrap(), one.help.as_deref().unwrap_or("-"));
        format!("{}:{} {} {} | {help}\n", place.line, place.column, one.code, one.message)
    });
    (read, lines.collect())
}

#[test]
fn policies_read_their_settings() {
    let (read, faults) = settings("{ rate: 10/min, per: ip, window: 5s }");
    assert_eq!(faults, "");
    let read = read.unwrap();
    assert_eq!((read.rate.count(), read.burst, read.per), (10, None, Some(Per::Text(Source::Ip))));
    assert_eq!(loaded_line(read.window.span()), (5, 42));
    let (read, faults) = settings("{ rate: 10/min, burst: 7, per: { all: [ip, consumer] }, window: 5s }");
    assert_eq!(faults, "");
    assert_eq!(read.unwrap().per, Some(Per::Map(Keys(vec![Source::Ip, Source::Consumer]))));
}

/// Line and column of a span in the text of [`settings`], whose fifth line is the only long one.
fn loaded_line(span: config::Span) -> (usize, usize) {
    let before = "listen: 127.0.0.1:0\nroutes:\n  /a:\n    respond: 204\n".len();
    (5, span.start as usize - before + 1)
}

#[test]
fn policies_report_every_fault_of_theirs() {
    for (text, wanted) in [
        ("{}", "5:5 TG013 the key `rate` is missing in `ip` of route `/a` | -\n"),
        ("5", "5:9 TG010 `ip` of route `/a`: expected a map, found `5` | -\n"),
        (
            "{ rate: often, burst: 70000, per: { all: [ip, ipp] }, window: 5s, windw: 5s }",
            "5:17 TG011 `ip.rate` of route `/a`: `often` is not a rate | write a count and a period: 100/s, 10/min, 1000/hour, 5/10s\n\
             5:31 TG011 `ip.burst` of route `/a`: `70000` is not between 0 and 65535 | -\n\
             5:55 TG011 `ip.per.all[1]` of route `/a`: `ipp` is not a known source | did you mean `ip`?\n\
             5:75 TG012 unknown key `windw` in `ip` of route `/a` | did you mean `window`?\n",
        ),
        (
            "{ rate: 1/s, window: 5s, per: { all: [] } }",
            "5:39 TG011 `ip.per` of route `/a`: no key | name one\n",
        ),
        (
            "{ rate: 1/s, window: 5s, per: [ip] }",
            "5:39 TG010 `ip.per` of route `/a`: expected a text or a map, found a list | -\n",
        ),
    ] {
        assert_eq!(settings(text).1, wanted, "{text}");
    }
}
