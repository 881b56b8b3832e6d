//! The arena of fields against a plain list of pairs, and the names.

use http1::{FieldId, Fields, Name, NameBuf, Prepared, names};
use proptest::collection::vec;
use proptest::prelude::*;

type Model = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    Push(&'static str, Vec<u8>),
    PushParts(&'static str, Vec<Vec<u8>>),
    /// Of these lines all but the first.
    Append(Vec<(&'static str, Vec<u8>)>),
    AppendWith(Vec<(&'static str, Vec<u8>)>, Vec<Vec<u8>>),
    Set(&'static str, Vec<u8>),
    Remove(&'static str),
    RetainShorter(usize),
    Clear,
}

const NAMES: [&str; 7] = ["Host", "HOST", "X-A", "x-a", "X-B", "Content-Length", "cookie"];

fn step() -> impl Strategy<Value = Step> {
    let name = prop::sample::select(&NAMES[..]);
    let value = || vec(any::<u8>(), 0..20);
    prop_oneof![
        6 => (name.clone(), value()).prop_map(|(name, value)| Step::Push(name, value)),
        2 => (name.clone(), vec(value(), 0..4)).prop_map(|(name, parts)| Step::PushParts(name, parts)),
        2 => vec((name.clone(), value()), 0..4).prop_map(Step::Append),
        2 => (vec((name.clone(), value()), 0..4), vec(value(), 0..4))
            .prop_map(|(lines, parts)| Step::AppendWith(lines, parts)),
        2 => (name.clone(), value()).prop_map(|(name, value)| Step::Set(name, value)),
        2 => name.prop_map(Step::Remove),
        1 => (0_usize..20).prop_map(Step::RetainShorter),
        1 => Just(Step::Clear),
    ]
}

/// What a pushed value becomes, said in the plainest way.
fn cleaned(value: &[u8]) -> Vec<u8> {
    let allowed = |byte: u8| byte == b'\t' || (0x20..0x7f).contains(&byte) || byte >= 0x80;
    let spaced: Vec<u8> = value.iter().map(|&byte| if allowed(byte) { byte } else { b' ' }).collect();
    let ows = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = spaced.iter().position(|byte| !ows(byte)).unwrap_or(spaced.len());
    let end = spaced.iter().rposition(|byte| !ows(byte)).map_or(start, |at| at + 1);
    spaced[start..end].to_vec()
}

fn apply(step: Step, fields: &mut Fields, model: &mut Model) {
    let named = |text: &'static str| Name::new(text.as_bytes()).unwrap();
    let bears = |pair: &(Vec<u8>, Vec<u8>), name: &str| pair.0.eq_ignore_ascii_case(name.as_bytes());
    match step {
        Step::Push(name, value) => {
            fields.push(named(name), &value);
            model.push((name.into(), cleaned(&value)));
        }
        Step::PushParts(name, parts) => {
            fields.push_parts(named(name), &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            model.push((name.into(), cleaned(&parts.concat())));
        }
        Step::Append(lines) => {
            let mut others = Fields::new();
            lines.iter().for_each(|(name, value)| others.push(named(name), value));
            let mut nth = 0;
            others.retain(|_| {
                nth += 1;
                nth > 1
            });
            fields.append(&Prepared::from(&others));
            model.extend(lines.iter().skip(1).map(|(name, value)| ((*name).into(), cleaned(value))));
        }
        Step::AppendWith(lines, parts) => {
            let mut others = Fields::new();
            lines.iter().for_each(|(name, value)| others.push(named(name), value));
            let others = Prepared::from(&others);
            fields.append_with(&others, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            model.extend(lines.iter().map(|(name, value)| ((*name).into(), cleaned(value))));
            if let Some((_, value)) = model.last_mut().filter(|_| !lines.is_empty()) {
                value.extend(parts.concat());
                *value = cleaned(value);
            }
        }
        Step::Set(name, value) => {
            fields.set(named(name), &value);
            model.retain(|pair| !bears(pair, name));
            model.push((name.into(), cleaned(&value)));
        }
        Step::Remove(name) => {
            let before = model.len();
            model.retain(|pair| !bears(pair, name));
            assert_eq!(fields.remove(named(name)), before - model.len());
        }
        Step::RetainShorter(length) => {
            fields.retain(|field| field.value.len() < length);
            model.retain(|pair| pair.1.len() < length);
        }
        Step::Clear => {
            fields.clear();
            model.clear();
        }
    }
}

proptest! {
    #[test]
    fn fields_behave_as_a_list_of_pairs(steps in vec(step(), 0..40)) {
        let (mut fields, mut model) = (Fields::new(), Model::new());
        for step in steps {
            apply(step, &mut fields, &mut model);
            let seen: Model = fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(fields.len(), model.len());
            prop_assert_eq!(fields.is_empty(), model.is_empty());
            for name in NAMES {
                let key = Name::new(name.as_bytes()).unwrap();
                let expected: Vec<_> =
                    model.iter().filter(|pair| pair.0.eq_ignore_ascii_case(name.as_bytes())).map(|pair| &pair.1[..]).collect();
                prop_assert_eq!(fields.get(key), expected.first().copied());
                prop_assert_eq!(fields.contains(key), !expected.is_empty());
                prop_assert_eq!(fields.get_all(key).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn a_name_is_a_token(text in vec(any::<u8>(), 0..12)) {
        let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let token = !text.is_empty() && text.iter().all(tchar);
        prop_assert_eq!(Name::new(&text).is_ok(), token);
    }
}

#[test]
fn a_well_known_name_is_found_in_any_case() {
    for name in [
        names::HOST,
        names::CONTENT_LENGTH,
        names::TRANSFER_ENCODING,
        names::ETAG,
        names::TE,
        names::X_REQUEST_ID,
    ] {
        let text = String::from_utf8(name.text().to_vec()).unwrap();
        for spelling in [text.clone(), text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
            let found = NameBuf::new(&spelling).unwrap();
            assert_eq!(found.as_name().id(), name.id());
            assert_eq!(found.as_name(), name);
            assert_eq!(found.as_name().text(), spelling.as_bytes());
        }
    }
    for text in ["Hos", "Hostt", "H0st", "X-Own", "Content_Length", "@"] {
        assert!(Name::new(text.as_bytes()).is_ok_and(|name| name.id() == FieldId::Other) || text == "@");
    }
    assert!(Name::new(b"Ho\xf3t").is_err());
    assert_ne!(Name::new(b"X-Own").unwrap(), Name::new(b"X-Owl").unwrap());
    assert_eq!(Name::new(b"X-Own").unwrap(), Name::new(b"x-OWN").unwrap());
    assert!(Name::new(&b"x".repeat(65_536)).is_err());
}

#[test]
fn a_pushed_value_cannot_start_a_line() {
    let mut fields = Fields::new();
    fields.push(names::LOCATION, b"/a\r\nSet-Cookie: x=1\r\n\r\n<html>");
    assert_eq!(fields.get(names::LOCATION), Some(&b"/a  Set-Cookie: x=1    <html>"[..]));
}

#[test]
fn credentials_are_not_shown_in_debug() {
    let mut fields = Fields::new();
    fields.push(names::AUTHORIZATION, b"Bearer s3cret");
    fields.push(names::ACCEPT, b"*/*");
    let shown = format!("{fields:?}");
    assert!(shown.contains("*/*") && shown.contains("***") && !shown.contains("s3cret"), "{shown}");
}
