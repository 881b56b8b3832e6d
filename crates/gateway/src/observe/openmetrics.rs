//! The OpenMetrics text format, version 1.0.0: families of series, escaped and in order.
//!
//! Takes names, labels and values; gives the page's text and counts its series. Must never give two families of one
//! name, or series of a family apart from each other: whoever calls writes family by family.

use std::fmt::{Display, Write};

use super::histogram::{BOUNDS_MICROS, Reading};

/// `Content-Type` of a page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Series of a histogram: its buckets with that above all bounds, count and sum.
pub(crate) const HISTOGRAM_SERIES: usize = BOUNDS_MICROS.len() + 3;

/// A page being written.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
    name: &'static str,
    series: usize,
}

/// What a family's series are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// Labels of one series.
pub(crate) type LabelPairs<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    /// Begins a family. `unit` is what the name ends with, or empty.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, unit: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        self.name = name;
        // Writing into a string cannot fail, here and below.
        _ = writeln!(self.text, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        _ = writeln!(self.text, "# HELP {name} {}", help.replace('\\', "\\\\").replace('"', "\\\""));
    }

    /// A series of a gauge.
    pub(crate) fn gauge(&mut self, labels: LabelPairs<'_>, value: impl Display) {
        self.series("", labels, None, value);
    }

    /// A series of a counter.
    pub(crate) fn counter(&mut self, labels: LabelPairs<'_>, value: impl Display) {
        self.series("_total", labels, None, value);
    }

    /// A series of an info.
    pub(crate) fn info(&mut self, labels: LabelPairs<'_>) {
        self.series("_info", labels, None, 1);
    }

    /// All series of a histogram.
    pub(crate) fn histogram(&mut self, labels: LabelPairs<'_>, reading: &Reading) {
        let mut below = 0_u64;
        let bounds = BOUNDS_MICROS.iter().map(|bound| Some(*bound)).chain([None]);
        for (bound, count) in bounds.zip(&reading.buckets) {
            below = below.wrapping_add(*count);
            let bound = bound.map_or_else(|| "+Inf".to_owned(), bound_text);
            self.series("_bucket", labels, Some(&bound), below);
        }
        self.series("_count", labels, None, below);
        self.series("_sum", labels, None, seconds(reading.sum_micros));
    }

    fn series(&mut self, suffix: &str, labels: LabelPairs<'_>, le: Option<&str>, value: impl Display) {
        self.series = self.series.saturating_add(1);
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut open = '{';
        for (name, value) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
            self.text.push(open);
            open = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(character),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(if open == ',' { "} " } else { " " });
        _ = writeln!(self.text, "{value}");
    }

    /// How many series there are so far.
    pub(crate) fn len(&self) -> usize {
        self.series
    }

    /// The whole page.
    pub(crate) fn end(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

/// Microseconds as seconds.
pub(crate) fn seconds(micros: u64) -> impl Display {
    std::fmt::from_fn(move |f| write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000))
}

/// A bound as OpenMetrics wants it: the shortest number, with `.0` where it is whole.
fn bound_text(micros: u64) -> String {
    let mut text = seconds(micros).to_string();
    while text.ends_with('0') && !text.ends_with(".0") {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_bounds_are_short() {
        let mut page = Exposition::default();
        page.family("a_seconds", Kind::Histogram, "seconds", "Say \"a\".");
        let mut reading = Reading::default();
        (reading.buckets[0], reading.buckets[17], reading.sum_micros) = (2, 1, 12_000_300);
        page.histogram(&[("route", "GET \"a\\\n")], &reading);
        assert_eq!(page.len(), HISTOGRAM_SERIES);
        let text = page.end();
        let start = "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds Say \\\"a\\\".\n\
                     a_seconds_bucket{route=\"GET \\\"a\\\\\\n\",le=\"0.0005\"} 2\n";
        assert!(text.starts_with(start), "{text}");
        for line in
            ["le=\"1.0\"} 2\n", "le=\"10.0\"} 2\n", "le=\"+Inf\"} 3\n", "_sum{", " 12.000300\n# EOF\n"]
        {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
