//! `schema`: all policies, closed against unknown keys.

use std::path::Path;

use crate::setup::tidegate;

#[test]
fn every_policy_is_there_and_closed_and_those_that_refuse_know_their_mode() {
    let told = tidegate(Path::new("."), &["schema"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let schema = told.json();
    for holder in ["Route", "Bundle", "Defaults"] {
        for kind in tidegate::policies::LIST {
            let policy = &schema["definitions"][holder]["properties"][kind.name];
            assert!(policy["description"].is_string(), "{holder} {}", kind.name);
            let forms = policy["anyOf"].as_array().into_iter().flatten();
            let forms = forms.filter_map(|form| form["allOf"][0]["$ref"].as_str()?.rsplit('/').next());
            let mut forms = forms.map(|name| &schema["definitions"][name]).chain([policy]);
            let knows = forms.any(|form| form["properties"]["mode"].is_object());
            assert_eq!(knows, kind.refuses, "{holder} {}", kind.name);
            if policy["properties"].is_object() {
                assert_eq!(policy["additionalProperties"], false, "{holder} {}", kind.name);
            }
        }
    }
}
