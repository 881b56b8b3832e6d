//! What a change of the configuration means, in words: which routes, services and settings, and what is new for callers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, Named, Node, Route};

/// Policies that want to know who calls.
const LOGINS: [&str; 7] = ["any_of", "api_key", "basic", "introspection", "jwt", "mtls", "oidc"];
/// Changes that are told at most.
const MOST: usize = 500;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What kind of thing: `route`, `service`, `listener`, `bundle`, `consumer`, `test`, or `setting`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// Which of its settings differ.
    pub settings: Vec<String>,
    /// The same in a sentence.
    pub text: String,
    /// Whether callers may notice: something is asked of them that was not, or is no longer there.
    pub breaking: bool,
}

/// What differs between two configurations.
pub fn compare(before: &Config, after: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    routes(before, after, &mut changes);
    let values = (serde_json::to_value(before), serde_json::to_value(after));
    let (Ok(Value::Object(old)), Ok(Value::Object(new))) = values else { return changes };
    let kinds = [
        ("services", "service"),
        ("listeners", "listener"),
        ("policies", "bundle"),
        ("consumers", "consumer"),
        ("tests", "test"),
    ];
    for (section, kind) in kinds {
        let part = |all: &serde_json::Map<String, Value>| match all.get(section) {
            Some(Value::Object(part)) => part.clone().into_iter().collect(),
            _ => BTreeMap::new(),
        };
        things(kind, &part(&old), &part(&new), &mut changes);
    }
    let told = |key: &str| key == "routes" || kinds.iter().any(|(section, _)| *section == key);
    for (key, value) in new.iter().filter(|(key, _)| !told(key)) {
        if old.get(key) != Some(value) {
            let settings = differing(old.get(key).unwrap_or(&Value::Null), value);
            let about =
                if settings.is_empty() { String::new() } else { format!(": {}", settings.join(", ")) };
            changes.push(Change {
                kind: "setting",
                name: key.clone(),
                change: "changed",
                settings,
                text: format!("`{key}` changed{about}"),
                breaking: false,
            });
        }
    }
    if changes.is_empty() && before != after {
        // Secrets are never shown, not even as a difference.
        changes.push(Change {
            kind: "setting",
            name: "a secret".into(),
            change: "changed",
            settings: Vec::new(),
            text: "a secret changed".into(),
            breaking: false,
        });
    }
    changes.truncate(MOST);
    changes
}

/// How many things changed, in one line: `2 routes changed, 1 service added`.
pub fn summary(changes: &[Change]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for change in changes {
        let count = counts.entry((change.kind, change.change)).or_default();
        *count = count.saturating_add(1);
    }
    if counts.is_empty() {
        return "nothing changed in meaning".into();
    }
    let told = counts.iter().map(|((kind, change), count)| {
        format!("{count} {kind}{} {change}", if *count == 1 { "" } else { "s" })
    });
    told.collect::<Vec<_>>().join(", ")
}

fn routes(before: &Config, after: &Config, changes: &mut Vec<Change>) {
    let (old, new) = (before.routes.index(), after.routes.index());
    for (name, _) in before.routes.iter().filter(|(name, _)| !new.contains_key(name.as_str())) {
        changes.push(Change {
            kind: "route",
            name: name.to_string(),
            change: "removed",
            settings: Vec::new(),
            text: format!("route `{name}` is gone"),
            breaking: true,
        });
    }
    for (name, route) in &after.routes {
        let policies = in_force(after, route);
        let Some(known) = old.get(name.as_str()) else {
            let open = !policies.keys().any(|policy| LOGINS.contains(&policy.as_str()));
            let whose = if open { ", open to everybody" } else { ", with login" };
            changes.push(Change {
                kind: "route",
                name: name.to_string(),
                change: "added",
                settings: policies.into_keys().collect(),
                text: format!("route `{name}` is new{whose}"),
                breaking: false,
            });
            continue;
        };
        if let Some(change) = changed_route(name, (known, &in_force(before, known)), (route, &policies)) {
            changes.push(change);
        }
    }
}

type Policies = BTreeMap<String, Value>;

fn changed_route(
    name: &str,
    (known, old): (&Route, &Policies),
    (route, new): (&Route, &Policies),
) -> Option<Change> {
    let mut settings: Vec<String> = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    if known.conditions != route.conditions {
        settings.push("match".into());
        parts.push("takes other requests".into());
    }
    if known.action != route.action {
        settings.push("action".into());
        parts.push("does something else with them".into());
    }
    let login = |all: &Policies| all.keys().any(|policy| LOGINS.contains(&policy.as_str()));
    let gained = login(new) && !login(old);
    if gained {
        parts.push("now needs login".into());
    } else if login(old) && !login(new) {
        parts.push("no longer needs login".into());
    }
    for (policy, value) in new {
        match old.get(policy) {
            None => parts.push(format!("now has `{policy}`")),
            Some(before) if before != value => parts.push(format!("another `{policy}`")),
            Some(_) => continue,
        }
        settings.push(policy.clone());
    }
    for policy in old.keys().filter(|policy| !new.contains_key(*policy)) {
        parts.push(format!("no longer has `{policy}`"));
        settings.push(policy.clone());
    }
    if settings.is_empty() {
        return None;
    }
    let text = format!("route `{name}` {}", parts.join(", "));
    Some(Change {
        kind: "route",
        name: name.to_owned(),
        change: "changed",
        settings,
        text,
        breaking: gained || known.conditions != route.conditions,
    })
}

/// The policies of a route with what bundles and defaults bring.
fn in_force(config: &Config, route: &Route) -> Policies {
    let mut bundles: Vec<&str> = Vec::new();
    for used in config.defaults.uses.iter().chain(&route.uses) {
        let written = used.to_string();
        match written.strip_prefix('-') {
            Some(gone) => bundles.retain(|bundle| *bundle != gone),
            None => bundles.extend(config.policies.names().find(|name| *name == written)),
        }
    }
    let mut policies = Policies::new();
    let mut add = |named: &Named<Node>| {
        for (name, node) in named {
            policies.insert(name.to_string(), serde_json::to_value(node).unwrap_or_default());
        }
    };
    add(&config.defaults.policies);
    bundles.iter().filter_map(|bundle| config.policies.get(bundle)).for_each(|bundle| add(&bundle.policies));
    add(&route.policies);
    policies
}

fn things(
    kind: &'static str,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
    changes: &mut Vec<Change>,
) {
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        let (text, settings) = (format!("{kind} `{name}` is gone"), Vec::new());
        changes.push(Change {
            kind,
            name: name.clone(),
            change: "removed",
            settings,
            text,
            breaking: kind == "listener",
        });
    }
    for (name, value) in new {
        match old.get(name) {
            None => {
                let (text, settings) = (format!("{kind} `{name}` is new"), Vec::new());
                changes.push(Change {
                    kind,
                    name: name.clone(),
                    change: "added",
                    settings,
                    text,
                    breaking: false,
                });
            }
            Some(before) if before != value => {
                let settings = differing(before, value);
                let text = format!("{kind} `{name}` changed: {}", settings.join(", "));
                changes.push(Change {
                    kind,
                    name: name.clone(),
                    change: "changed",
                    settings,
                    text,
                    breaking: false,
                });
            }
            Some(_) => {}
        }
    }
}

/// The keys whose values differ.
fn differing(before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return Vec::new() };
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, _)| key.clone());
    let gone = old.keys().filter(|key| !new.contains_key(*key)).cloned();
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Known, System, load_text};

    fn config(text: &str) -> Config {
        let known = Known { policies: &["api_key", "rate_limit"] };
        match load_text("test", format!("listen: 127.0.0.1:0\n{text}"), &System, &known) {
            Ok(loaded) => loaded.config,
            Err(faults) => panic!("{}", faults.render(false)),
        }
    }

    #[test]
    fn changes_are_told_in_words() {
        let before = config(
            "services: { a: \"http://a:1\", b: \"http://b:1\" }\npolicies: { login: { api_key: {} } }\n\
             routes: { /x: { to: a }, /y: { to: b }, /z: { to: b } }\n",
        );
        let after = config(
            "services: { a: { targets: [\"http://a:1\"], timeout: 2s }, c: \"http://b:1\" }\nworkers: 2\n\
             policies: { login: { api_key: {} } }\n\
             routes: { /x: { to: a, use: [login] }, /y: { to: c, rate_limit: { rate: 5/min } }, /w: { to: a } }\n",
        );
        let changes = compare(&before, &after);
        let texts: Vec<&str> = changes.iter().map(|change| &*change.text).collect();
        for told in [
            "route `/z` is gone",
            "route `/x` now needs login, now has `api_key`",
            "route `/y` does something else with them, now has `rate_limit`",
            "route `/w` is new, open to everybody",
            "service `a` changed: timeout",
            "service `b` is gone",
            "service `c` is new",
            "`workers` changed",
        ] {
            assert!(texts.contains(&told), "{told:?} is not in {texts:#?}");
        }
        let breaking: Vec<&str> =
            changes.iter().filter(|change| change.breaking).map(|change| &*change.name).collect();
        assert_eq!(breaking, ["/z", "/x"]);
        assert!(summary(&changes).contains("2 routes changed"), "{}", summary(&changes));
        assert_eq!(summary(&compare(&before, &before)), "nothing changed in meaning");
    }
}
