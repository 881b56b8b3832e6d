//! Documents that are read, and those that are refused, by tables.

use super::*;
use proptest::prelude::*;

fn document(text: &str) -> Document {
    Document::new(Bytes::copy_from_slice(text.as_bytes()), Bounds::default()).unwrap()
}

fn found(text: &str, path: &str) -> Option<String> {
    let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
    let document = document(text);
    let raw = document.find(&keys).unwrap()?;
    Some(String::from_utf8(raw.to_vec()).unwrap())
}

#[test]
fn values_are_found_as_they_were_written() {
    let text = r#" { "id": 12345678901234567890123, "a": {"b": [1, {"c": "x\"y"}, -1.5e+3]}, "n":null , "é":1,
        "\u006bey": true, "": "empty" } "#;
    for (path, wish) in [
        ("id", Some("12345678901234567890123")),
        ("a.b.1.c", Some(r#""x\"y""#)),
        ("a.b.2", Some("-1.5e+3")),
        ("a.b.3", None),
        ("a.b.x", None),
        ("a.b", Some(r#"[1, {"c": "x\"y"}, -1.5e+3]"#)),
        ("n", Some("null")),
        ("n.x", None),
        ("é", Some("1")),
        ("key", Some("true")),
        ("absent", None),
    ] {
        assert_eq!(found(text, path).as_deref(), wish, "{path}");
    }
    assert_eq!(found(text, "").unwrap(), text.trim());
}

#[test]
fn what_is_no_json_is_refused_and_serde_agrees() {
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    for (text, wish) in [
        ("", Err(Refused::Malformed)),
        ("  ", Err(Refused::Malformed)),
        ("{", Err(Refused::Malformed)),
        ("[1,]", Err(Refused::Malformed)),
        ("{\"a\":1,}", Err(Refused::Malformed)),
        ("{\"a\" 1}", Err(Refused::Malformed)),
        ("{a:1}", Err(Refused::Malformed)),
        ("01", Err(Refused::Malformed)),
        ("-", Err(Refused::Malformed)),
        ("1.", Err(Refused::Malformed)),
        ("1e", Err(Refused::Malformed)),
        ("+1", Err(Refused::Malformed)),
        (".5", Err(Refused::Malformed)),
        ("tru", Err(Refused::Malformed)),
        ("nul", Err(Refused::Malformed)),
        ("NaN", Err(Refused::Malformed)),
        ("\"a", Err(Refused::Malformed)),
        ("\"\\x\"", Err(Refused::Malformed)),
        ("\"\\u12g4\"", Err(Refused::Malformed)),
        ("\"a\nb\"", Err(Refused::Malformed)),
        ("1 2", Err(Refused::Malformed)),
        ("\u{feff}1", Err(Refused::Malformed)),
        ("1", Ok(())),
        ("\"\"", Ok(())),
        ("{}", Ok(())),
        ("[ ]", Ok(())),
        ("-0.0e-1", Ok(())),
        (" [true,false,null,\"\\ud83d\\ude00\"] ", Ok(())),
    ] {
        assert_eq!(check(text.as_bytes(), Bounds::default()), wish, "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(text).is_ok(), wish.is_ok(), "{text:?}");
    }
    let bounds = Bounds { depth: 64, values: 10 };
    for (text, wish) in [
        (deep(64), Ok(())),
        (deep(65), Err(Refused::TooDeep)),
        ("[".repeat(100_000), Err(Refused::TooDeep)),
        ("{\"a\":".repeat(100_000), Err(Refused::TooDeep)),
        ("1e1000000000".to_owned(), Err(Refused::Number)),
        ("9".repeat(257), Err(Refused::Number)),
        ("9".repeat(256), Ok(())),
        ("[1,2,3,4,5,6,7,8,9]".to_owned(), Ok(())),
        ("[1,2,3,4,5,6,7,8,9,10]".to_owned(), Err(Refused::TooWide)),
    ] {
        let bounds = if text.starts_with("[[") || text.starts_with("{\"a") {
            Bounds { values: 1000, ..bounds }
        } else {
            bounds
        };
        let shown: String = text.chars().take(20).collect();
        assert_eq!(check(text.as_bytes(), bounds), wish, "{shown}");
    }
    assert_eq!(check(b"\"\xff\"", Bounds::default()), Err(Refused::Malformed));
}

#[test]
fn a_key_that_stands_twice_is_ambiguous_only_where_it_is_asked_for() {
    let text = r#"{"a": 1, "b": {"x": 1, "\u0078": 2}, "a": 2}"#;
    assert_eq!(document(text).find(&["a"]), Err(Refused::Ambiguous));
    assert_eq!(document(text).find(&["b", "x"]), Err(Refused::Ambiguous));
    assert_eq!(found(text, "b").as_deref(), Some(r#"{"x": 1, "\u0078": 2}"#));
}

#[test]
fn lists_give_their_elements_and_objects_their_members() {
    let document = document(r#"{"items": [{"id": 1}, {"id": 2}], "none": {}}"#);
    let items = document.items(&["items"]).unwrap().unwrap();
    let ids: Vec<_> = items.iter().map(|item| document.find_in(*item, &["id"]).unwrap().unwrap()).collect();
    assert_eq!(ids, [b"1", b"2"]);
    assert!(document.items(&["none"]).unwrap().is_none());
    let names: Vec<_> = document.members().unwrap().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(names, [br#""items""#.to_vec(), br#""none""#.to_vec()]);
}

#[test]
fn plain_text_of_values() {
    for (raw, wish) in [
        (r#""a\u0062""#, Some("ab")),
        (r#""""#, Some("")),
        ("1.50", Some("1.50")),
        ("true", Some("true")),
        ("null", None),
        ("{}", None),
        ("[1]", None),
        (r#""\ud800""#, None),
    ] {
        assert_eq!(
            plain(raw.as_bytes()).map(|text| String::from_utf8(text).unwrap()).as_deref(),
            wish,
            "{raw}"
        );
    }
}

/// Text that is JSON, or nearly.
fn nearly_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<f64>()
            .prop_filter("numbers", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        "[-+0-9.eE\"\\\\u]{0,6}",
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = any::<String>().prop_map(|key| serde_json::Value::from(key).to_string());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((key, inner), 0..4).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("{key} : {value}")).collect();
                format!("{{ {} }}", members.join(" ,\n"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_takes_for_json_is_json_here_and_nothing_else(text in nearly_json()) {
        let known = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        match check(text.as_bytes(), Bounds::default()) {
            Err(Refused::TooDeep | Refused::TooWide | Refused::Number) => {}
            checked => prop_assert_eq!(checked.is_ok(), known, "{}", text),
        }
    }

    #[test]
    fn every_value_is_found_where_serde_finds_it(text in nearly_json()) {
        let (Ok(known), Ok(document)) = (
            serde_json::from_str::<serde_json::Value>(&text),
            Document::new(Bytes::copy_from_slice(text.as_bytes()), Bounds::default()),
        ) else { return Ok(()) };
        let Some(object) = known.as_object() else { return Ok(()) };
        for (key, value) in object {
            match document.find(&[key]) {
                Ok(found) => {
                    let found: serde_json::Value = serde_json::from_slice(found.unwrap()).unwrap();
                    prop_assert_eq!(&found, value);
                }
                Err(refused) => prop_assert_eq!(refused, Refused::Ambiguous),
            }
        }
    }
}
