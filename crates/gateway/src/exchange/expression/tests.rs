//! Tables of expressions: what holds, what cannot be told, and what is refused before it runs.

use std::rc::Rc;
use std::time::Duration;

use http1::Name;
use serde_json::{Value, json};

use super::*;
use crate::exchange::Identity;

fn exchange() -> Exchange {
    let mut exchange = Exchange::default();
    exchange.request.set_method(b"POST").unwrap();
    for (name, value) in [
        ("Host", &b"h"[..]),
        ("X-Tenant", b"acme"),
        ("X-Twice", b"a"),
        ("x-twice", b"a"),
        ("X-Odd", b"\xff"),
        ("X-Long", &[b'x'; MOST_TEXT + 1]),
        ("X-N", b"7"),
    ] {
        exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value);
    }
    exchange.path = b"/orders/1".to_vec();
    exchange.query = b"a=1&b=%41+c&t=1&%74=2".to_vec();
    exchange.host = b"shop.example".to_vec();
    exchange.client.ip = "10.1.2.3".parse().unwrap();
    // 2027-01-02, a Saturday, 23:30 UTC.
    exchange.record.started_at = std::time::UNIX_EPOCH + Duration::from_secs(1_798_932_600);
    let Value::Object(claims) = json!({
        "sub": "u1", "tenant": "acme", "n": 7, "f": 1.5, "yes": true, "list": ["a", "b"], "realm": { "roles": ["x"] },
        "https://shop.example/role": "admin", "nothing": null,
        "long": (0..=MOST_ITEMS).collect::<Vec<_>>(),
    }) else {
        unreachable!()
    };
    exchange.identity = Some(Rc::new(Identity {
        consumer: Some("mobile".into()),
        subject: Some("u1".into()),
        groups: ["gold".into(), "eu-west".into()].into(),
        scopes: ["read".into()].into(),
        claims,
        ..Identity::new("jwt")
    }));
    exchange
}

#[test]
fn what_holds_and_what_cannot_be_told() {
    let absent = "the expression reads something that is not there";
    for (text, wish) in [
        ("true", Ok(true)),
        ("request.method == 'POST' && request.path.startsWith('/orders/')", Ok(true)),
        ("request.method in ['GET', 'HEAD']", Ok(false)),
        ("request.host.endsWith('.example') && request.scheme == 'http'", Ok(true)),
        ("claims.tenant == request.headers['x-tenant']", Ok(true)),
        ("request.headers['X-TENANT'] != 'acme'", Ok(false)),
        ("'x-tenant' in request.headers && !('x-none' in request.headers)", Ok(true)),
        ("int(request.headers['x-n']) > 6", Ok(true)),
        ("request.query.a == '1' && request.query['b'] == 'A c'", Ok(true)),
        ("'z' in request.query", Ok(false)),
        ("client.address.startsWith('10.')", Ok(true)),
        ("authenticated && consumer == 'mobile' && subject == 'u1'", Ok(true)),
        ("'gold' in groups && groups.exists(g, g.startsWith('eu-'))", Ok(true)),
        ("groups.all(g, g.size() > 4) || roles.size() > 0", Ok(false)),
        ("groups.filter(g, g != 'gold').size() == 1", Ok(true)),
        ("groups.map(g, g + '!') == ['gold!', 'eu-west!']", Ok(true)),
        ("scopes.exists_one(s, s == 'read')", Ok(true)),
        ("claims.n > 6 && claims.n * 2 == 14 && claims.f < 2.0", Ok(true)),
        ("claims.yes ? claims.n == 7 : false", Ok(true)),
        ("claims.realm.roles[0] == 'x' && 'x' in claims.realm.roles", Ok(true)),
        ("claims['https://shop.example/role'] == 'admin'", Ok(true)),
        ("has(claims.tenant) && !has(claims.other)", Ok(true)),
        ("claims.nothing == null", Ok(true)),
        ("claims.list.exists(i, groups.exists(g, g == i))", Ok(false)),
        ("time.hour >= 22 || time.hour < 6", Ok(true)),
        ("time.weekday in ['sat', 'sun'] && time.minute == 30 && time.unix > 1700000000", Ok(true)),
        ("request.path.matches('^/orders/[0-9]+$')", Ok(true)),
        ("subject.matches('^u[2-9]$')", Ok(false)),
        // Absorbed: the other side decides whatever the odd one would say.
        ("claims.other == 1 || true", Ok(true)),
        ("claims.other == 1", Err(absent)),
        ("request.headers['x-none'] == 'a'", Err(absent)),
        ("request.headers['x-twice'] == 'a'", Err("the expression reads a header that is there twice")),
        ("request.headers['x-odd'] == 'a'", Err("the expression reads what is no text")),
        ("request.headers['x-long'] == 'a'", Err("the expression reads a text that is too long")),
        ("request.query.t == '1'", Err("the expression reads a parameter that is there twice")),
        ("claims.tenant > 1", Err("the expression meets a value of another type")),
        ("claims.tenant", Err("the expression is neither true nor false")),
        ("claims.n / 0 == 1", Err("the expression divides by zero")),
        ("claims.n * 9223372036854775807 == 1", Err("a number in the expression grows too large")),
        ("groups[7] == 'a'", Err("the expression reads beyond the end of a list")),
        ("claims.long[0] == 0", Err("the expression reads a list that is too long")),
    ] {
        let expression: Expression = text.parse().unwrap_or_else(|odd| panic!("{text}: {odd}"));
        let told = expression.holds(&exchange());
        assert_eq!(told.as_ref().map_err(|why| &**why).copied(), wish, "{text}");
        assert_eq!(expression.to_string(), text);
    }
}

#[test]
fn nobody_has_no_groups_and_no_claims() {
    for (text, wish) in [
        ("authenticated", Ok(false)),
        ("consumer == '' && subject == '' && groups.size() == 0", Ok(true)),
        ("has(claims.sub)", Ok(false)),
        ("claims.sub == 'u1'", Err(())),
    ] {
        let mut nobody = exchange();
        nobody.identity = None;
        let expression: Expression = text.parse().unwrap();
        assert_eq!(expression.holds(&nobody).map_err(|_| ()), wish, "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_before_it_runs() {
    for (text, told) in [
        ("reqest.path == 'a'", "an expression knows no `reqest`, at character 1: did you mean `request`?"),
        (
            "true && request.pth == 'a'",
            "`request` has no `pth`, at character 16: did you mean `request.path`?",
        ),
        ("request == 'a'", "`request` is no value, at character 1"),
        ("size(request.headers) > 1", "`request.headers` is no value"),
        ("request.headers[consumer] == 'a'", "what is read of `request.headers` is not known beforehand"),
        ("claims[subject] == 'a'", "what is read of `claims` is not known beforehand"),
        ("consumer", "the expression is a text, at character 1: write a comparison"),
        ("time.hour + 1", "the expression is a number"),
        ("consumer == 7", "`==` cannot take a text and a number"),
        ("consumer && true", "`&&` cannot take a text and true or false"),
        ("groups == 'gold'", "`==` cannot take a list and a text"),
        ("'a' in consumer", "`in` cannot take a text and a text"),
        ("groups.gold", "a list has no `gold`"),
        ("consumer.startswith('a')", "an expression knows no function `startswith`"),
        ("consumer.startsWith(7)", "`startsWith` cannot take a text and a number"),
        ("timestamp('2027-01-01T00:00:00Z') > time.unix", "an expression knows no function `timestamp`"),
        ("consumer.matches('[')", "`[` is not a pattern"),
        ("consumer.matches('a{1000}{1000}')", "is not a pattern, or too large a one"),
        ("consumer.matches(subject)", "the pattern of `matches` is not known beforehand"),
        ("groups.exists(g, roles.exists(r, scopes.exists(s, s == g)))", "steps, more than 200000"),
        ("consumer == ", "is not an expression"),
        ("consumer == 'a", "is not an expression"),
        ("", "is not an expression"),
        ("Foo{a: 1} == Foo{a: 1}", "an expression has no types of its own here"),
    ] {
        let odd = text.parse::<Expression>().expect_err(text).to_string();
        assert!(odd.contains(told), "{text}: {odd}");
    }
}

#[test]
fn no_text_hangs_or_panics() {
    let long = format!("'{}' == ''", "a".repeat(LONGEST));
    assert!(long.parse::<Expression>().unwrap_err().what.contains("too long"));
    for text in [
        "(".repeat(2000),
        "!".repeat(2000) + "true",
        format!("{}true{}", "(".repeat(500), ")".repeat(500)),
        "[".repeat(1000) + &"]".repeat(1000),
        "a.".repeat(1000) + "a",
        "1+".repeat(900) + "1 == 1",
        "true ? ".repeat(200) + "true" + &" : false".repeat(200),
        "groups.map(a, ".repeat(40) + "1" + &")".repeat(40) + " == []",
        "\u{0}".to_owned(),
        "\u{202e}true".to_owned(),
        "b'\\xff' == b''".to_owned(),
        "-9223372036854775808 == 9223372036854775807 + 1".to_owned(),
    ] {
        if let Ok(expression) = text.parse::<Expression>() {
            _ = expression.holds(&exchange());
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_random_text_panics(text in "[a-z.()\\[\\]'&|=!<>+*/?:, 0-9-]{0,60}") {
        if let Ok(expression) = text.parse::<Expression>() {
            _ = expression.holds(&exchange());
        }
    }
}
