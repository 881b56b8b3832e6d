//! The page as a scraper reads it: every rule of OpenMetrics 1.0.0 that its text can break, and the bound.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http1::Method;

use super::*;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::observe::{AccessLog, LogSettings, access_log::LogTarget, line::LineFormat};

/// One series: its name with the suffix, its labels as written, its value.
type Series = (String, String, f64);

/// Reads a page, strictly.
fn read(text: &str) -> Vec<Series> {
    let body = text.strip_suffix("# EOF\n").expect("the page ends with # EOF");
    let (mut all, mut family, mut kind) = (Vec::<Series>::new(), "", "");
    let (mut families, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let parts: Vec<&str> = comment.splitn(3, ' ').collect();
            let [word, name, rest] = parts[..] else { panic!("{line}") };
            match word {
                "TYPE" => {
                    assert!(families.insert(name), "{name} comes twice");
                    (family, kind) = (name, rest);
                }
                "UNIT" => assert!(name == family && name.ends_with(&format!("_{rest}")), "{line}"),
                "HELP" => assert!(name == family && !rest.is_empty(), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => panic!("{line} is of kind {kind}"),
        };
        assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{line} in {family}");
        assert!(labels.is_empty() || labels.ends_with("\"}"), "{line}");
        assert!(seen.insert(series), "{series} comes twice");
        all.push((name.to_owned(), labels.to_owned(), value.parse().expect(line)));
    }
    buckets_grow(&all);
    all
}

/// Buckets are cumulative, end with `+Inf`, and agree with the count.
fn buckets_grow(all: &[Series]) {
    let mut open: BTreeMap<(String, String), (usize, f64)> = BTreeMap::new();
    for (name, labels, value) in all {
        if let Some(family) = name.strip_suffix("_bucket") {
            let (rest, bound) = labels.rsplit_once("le=\"").unwrap();
            let key = (family.to_owned(), rest.trim_end_matches(',').to_owned());
            let (count, before) = open.entry(key).or_default();
            assert!(*value >= *before, "{name} {labels}");
            (*count, *before) = (*count + 1, *value);
            assert_eq!(*count == HISTOGRAM_SERIES - 2, bound == "+Inf\"}", "{name} {labels}");
        } else if let Some(family) = name.strip_suffix("_count") {
            let key = (family.to_owned(), labels.trim_end_matches('}').to_owned());
            assert_eq!(open.get(&key), Some(&(HISTOGRAM_SERIES - 2, *value)), "{name} {labels}");
        }
    }
}

fn value(all: &[Series], name: &str, labels: &str) -> Option<f64> {
    let found = all.iter().find(|(own, written, _)| own == name && written.trim_end_matches('}') == labels);
    found.map(|(_, _, value)| *value)
}

fn sum(all: &[Series], name: &str) -> f64 {
    all.iter().filter(|(own, ..)| own == name).map(|(_, _, value)| value).sum()
}

fn exchange(method: Method, status: u16) -> Exchange {
    let mut exchange = Exchange::default();
    (exchange.record.method, exchange.record.status) = (method, status);
    exchange.record.finished = Duration::from_millis(40);
    exchange.record.sent = Some(Duration::from_micros(400));
    exchange
}

fn input<'a>(shared: &'a Shared, routes: &'a [RouteEntry<'a>]) -> PageInput<'a> {
    PageInput {
        shared,
        routes,
        targets: &[],
        listeners: &[],
        tls: &[],
        figures: &[],
        auth_failures: &[],
        circuits: &[],
        retries: &[],
        hedges: &[],
        doors: &[],
        fallback: &[],
        versions: &[],
        splits: &[],
        mirrors: &[],
        most_series: MOST_SERIES,
    }
}

#[test]
fn what_was_told_stands_on_the_page() {
    let log = LogSettings {
        target: LogTarget::File("/dev/null".into()),
        format: LineFormat::Json,
        redact: Vec::new(),
    };
    let shared = Shared::new(2, AccessLog::open(log).unwrap(), None, None);
    shared.totals.configured(7);
    let listener = Arc::new(Connections::default());
    let _connection = listener.enter(1, 1);
    let (stats, unrouted) = (RouteStats::new(2), RouteStats::new(2));
    let labels = super::super::Labels { route: "", service: "", revision: 7, listener: "public" };
    for (worker, status, fault, route) in [
        (0, 200, None, true),
        (1, 200, None, true),
        (1, 502, Some(Fault::NoAnswer), true),
        (1, 404, Some(Fault::NoRoute), false),
    ] {
        let mut exchange = exchange(Method::Get, status);
        exchange.record.fault = fault;
        let observer = super::super::Observer::new(worker, shared.clone());
        let _open = observer.begin();
        observer.finish(&exchange, &labels, (if route { &stats } else { &unrouted }).shard(0).as_deref());
    }
    let routes = [
        RouteEntry { route: "none", service: "", stats: &unrouted },
        RouteEntry { route: "GET /a\"b\\*", service: "s", stats: &stats },
    ];
    let listeners = [("public", &*listener)];
    let target = |micros: u64| {
        let histogram = super::super::histogram::Histogram::default();
        histogram.record(Duration::from_micros(micros));
        let mut reading = TargetReading { service: "s", target: "s:80", ..TargetReading::default() };
        histogram.read(&mut reading.answered);
        reading
    };
    let targets = [target(100), target(700)];
    let text = page(&PageInput { targets: &targets, listeners: &listeners, ..input(&shared, &routes) });
    let all = read(&text);
    let route = r#"route="GET /a\"b\\*""#;
    for (name, labels, wish) in [
        ("tidegate_requests_total", format!(r#"{route},method="GET",status="200",service="s""#), 2.0),
        ("tidegate_requests_total", format!(r#"{route},method="GET",status="502",service="s""#), 1.0),
        ("tidegate_requests_total", r#"route="none",method="GET",status="404",service="""#.into(), 1.0),
        ("tidegate_request_duration_seconds_count", format!(r#"{route},service="s""#), 3.0),
        ("tidegate_request_duration_seconds_sum", format!(r#"{route},service="s""#), 0.12),
        ("tidegate_upstream_duration_seconds_count", r#"service="s",target="s:80""#.into(), 2.0),
        ("tidegate_gateway_overhead_seconds_count", String::new(), 4.0),
        ("tidegate_inflight_requests", String::new(), 0.0),
        ("tidegate_faults_total", r#"code="no_answer",blame="service""#.into(), 1.0),
        ("tidegate_connections_active", r#"listener="public""#.into(), 1.0),
        ("tidegate_config_reload_success", String::new(), 1.0),
        ("tidegate_config_revision_info", r#"revision="7""#.into(), 1.0),
        ("tidegate_metrics_series_dropped", String::new(), 0.0),
    ] {
        assert_eq!(value(&all, name, &labels), Some(wish), "{name} {labels}");
    }
    assert!(value(&all, "process_resident_memory_bytes", "").unwrap() > 100_000.0);
    assert_eq!(value(&all, "tidegate_metrics_series", ""), Some(all.len() as f64 - 2.0));
}

#[test]
fn series_are_bounded_and_nothing_is_lost_in_the_sum() {
    let shared = Shared::new(1, None, None, None);
    let stats: Vec<_> = (0..20_000).map(|number| (format!("GET /r{number}/*"), RouteStats::new(1))).collect();
    for (_, stats) in stats.iter().take(10_000) {
        stats.record(0, &exchange(Method::Get, 200));
    }
    let names: Vec<_> = (0..1000).map(|number| format!("10.0.0.1:{number}")).collect();
    let target = |target| TargetReading { service: "s", target, connects: 1, ..TargetReading::default() };
    let targets: Vec<_> = names.iter().map(|name| target(name.as_str())).collect();
    let routes: Vec<_> =
        stats.iter().map(|(route, stats)| RouteEntry { route, service: "s", stats }).collect();
    let told = |all: &[Series]| -> BTreeSet<String> {
        let requests = all.iter().filter(|(name, ..)| name == "tidegate_requests_total");
        requests.map(|(_, labels, _)| labels.clone()).collect()
    };
    let first = read(&page(&PageInput { targets: &targets, ..input(&shared, &routes) }));
    assert!(first.len() <= MOST_SERIES, "{} series", first.len());
    assert_eq!(sum(&first, "tidegate_requests_total"), 10_000.0);
    assert_eq!(sum(&first, "tidegate_request_duration_seconds_count"), 10_000.0);
    assert_eq!(sum(&first, "tidegate_upstream_connections_opened_total"), 1000.0);
    assert!(value(&first, "tidegate_metrics_series_dropped", "").unwrap() > 10_000.0);
    // What comes up later takes no place from what is there already.
    for (_, stats) in &stats {
        for (method, status) in [(Method::Get, 200), (Method::Other, 599)] {
            stats.record(0, &exchange(method, status));
        }
    }
    let second = read(&page(&PageInput { targets: &targets, ..input(&shared, &routes) }));
    assert!(second.len() <= MOST_SERIES, "{} series", second.len());
    assert_eq!(sum(&second, "tidegate_requests_total"), 50_000.0);
    let (first, second) = (told(&first), told(&second));
    let kept = first.intersection(&second).count();
    assert!(kept * 10 > first.len() * 9, "{kept} of {}", first.len());
}
