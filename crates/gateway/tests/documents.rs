//! Pages that say what the code knows: the tables of `docs/faults.md`, and configurations shown to readers.
//! Takes the tables of the code and the pages; gives a failure where a page says something else, or shows a
//! configuration that the gateway refuses.
//! It must never be mended by hand in the page: `UPDATE_EXPECT=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use http1::{BodyError, HeadError, Method};
use shape::Misfit;
use tidegate::config::{Known, System, load_text};
use tidegate::fault::{Blame, Fault};
use tidegate::http::host::HostError;
use tidegate::http::path::PathError;
use tidegate::http::target::TargetError;
use tidegate::policies::LIST;

const MARK: &str = "<!-- The tables below";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares a page with what it should be, or writes it when asked to.
#[track_caller]
fn expect_page(name: &str, wanted: &str) {
    let path = page(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/{name} is stale: UPDATE_EXPECT=1 cargo test -p tidegate --test documents");
}

/// Every fault that is not a breach of a rule of HTTP: those have tables of their own.
fn faults() -> Vec<Fault> {
    let all = vec![
        Fault::HeadTimeout,
        Fault::BodyTimeout,
        Fault::BodyTooLarge(0),
        Fault::ClientGone,
        Fault::ClientStalled,
        Fault::MethodRefused(Method::Trace),
        Fault::Banned,
        Fault::NoRoute,
        Fault::MethodNotAllowed(String::new()),
        Fault::AmbiguousPath,
        Fault::NoEndpoint,
        Fault::CircuitOpen(1),
        Fault::ConnectRefused,
        Fault::TargetCertificate,
        Fault::TargetTls,
        Fault::ConnectTimeout,
        Fault::NoAnswer,
        Fault::AnswerTimeout,
        Fault::AnswerCut,
        Fault::AnswerStalled,
        Fault::AnswerInvalid,
        Fault::AnswerUnasked,
        Fault::NotBase64,
        Fault::AnswerUnfit(Misfit::Cut),
        Fault::AnswerProtocol,
        Fault::ServiceFull,
        Fault::ServiceFailed(503),
        Fault::Timeout,
        Fault::PlainHttp,
        Fault::Misdirected,
        Fault::Overloaded,
        Fault::Panic,
    ];
    // A new fault does not compile here until it is in the list above.
    for fault in &all {
        match fault {
            Fault::Head(_)
            | Fault::Target(_)
            | Fault::Body(_)
            | Fault::AnswerHead(_)
            | Fault::AnswerBody(_) => {}
            Fault::HeadTimeout | Fault::BodyTimeout | Fault::BodyTooLarge(_) | Fault::ClientGone => {}
            Fault::ClientStalled | Fault::MethodRefused(_) | Fault::NoRoute | Fault::MethodNotAllowed(_) => {}
            Fault::BodyUnfit(_) | Fault::AnswerUnfit(_) => {}
            Fault::CircuitOpen(_) | Fault::NotBase64 | Fault::AnswerProtocol => {}
            Fault::ServiceFull | Fault::ServiceFailed(_) | Fault::AnswerInvalid => {}
            Fault::AmbiguousPath | Fault::NoEndpoint | Fault::ConnectRefused | Fault::ConnectTimeout => {}
            Fault::NoAnswer | Fault::AnswerTimeout | Fault::AnswerCut | Fault::AnswerStalled => {}
            Fault::TargetCertificate | Fault::TargetTls | Fault::PlainHttp | Fault::Misdirected => {}
            Fault::AnswerUnasked | Fault::Timeout | Fault::Overloaded | Fault::Panic | Fault::Banned => {}
        }
    }
    all
}

/// One misfit of each kind, with sentences that hold for all of the kind.
fn misfits() -> [Misfit; 14] {
    [
        Misfit::Syntax("the body breaks a rule of its format", 0),
        Misfit::Cut,
        Misfit::Deep(64),
        Misfit::Wide(100_000),
        Misfit::Long("a name", 4096),
        Misfit::Duplicate,
        Misfit::Large(1 << 20),
        Misfit::Bomb,
        Misfit::Coding("the body is coded in a way that cannot be taken apart here"),
        Misfit::Kind("the body is in a format that is not taken here"),
        Misfit::Unsayable("a name or value of the body cannot be said in the format that is asked for"),
        Misfit::Program("the program refuses the document"),
        Misfit::Spent("the program takes more steps than it may"),
        Misfit::Busy,
    ]
}

fn row(table: &mut String, fault: &Fault) {
    let facts = fault.facts();
    let blame = match facts.blame {
        Blame::Client => "client",
        Blame::Service => "service",
        Blame::Gateway => "gateway",
    };
    // The only detail that holds a figure.
    let detail = facts.detail.replace("larger than 0 bytes", "larger than the route takes");
    writeln!(table, "| `{}` | {} | {blame} | {detail} |", facts.code, facts.status).unwrap();
}

fn table(head: &str, faults: impl IntoIterator<Item = Fault>) -> String {
    let mut table = format!("\n## {head}\n\n| code | status | to blame | meaning |\n|---|---|---|---|\n");
    faults.into_iter().for_each(|fault| row(&mut table, &fault));
    table
}

#[test]
fn the_page_of_faults_lists_every_fault() {
    let text = std::fs::read_to_string(page("faults.md")).unwrap();
    let (before, mark) = text.split_once(MARK).expect("the mark that the tables follow");
    let (rest_of_mark, _) = mark.split_once('\n').unwrap();
    let paths = [
        PathError::NotAbsolute,
        PathError::BadByte,
        PathError::NonAscii,
        PathError::Backslash,
        PathError::BadEscape,
        PathError::EncodedControl,
        PathError::BadUtf8,
        PathError::EncodedSlash,
        PathError::AboveRoot,
        PathError::DotWithParams,
    ];
    let hosts =
        [HostError::Empty, HostError::BadName, HostError::TooLong, HostError::BadIpv6, HostError::BadPort];
    let targets =
        paths.map(TargetError::Path).into_iter().chain(hosts.map(TargetError::Host)).map(Fault::Target);
    let wanted = [
        format!("{before}{MARK}{rest_of_mark}\n"),
        table("On the way", faults()),
        table("Paths and hosts", targets),
        table("Heads of requests", HeadError::ALL.iter().copied().map(Fault::Head)),
        table("Bodies of requests", BodyError::ALL.iter().copied().map(Fault::Body)),
        "\nThe same breaches in a service's answer have the same codes, with status 502.\n".to_owned(),
        table("Bodies that are shaped", misfits().map(Fault::BodyUnfit)),
        "\nAn answer of a service that is one of these is `answer_unfit`, with status 502; the access log says which.\n"
            .to_owned(),
    ];
    expect_page("faults.md", &wanted.concat());
}

/// The parts of a page fenced as YAML.
fn shown(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(page(name)).unwrap();
    text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What a part of a configuration needs besides itself.
const SURROUNDINGS: [(&str, &str); 3] = [
    ("listen", "listen: 127.0.0.1:0\n"),
    ("services:", "services: { products: \"http://a\", orders: \"http://a\", orders-beta: \"http://a\" }\n"),
    ("routes:", "routes: { /*: { respond: ok } }\n"),
];

#[test]
fn every_configuration_shown_is_taken() {
    let policies: Vec<&str> = LIST.iter().map(|kind| kind.name).collect();
    for (name, fewest) in [
        ("../README.md", 2),
        ("configuration.md", 3),
        ("tls.md", 3),
        ("limits.md", 1),
        ("health.md", 2),
        ("cache.md", 1),
        ("failing.md", 3),
        ("transformation.md", 2),
    ] {
        let parts = shown(name);
        assert!(parts.len() >= fewest, "{name} shows {} configurations", parts.len());
        for mut part in parts {
            for (key, more) in SURROUNDINGS {
                if !part.lines().any(|line| line.starts_with(key)) {
                    part.push_str(more);
                }
            }
            if let Err(faults) = load_text(name, part.clone(), &System, &Known { policies: &policies }) {
                let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
                panic!("{name}: {told:?}\n{part}");
            }
        }
    }
}
