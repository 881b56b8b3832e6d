//! Templates by tables: what they make, what is refused when they are read, and what they may not grow to.

use bytes::Bytes;

use super::super::document::Document;
use super::*;

const USER: &str = r#"{"id": 12345678901234567890123, "name": "Ada \"A\"", "none": null, "open": true, "total": 3.10,
    "long": 0.1234567890123456789, "tags": ["a", "b<"], "twice": 1, "twice": 2, "kids": [{"n": 2}, {"n": 1}]}"#;

fn compiled(text: &str, kind: &str) -> Result<Template, Vec<Flaw>> {
    Template::new(text, kind, &["user", "pay"]).map(|(template, _)| template)
}

fn made_of(body: &str, text: &str, kind: &str) -> Result<String, String> {
    let template = compiled(text, kind).map_err(|flaws| format!("{flaws:?}"))?;
    let body = Bytes::copy_from_slice(body.as_bytes());
    let document = Document::new(body.clone(), Bounds::default()).unwrap();
    let got = Got { status: 201, body, document: Some(document) };
    let known = vec![(vec!["query".to_owned(), "q".to_owned()], "<x>".to_owned())];
    let stop = Arc::new(AtomicBool::new(false));
    let made = template.text(known, vec![("user".into(), got)], &stop);
    made.map(|made| String::from_utf8(made).unwrap()).map_err(|unmade| unmade.why)
}

fn made(text: &str) -> Result<String, String> {
    made_of(USER, text, "text/plain")
}

#[test]
fn values_are_what_the_services_said() {
    for (text, wanted) in [
        (
            "{{ user.status }} {{ user.body.id }} {{ user.body.name }}",
            "201 12345678901234567890123 Ada \"A\"",
        ),
        ("{{ user.body.open }}{{ not user.body.open }}{{ user.body.total }}", "truefalse3.1"),
        // Missing, null, and a part that is not there, are nothing.
        ("[{{ user.body.none }}{{ user.body.no.thing }}{{ pay.body.x }}{{ query.none }}]", "[]"),
        ("{% if pay %}paid{% else %}open{% endif %} {{ pay.body.cents | default(0) }}", "open 0"),
        ("{% for tag in user.body.tags %}{{ loop.index }}{{ tag }};{% endfor %}", "1a;2b<;"),
        (
            "{{ user.body.tags }} {{ user.body.tags | tojson }} {{ user.body.tags[1] | e }}",
            r#"["a", "b\u003c"] ["a", "b\u003c"] b&lt;"#,
        ),
        ("{{ user.body.long }} {{ user.body.long | tojson }}", "0.1234567890123456789 0.1234567890123456789"),
        ("{% for k in user.body.kids | sort(attribute='n') %}{{ k.n }}{% endfor %}", "12"),
        ("{{ user.body.kids | map(attribute='n') | join(', ') }} {{ user.body.kids | length }}", "2, 1 2"),
        ("{{ user.body.kids | selectattr('n', 'gt', 1) | length }} {{ 'x' in user.body }}", "1 false"),
        ("{% for name, value in user.body.kids[0] | items %}{{ name }}={{ value }}{% endfor %}", "n=2"),
        ("{{ user.body.total|float * 2 + 1 }} {{ query.q }} {{ query['q'] | e }}", "7.2 <x> &lt;x&gt;"),
        ("{% set name = user.body.name %}{{ name | replace('Ada', 'A') | upper }}", "A \"A\""),
        ("{{ user.body.none | tojson }} {{ [1, user.body.name] | tojson }}", r#"null [1, "Ada \"A\""]"#),
        ("{% raw %}{{ as it is }}{% endraw %}{# not told #}", "{{ as it is }}"),
    ] {
        assert_eq!(made(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn json_is_json_and_no_text_leaves_its_quotes() {
    let json = |text| made_of(USER, text, "application/problem+json; charset=utf-8");
    assert_eq!(json(r#"{"n": {{ user.body.name | tojson }}}"#).as_deref(), Ok(r#"{"n": "Ada \"A\""}"#));
    for (text, wanted) in [
        (r#"{"n": {{ user.body.open }} "#, "what the template makes is no JSON: not_json"),
        ("", "what the template makes is no JSON: not_json"),
        ("{{ 10.0 ** 300 }}", "what the template makes is no JSON: number_too_long"),
        (
            "\n{\"n\": \"{{ user.body.name }}\"}",
            "template, line 2: a text with quotes stands in JSON as it is: write `tojson` behind it",
        ),
    ] {
        assert_eq!(json(text), Err(wanted.to_owned()), "{text}");
    }
    // It would be JSON, and say more than was meant.
    let forged =
        made_of(r#"{"n": "x\",\"admin\":\"yes"}"#, r#"{"n":"{{ user.body.n }}"}"#, "application/json");
    assert!(forged.unwrap_err().contains("`tojson`"));
    let backslash = made_of(r#"{"n": "\\"}"#, r#"["{{ user.body.n }}"]"#, "application/json");
    assert!(backslash.unwrap_err().contains("`tojson`"));
}

#[test]
fn what_cannot_be_right_is_refused_when_it_is_read() {
    for (text, line, what) in [
        ("{{ usr.bdy.id }}", 1, "`usr.bdy` is not a known source"),
        ("\n{{ usr }}", 2, "`usr` is not a known source"),
        ("{{ user.bdy }}", 1, "`user.bdy` is nothing of an answer"),
        ("{{ header.x-tenant }}", 1, "`tenant` is not a known source"),
        ("{{ query[user.body.x] }}", 1, "`query` needs a name"),
        ("{% for x in user.body.xs %}{% endfor %}{{ x.y.z }}", 1, "`x.y` is not a known source"),
        ("{{ user.body.id | uper }}", 1, "there is no filter `uper`"),
        ("{{ user.body.xs | map('uper') }}", 1, "there is no filter `uper`"),
        ("{{ user.body.xs | selectattr('n', 'more') }}", 1, "there is no test `more`"),
        ("{% if user.body.id is odder %}{% endif %}", 1, "there is no test `odder`"),
        ("a\nb{{ user.body.id ", 2, "unexpected end of input, expected end of variable block"),
        ("{% include 'other' %}", 1, "unknown statement include"),
        ("{% macro a() %}{% endmacro %}", 1, "unknown statement macro"),
        ("{{ range(9) }}", 1, "nothing can be called"),
        ("{{ user.body.name.upper() }}", 1, "nothing can be called"),
        ("{% set a %}b{% endset %}", 1, "`{% set name %}` is not known here"),
        ("{% filter upper %}b{% endfilter %}", 1, "`{% filter %}` is not known here"),
        ("{% for x in user.body.xs recursive %}{% endfor %}", 1, "a loop cannot be `recursive`"),
        ("{{ 'x' * user.body.id }}", 1, "`*` stands beside what may be no number"),
        ("{{ path }}{{ path.id }}", 1, "`path` and `path.id` cannot both stand in one template"),
    ] {
        let flaws = compiled(text, "text/plain").err().unwrap_or_else(|| panic!("{text} was taken"));
        assert_eq!((flaws[0].line, flaws[0].what.as_str()), (line, what), "{text}");
    }
    let doubled = "{% set a = user.body.name %}".to_owned() + &"{% set a = a ~ a %}".repeat(30);
    let flaws = compiled(&doubled, "text/plain").err().unwrap();
    assert_eq!(flaws[0].what, "`a` would hold more than 64 copies of a value");
    assert!(compiled(&"x".repeat(MOST_TEXT + 1), "text/plain").is_err());
    // Deeper than any stack of a caller goes.
    let deep = format!("{{{{ user.body{} }}}}", ".a".repeat(30_000));
    assert!(compiled(&deep, "text/plain").is_ok());
}

#[test]
fn steps_and_bytes_are_bounded() {
    let list = format!("[{}1]", "1,".repeat(9_999));
    let nested = "{% for a in user.body %}{% for b in user.body %}{% endfor %}{% endfor %}";
    assert_eq!(
        made_of(&list, nested, "text/plain"),
        Err("template: it takes more steps than it may".to_owned())
    );
    let body = format!("{{\"t\": \"{}\", \"xs\": [{}1]}}", "x".repeat(100_000), "1,".repeat(999));
    for text in [
        "{% for a in user.body.xs %}{{ user.body.t }}{% endfor %}",
        "{{ user.body.t | replace('x', user.body.t) }}",
        "{{ user.body.xs | join(user.body.t) }}",
    ] {
        let why = made_of(&body, text, "text/plain").unwrap_err();
        assert!(why.ends_with("it makes more than it may"), "{why}");
    }
    assert!(made("{{ user.body.twice }}").unwrap_err().contains("ambiguous_key"));
}

#[test]
fn a_template_that_nobody_waits_for_ends() {
    let template = compiled("{% for a in user.body %}{{ a }}{% endfor %}", "text/plain").unwrap();
    let body = Bytes::from_static(b"[1]");
    let document = Some(Document::new(body.clone(), Bounds::default()).unwrap());
    let answers = vec![("user".into(), Got { status: 200, body, document })];
    let stop = Arc::new(AtomicBool::new(true));
    let unmade = template.text(Vec::new(), answers, &stop).unwrap_err();
    assert!(unmade.why.contains("longer than it may"), "{unmade:?}");
}
