//! Documents that name files, and examples that promise to run.
//! Takes the Markdown files, the folders of `examples/` and the sources of tests; gives paths that do
//! not exist and examples that are not whole or that no test loads.
//! It must never check a path in a fenced block: there stand commands and the output of programs.

use super::source::{Offence, Source};

/// First parts of a path that make a word in backticks a path of this repository.
const ROOTS: [&str; 10] =
    ["crates", "xtask", "bench", "examples", "docs", "fuzz", "console", ".ci", "src", "tests"];

/// A folder of `examples/`.
pub(crate) struct Example {
    pub(crate) path: String,
    pub(crate) has_configuration: bool,
    pub(crate) has_readme: bool,
}

/// Paths in backticks and targets of links that do not exist.
pub(crate) fn dangling(documents: &[(String, String)], exists: &dyn Fn(&str) -> bool) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in documents {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut fenced = false;
        for (nth, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                continue;
            }
            if fenced || line.starts_with("    ") {
                continue;
            }
            let named = quoted(line).filter(|word| looks_like_a_path(word)).map(|word| (word, true));
            for (word, in_backticks) in named.chain(links(line).map(|target| (target, false))) {
                let places = if in_backticks { vec!["", "crates/gateway", folder] } else { vec![folder] };
                let fixed = word.split('*').next().unwrap_or_default();
                // `docs/reference/*.md` stands for its folder.
                let fixed = if fixed == word { word } else { fixed.rsplit_once('/').map_or("", |(f, _)| f) };
                if !places.iter().any(|place| exists(&joined(place, fixed))) {
                    let what = format!("`{word}` does not exist");
                    offences.push(Offence { path: path.clone(), line: nth + 1, what });
                }
            }
        }
    }
    offences
}

fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn looks_like_a_path(word: &str) -> bool {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./*".contains(&b));
    let Some((first, rest)) = word.split_once('/') else {
        return plain && word.ends_with(".md") && word.chars().next().is_some_and(char::is_uppercase);
    };
    plain && ROOTS.contains(&first) && !rest.contains("..")
}

/// Targets of `[text](target)` inside the repository, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        (!target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).then_some(target)
    })
}

fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Examples that lack a file or that no test names.
pub(crate) fn untested_examples(examples: &[Example], sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for Example { path, has_configuration, has_readme } in examples {
        let mut miss =
            |what: &str| offences.push(Offence { path: path.clone(), line: 1, what: what.to_owned() });
        if !has_configuration {
            miss("no gateway.yaml");
        }
        if !has_readme {
            miss("no README.md");
        }
        let file = format!("\"{path}/gateway.yaml\"");
        let loaded = |source: &Source| source.path.contains("/tests/") && source.text.contains(&file);
        if !sources.iter().any(loaded) {
            miss(&format!("no test names {file}"));
        }
    }
    offences
}

#[cfg(test)]
fn dangling_in(text: &str) -> Vec<String> {
    let exists =
        |path: &str| ["README.md", "docs", "docs/how.md", "crates/gateway/src/serve.rs"].contains(&path);
    let found = dangling(&[("docs/here.md".to_owned(), text.to_owned())], &exists);
    found.into_iter().map(|offence| format!("{}: {}", offence.line, offence.what)).collect()
}

#[test]
fn paths_and_links_to_nothing_are_found() {
    assert_eq!(dangling_in("see\n`crates/gone/src/lib.rs`"), ["2: `crates/gone/src/lib.rs` does not exist"]);
    assert_eq!(dangling_in("[a](gone.md)"), ["1: `gone.md` does not exist"]);
    assert_eq!(dangling_in("`GONE.md` and `docs/no/*.md`").len(), 2);
}

#[test]
fn paths_that_exist_and_words_that_are_no_paths_pass() {
    let text = "`src/serve.rs` `docs/*.md` [x](how.md#part) [y](../README.md) [z](https://a.b/c)\n\
                `/v2/users/*` `a/b` `text/html` `README.md`\n```\n`docs/gone.md`\n```\n";
    assert_eq!(dangling_in(text), [""; 0]);
}

#[test]
fn an_example_that_is_not_whole_or_not_loaded_is_found() {
    let example =
        |whole: bool| Example { path: "examples/a".to_owned(), has_configuration: whole, has_readme: whole };
    let test = Source::new("crates/gateway/tests/examples.rs", "load(\"examples/a/gateway.yaml\")");
    assert_eq!(untested_examples(&[example(false)], &[]).len(), 3);
    assert_eq!(untested_examples(&[example(true)], &[]).len(), 1);
    assert_eq!(untested_examples(&[example(true)], &[test]), []);
}
