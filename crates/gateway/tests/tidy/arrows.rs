//! The direction of imports inside the gateway: a stage uses only what stands left of it.
//! Takes the sources under `crates/gateway/src`; gives every path that leads to the right, every stage
//! that has no place in the order, and every cycle among stages of one rank.
//! It must never be satisfied by writing the path in another way: groups and `super` are resolved.

use std::collections::BTreeMap;

use super::source::{Offence, Source};

/// The stages from left to right. Stages of one rank may use each other as long as no cycle arises.
const ORDER: [&[&str]; 7] = [
    &["values"],
    &["config", "http", "exchange", "fault"],
    &["identity", "policies", "aggregate", "route", "balance", "upstream", "tls", "observe"],
    &["snapshot"],
    &["serve"],
    &["accept", "admin"],
    &["cli", "demo"],
];
/// Three sides of one thing: the exchange carries the fault that ended it, a fault becomes an answer of the
/// exchange, and both speak in the terms of HTTP. Among these alone a cycle is no offence.
const KNOT: [&str; 3] = ["exchange", "fault", "http"];
const ROOT: &str = "crates/gateway/src/";

fn rank(stage: &str) -> Option<usize> {
    ORDER.iter().position(|stages| stages.contains(&stage))
}

/// One use of a stage by another.
struct Use<'a> {
    source: &'a Source,
    line: usize,
    from: String,
    to: String,
}

pub(crate) fn wrong_ways(sources: &[Source]) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut level: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    for source in sources {
        let Some(module) = source.path.strip_prefix(ROOT).map(module_of) else { continue };
        let Some(stage) = module.first() else { continue };
        let Some(from) = rank(stage) else {
            offences.push(source.offence(1, format!("stage `{stage}` has no place in the order of imports")));
            continue;
        };
        for (line, to) in stages_used(source, &module) {
            let Some(rank_of_it) = rank(&to) else { continue };
            if rank_of_it > from {
                offences
                    .push(source.offence(line, format!("`{stage}` uses `{to}`, which stands right of it")));
            } else if rank_of_it == from
                && to != *stage
                && ![stage.as_str(), &to].iter().all(|s| KNOT.contains(s))
            {
                level.entry(stage.clone()).or_default().push(Use { source, line, from: stage.clone(), to });
            }
        }
    }
    offences.extend(cycles(&level));
    offences
}

/// Uses that lie on a cycle of stages.
fn cycles(uses: &BTreeMap<String, Vec<Use<'_>>>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for edge in uses.values().flatten() {
        let mut open = vec![edge.to.as_str()];
        let mut seen = Vec::new();
        while let Some(stage) = open.pop() {
            if seen.contains(&stage) {
                continue;
            }
            seen.push(stage);
            open.extend(uses.get(stage).into_iter().flatten().map(|next| next.to.as_str()));
        }
        if seen.contains(&edge.from.as_str()) {
            let what = format!("`{}` uses `{}`, which uses it in turn", edge.from, edge.to);
            offences.push(edge.source.offence(edge.line, what));
        }
    }
    offences
}

/// The module path of a file: `http/path.rs` is `http::path`; the crate's own roots are empty.
fn module_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The first module below the crate of each path in the file, with its line.
fn stages_used(source: &Source, module: &[String]) -> Vec<(usize, String)> {
    let words = source.words();
    let mut used = Vec::new();
    for (nth, &(at, word)) in words.iter().enumerate() {
        let before = source.code[..at].trim_end();
        let opens_path = !before.ends_with("::") || before.ends_with("<::");
        if !opens_path {
            continue;
        }
        let end = match word {
            "crate" => at + word.len(),
            "super" => {
                let supers = words[nth..].iter().take_while(|(_, word)| *word == "super").count();
                let depth = module.len() + inline_modules(&source.code[..at]);
                if supers != depth {
                    continue;
                }
                let (last_at, last) = words[nth + supers - 1];
                last_at + last.len()
            }
            _ => continue,
        };
        used.extend(heads(&source.code[end..]).into_iter().map(|head| (source.line_of(at), head)));
    }
    used
}

/// How many `mod x {` are open at the end of this code.
fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for (at, b) in code.bytes().enumerate() {
        match b {
            b'{' => {
                let mut back = code[..at].split_whitespace().rev();
                back.next();
                open.push(back.next() == Some("mod"));
            }
            b'}' => {
                open.pop();
            }
            _ => {}
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

/// The first names after `crate`: one for `::a::b`, several for `::{a, b::c}`.
fn heads(rest: &str) -> Vec<String> {
    let Some(rest) = rest.trim_start().strip_prefix("::") else { return Vec::new() };
    let rest = rest.trim_start();
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut heads = vec![word(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(word(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

#[cfg(test)]
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> =
        files.iter().map(|(path, text)| Source::new(&format!("{ROOT}{path}"), text)).collect();
    wrong_ways(&sources).iter().map(|o| format!("{}: {}", o.line, o.what)).collect()
}

#[test]
fn a_path_to_the_right_is_found_however_it_is_written() {
    let wish = ["1: `values` uses `serve`, which stands right of it"];
    for text in [
        "use crate::serve::x;",
        "use crate::{values::y, serve};",
        "use super::super::serve::x;",
        "pub(crate) fn f(x: &crate::serve::X) {}",
        "use crate::{\n    values::{a, b},\n    serve::c,\n};",
        "mod tests { use super::super::super::serve::x; }",
    ] {
        assert_eq!(found(&[("values/size.rs", text)]), wish, "{text}");
    }
}

#[test]
fn a_path_to_the_left_or_in_a_comment_is_no_offence() {
    for text in [
        "use crate::values::Size;",
        "// crate::cli",
        "mod tests { use super::*; }",
        "use super::snapshot::x;\nuse crate::Error;",
    ] {
        assert_eq!(found(&[("serve.rs", text)]), [""; 0], "{text}");
    }
}

#[test]
fn a_cycle_among_neighbours_and_a_stage_without_a_place_are_found() {
    let one_way = ("balance/mod.rs", "use crate::upstream::Target;");
    assert_eq!(found(&[one_way]), [""; 0]);
    let cycle = found(&[one_way, ("upstream/mod.rs", "use crate::balance::Choice;")]);
    assert_eq!(cycle.len(), 2, "{cycle:?}");
    let knot = [("exchange.rs", "use crate::fault::Fault;"), ("fault.rs", "use crate::exchange::Exchange;")];
    assert_eq!(found(&knot), [""; 0]);
    assert_eq!(found(&[("attic/mod.rs", "")]), ["1: stage `attic` has no place in the order of imports"]);
}
