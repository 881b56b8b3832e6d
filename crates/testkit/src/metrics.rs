//! A page of metrics (OpenMetrics text) as numbers that a test can ask for.
//!
//! Takes the text of `/metrics`, gives sums over all series that carry the labels asked for.

use std::collections::BTreeMap;

/// The series of one reading.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    series: Vec<Series>,
}

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name, with its suffix (`_total`, `_bucket`).
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Metrics {
    /// Reads a page; fails the test on a line that is neither comment nor series, and without `# EOF`.
    #[track_caller]
    pub fn parse(text: &str) -> Metrics {
        assert!(text.ends_with("# EOF\n"), "the page of metrics does not end with # EOF: {text}");
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Metrics { series: lines.map(series).collect() }
    }

    /// The sum of all series with this name and at least these labels, e.g. `requests_total{status="200"}`;
    /// 0 when there is none.
    #[track_caller]
    pub fn sum(&self, selector: &str) -> f64 {
        self.matching(selector).iter().map(|series| series.value).sum()
    }

    /// All series with this name and at least these labels.
    #[track_caller]
    pub fn matching(&self, selector: &str) -> Vec<&Series> {
        let (name, labels) = selected(selector);
        let fits = |series: &&Series| {
            series.name == name && labels.iter().all(|(key, value)| series.labels.get(key) == Some(value))
        };
        self.series.iter().filter(fits).collect()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

fn series(line: &str) -> Series {
    // Labels may hold blanks and braces: the value is what follows the closing brace, or the first blank.
    let at = line.rfind('}').map_or_else(|| line.find(' ').unwrap_or(0), |at| at + 1);
    // An exemplar (` # {..} 1`) follows the value and is of no interest here.
    let at = line.find(" # ").map_or(at, |exemplar| {
        line[..exemplar].rfind('}').map_or_else(|| line.find(' ').unwrap_or(0), |at| at + 1)
    });
    let (selector, rest) = line.split_at(at);
    let (name, labels) = selected(selector);
    let value = rest.split_whitespace().next().and_then(|value| value.parse().ok());
    Series { name, labels, value: value.unwrap_or_else(|| panic!("no value in the line {line:?}")) }
}

#[track_caller]
fn selected(selector: &str) -> (String, BTreeMap<String, String>) {
    let Some((name, rest)) = selector.split_once('{') else {
        return (selector.to_owned(), BTreeMap::new());
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}').unwrap_or_else(|| panic!("no closing brace in {selector:?}"));
    while let Some((key, value)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, other)) => text.push(other),
                    None => panic!("a label without end in {selector:?}"),
                },
                Some((at, '"')) => break at,
                Some((_, other)) => text.push(other),
                None => panic!("a label without end in {selector:?}"),
            }
        };
        labels.insert(key.trim_start_matches(',').to_owned(), text);
        rest = &value[end + 1..];
    }
    (name.to_owned(), labels)
}
