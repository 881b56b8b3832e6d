//! Every policy `src/policies/x.rs` has its test in the twin file `tests/it/policies/x.rs`.
//! Takes the sources of the gateway; gives the policies without a twin, twins without a policy, and
//! twins that hold no test.
//! It must never count a file that only exists: a twin tests something. A file that names no policy is none.

use super::source::{Offence, Source};

const POLICIES: &str = "crates/gateway/src/policies/";
const TWINS: &str = "crates/gateway/tests/it/policies/";

pub(crate) fn missing(sources: &[Source]) -> Vec<Offence> {
    let named = |folder: &'static str| {
        sources.iter().filter_map(move |source| {
            let name = source.path.strip_prefix(folder)?;
            // A policy of several files is a folder with a `mod.rs`; its twin is named by the folder.
            let name = name.strip_suffix("/mod.rs").or_else(|| name.strip_suffix(".rs"))?;
            (name != "mod" && !name.contains('/')).then_some((name, source))
        })
    };
    let mut offences = Vec::new();
    for (name, policy) in named(POLICIES).filter(|(_, source)| names_one(source)) {
        let tested = named(TWINS).any(|(twin, source)| twin == name && source.code.contains("#[test]"));
        if !tested {
            offences.push(policy.offence(1, format!("policy `{name}` has no test in {TWINS}{name}.rs")));
        }
    }
    for (name, twin) in named(TWINS) {
        if !named(POLICIES).any(|(policy, _)| policy == name) {
            offences
                .push(twin.offence(1, format!("the twin of no policy: {POLICIES}{name}.rs does not exist")));
        }
    }
    offences
}

/// Whether a file says what the key of its policy is.
fn names_one(source: &Source) -> bool {
    ["const NAME: &'static str = \"", "const POLICY: &'static str = \""]
        .iter()
        .any(|text| source.code.contains(text))
}

#[test]
fn a_policy_alone_an_empty_twin_and_an_orphan_are_found() {
    const NAMED: &str = "const NAME: &'static str = \"cors\";";
    let policy = || Source::new(&format!("{POLICIES}cors.rs"), NAMED);
    let twin = |text: &str| Source::new(&format!("{TWINS}cors.rs"), text);
    assert_eq!(missing(&[policy()]).len(), 1);
    assert_eq!(missing(&[policy(), twin("// #[test]")]).len(), 1);
    assert_eq!(missing(&[twin("#[test]\nfn f() {}")]).len(), 1);
    assert_eq!(missing(&[policy(), twin("#[test]\nfn f() {}")]), []);
    assert_eq!(missing(&[Source::new(&format!("{POLICIES}mod.rs"), NAMED)]), []);
    assert_eq!(missing(&[Source::new(&format!("{POLICIES}gate.rs"), "")]), []);
    let folder = ["mod.rs", "origin.rs"].map(|file| Source::new(&format!("{POLICIES}cors/{file}"), NAMED));
    assert_eq!(missing(&folder).len(), 1);
}
