//! How diagnostics are printed: for people, for scripts, for the annotations of a code review.
//!
//! Takes the list; gives text. Colour only when asked for. No byte of a configuration reaches a terminal as a control
//! character.

use super::diagnostic::{Diagnostic, Diagnostics, MOST, Severity};
use super::place::Place;
use serde_json::json;

/// How many characters of a line are shown.
const WIDEST: usize = 120;
/// How many characters a tab is shown as.
const TAB: &str = "    ";

impl Diagnostics {
    /// All of them for people, in the style of cargo, an empty line between two. Ends in a line break, unless empty.
    pub fn render(&self, color: bool) -> String {
        let paint = Paint { color };
        self.iter().map(|diagnostic| paint.diagnostic(diagnostic)).collect::<Vec<_>>().join("\n")
    }

    /// One line after all: how many, and what follows from it ("Revision 41 keeps running"; may be empty).
    pub fn summary(&self, consequence: &str, color: bool) -> String {
        let count = |number: usize, noun: &str| match number {
            0 => None,
            1 => Some(format!("1 {noun}")),
            _ => Some(format!("{number} {noun}s")),
        };
        let counts: Vec<_> =
            count(self.errors(), "error").into_iter().chain(count(self.warnings(), "warning")).collect();
        if counts.is_empty() {
            return String::new();
        }
        let more = if self.errors().saturating_add(self.warnings()) >= MOST { " and more" } else { "" };
        let severity = if self.has_errors() { Severity::Error } else { Severity::Warning };
        let consequence = if consequence.is_empty() { String::new() } else { format!(" {consequence}.") };
        format!(
            "{}: {}{more}.{consequence}\n",
            Paint { color }.severity(severity, word(severity)),
            counts.join(", ")
        )
    }

    /// All of them for scripts.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "errors": self.errors(),
            "warnings": self.warnings(),
            "diagnostics": self.iter().collect::<Vec<_>>(),
        })
    }

    /// All of them as workflow commands of GitHub, which become annotations in a review.
    pub fn to_github(&self) -> String {
        self.iter().map(github).collect()
    }
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn github(diagnostic: &Diagnostic) -> String {
    let message = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| message(text).replace(':', "%3A").replace(',', "%2C");
    let place = diagnostic.place.as_ref().map(|place| {
        let Place { file, line, column, length, .. } = place;
        let end = column.saturating_add(*length);
        format!("file={},line={line},col={column},endColumn={end},", property(file))
    });
    let help = diagnostic.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    format!(
        "::{} {}title={}::{}\n",
        word(diagnostic.severity),
        place.unwrap_or_default(),
        diagnostic.code,
        message(&format!("{}{help}", diagnostic.message))
    )
}

/// Colours, or none.
struct Paint {
    color: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn severity(&self, severity: Severity, text: &str) -> String {
        self.with(if severity == Severity::Error { "1;31" } else { "1;33" }, text)
    }

    fn frame(&self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn diagnostic(&self, diagnostic: &Diagnostic) -> String {
        let Diagnostic { severity, code, message, place, label, help, notes, .. } = diagnostic;
        let title = format!("{}[{code}]", word(*severity));
        let message = printable(message);
        let mut text =
            format!("{}{}\n", self.severity(*severity, &title), self.with("1", &format!(": {message}")));
        let places = place.iter().chain(notes.iter().map(|note| &note.place));
        let gutter = places.map(|place| place.line.to_string().len()).max().unwrap_or(0);
        if let Some(place) = place {
            text.push_str(&self.snippet("-->", place, gutter, |cut| {
                self.severity(*severity, &with_label(&"^".repeat(cut), label.as_deref()))
            }));
        }
        for note in notes {
            text.push_str(&self.snippet(":::", &note.place, gutter, |cut| {
                self.frame(&with_label(&"-".repeat(cut), Some(&note.message)))
            }));
        }
        if let Some(help) = help {
            let indent = " ".repeat(gutter.saturating_add(1));
            text.push_str(&format!(
                "{indent}{} {}: {}\n",
                self.frame("="),
                self.with("1", "help"),
                printable(help)
            ));
        }
        text
    }

    /// The place and its line, with `marks` (told how many characters to mark) beneath.
    fn snippet(&self, arrow: &str, place: &Place, gutter: usize, marks: impl Fn(usize) -> String) -> String {
        let empty = " ".repeat(gutter);
        let (line, before, marked) = shown(place);
        let number = format!("{:>gutter$}", place.line);
        let at = format!("{}:{}:{}", printable(&place.file), place.line, place.column);
        let bar = self.frame("|");
        let line = if line.is_empty() { String::new() } else { format!(" {line}") };
        format!(
            "{empty}{} {at}\n{empty} {bar}\n{} {bar}{line}\n{empty} {bar} {}{}\n",
            self.frame(arrow),
            self.frame(&number),
            " ".repeat(before),
            marks(marked)
        )
    }
}

fn with_label(marks: &str, label: Option<&str>) -> String {
    match label {
        Some(label) => format!("{marks} {}", printable(label)),
        None => marks.to_owned(),
    }
}

/// The line as it is shown, how many characters stand before the marked ones, and how many are marked.
///
/// Tabs become spaces, control characters a sign for them, and of a long line only the part around the place is left.
fn shown(place: &Place) -> (String, usize, usize) {
    let mut line = String::new();
    let (mut before, mut marked) = (0_usize, 0_usize);
    let start = place.column.saturating_sub(1);
    let end = start.saturating_add(place.length);
    for (index, character) in place.text.chars().enumerate() {
        let text = if character == '\t' { TAB.to_owned() } else { printable_char(character) };
        let width = text.chars().count();
        if index < start {
            before = before.saturating_add(width);
        } else if index < end {
            marked = marked.saturating_add(width);
        }
        line.push_str(&text);
    }
    marked = marked.max(1);
    let length = line.chars().count();
    if length <= WIDEST {
        return (line.trim_end().to_owned(), before, marked);
    }
    // The marked text begins within the first third of the window.
    let skipped = before.saturating_sub(WIDEST / 3).min(length.saturating_sub(WIDEST));
    let mut window: String = line.chars().skip(skipped).take(WIDEST).collect();
    if skipped.saturating_add(WIDEST) < length {
        window.push_str("...");
    }
    let (lead, before) =
        if skipped > 0 { ("...", before.saturating_sub(skipped).saturating_add(3)) } else { ("", before) };
    let room = WIDEST.saturating_add(lead.len()).saturating_sub(before);
    (format!("{lead}{window}"), before, marked.min(room).max(1))
}

fn printable_char(character: char) -> String {
    if character.is_control() { '\u{fffd}'.to_string() } else { character.to_string() }
}

/// A text without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::codes;
    use crate::config::place::{Files, Span};

    fn reported(text: &str, span: (u32, u32), report: impl FnOnce(&mut Diagnostics, Span)) -> Diagnostics {
        let mut files = Files::default();
        let file = files.add("gateway.yaml", text.to_owned());
        let mut diagnostics = Diagnostics::new(files);
        report(&mut diagnostics, Span { file, start: span.0, end: span.1 });
        diagnostics
    }

    #[test]
    fn looks_as_in_the_manual() {
        let text = format!("{}    rate_limt: {{ rate: 10/min }}\n", "#\n".repeat(30));
        let diagnostics = reported(&text, (64, 73), |diagnostics, span| {
            diagnostics
                .error(codes::UNKNOWN_KEY, span, "unknown key `rate_limt` in route `POST /payments/*`")
                .label("not a policy")
                .help("did you mean `rate_limit`?");
        });
        assert_eq!(
            diagnostics.render(false) + &diagnostics.summary("Revision 41 keeps running", false),
            "error[TG012]: unknown key `rate_limt` in route `POST /payments/*`\n\
             \x20 --> gateway.yaml:31:5\n\
             \x20  |\n\
             31 |     rate_limt: { rate: 10/min }\n\
             \x20  |     ^^^^^^^^^ not a policy\n\
             \x20  = help: did you mean `rate_limit`?\n\
             error: 1 error. Revision 41 keeps running.\n"
        );
    }

    #[test]
    fn tabs_and_control_characters() {
        let diagnostics = reported("a:\t\u{1b}[31m b\n", (8, 9), |diagnostics, span| {
            diagnostics.warning(codes::BAD_VALUE, span, "odd \u{1b}[0m");
        });
        assert_eq!(
            diagnostics.render(false),
            "warning[TG011]: odd \u{fffd}[0m\n --> gateway.yaml:1:9\n  |\n1 | a:    \u{fffd}[31m b\n  |            ^\n"
        );
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let diagnostics = reported(&text, (500, 504), |diagnostics, span| {
            diagnostics.error(codes::BAD_VALUE, span, "x");
        });
        let rendered = diagnostics.render(false);
        let lines: Vec<_> = rendered.lines().collect();
        assert_eq!(lines[3], format!("1 | ...{}HERE{}...", "a".repeat(40), "b".repeat(76)));
        assert_eq!(lines[4], format!("  | {}^^^^", " ".repeat(43)));
        let whole = reported(&text, (0, 1004), |diagnostics, span| {
            diagnostics.error(codes::BAD_VALUE, span, "x");
        });
        assert!(whole.render(false).lines().all(|line| line.chars().count() <= WIDEST + 10));
    }

    #[test]
    fn colour_only_when_asked() {
        let diagnostics = reported("a: b", (0, 1), |diagnostics, span| {
            diagnostics.error(codes::BAD_VALUE, span, "x").help("y").note(span, "z");
        });
        assert!(!diagnostics.render(false).contains('\u{1b}'));
        let painted = diagnostics.render(true);
        assert!(painted.starts_with("\u{1b}[1;31merror[TG011]\u{1b}[0m"), "{painted}");
    }

    #[test]
    fn for_github() {
        let diagnostics = reported("a: b", (3, 4), |diagnostics, span| {
            diagnostics.error(codes::BAD_VALUE, span, "100% wrong").help("a, b: c");
        });
        assert_eq!(
            diagnostics.to_github(),
            "::error file=gateway.yaml,line=1,col=4,endColumn=5,title=TG011::100%25 wrong%0Ahelp: a, b: c\n"
        );
    }

    #[test]
    fn for_scripts() {
        let diagnostics = reported("a: b", (3, 4), |diagnostics, span| {
            diagnostics.error(codes::BAD_VALUE, span, "wrong").label("here").note(span, "there");
        });
        assert_eq!(
            diagnostics.to_json(),
            json!({
                "errors": 1,
                "warnings": 0,
                "diagnostics": [{
                    "severity": "error",
                    "code": "TG011",
                    "message": "wrong",
                    "place": { "file": "gateway.yaml", "line": 1, "column": 4, "length": 1 },
                    "label": "here",
                    "help": null,
                    "notes": [{
                        "message": "there",
                        "place": { "file": "gateway.yaml", "line": 1, "column": 4, "length": 1 }
                    }]
                }]
            })
        );
    }
}
