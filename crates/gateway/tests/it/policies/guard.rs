//! `guard` on the wire: who behaves abnormally is slowed down, challenged or kept out, and nobody else is.

mod code;

use std::process::Command;

use aws_lc_rs::{digest, hmac};
use testkit::client::{Raw, Response, request};
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use crate::browser::parameter;
use crate::setup::tidegate;

const KEY: &str = "tg_live_4XvW8pQm2LrT6yZb9NcF3hJk7DgSaE5u";

/// A gateway that believes what is said of addresses, with these lines at its top and this guard for all routes.
fn gateway(origin: &Origin, top: &str, guard: &str, routes: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\ntrusted_proxies: [127.0.0.0/8]\nworkers: 2\n{top}\n\
         services: {{ app: \"{}\" }}\ndefaults: {{ guard: {guard} }}\nroutes:\n{routes}\n",
        origin.url()
    )
}

/// All levels from a score that little errors reach.
fn levels(highest: &str) -> String {
    format!(
        "{{ highest: {highest}, calm: 1/s, learns: 0s, challenge: {{ difficulty: 8 }}, levels: {{ watch: {{ at: 2 }}, \
         slow: {{ at: 3, delay: 1ms }}, limit: {{ at: 4, rate: 1/hour }}, challenge: {{ at: 5 }}, block: {{ at: 6 }} }} }}"
    )
}

fn from(gateway: &Gateway, address: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    let mut all = vec![("X-Forwarded-For", address)];
    all.extend_from_slice(fields);
    request(gateway.addr(), "GET", path, &all, b"")
}

/// Many requests at once.
fn flood(gateway: &Gateway, address: &str) {
    let mut client = Raw::connect(gateway.addr());
    for _ in 0..300 {
        client.request("GET", "/a", &[("X-Forwarded-For", address)], b"");
        client.read_response();
    }
}

/// What the admin address tells of a client.
fn told(gateway: &Gateway, client: &str) -> Option<serde_json::Value> {
    let told = gateway.admin("/api/v1/guard").json();
    told["clients"].as_array().unwrap().iter().find(|one| one["client"] == client).cloned()
}

fn wait_for_level(gateway: &Gateway, client: &str, level: &str) -> serde_json::Value {
    eventually(&format!("{client} on {level}"), || told(gateway, client).filter(|one| one["level"] == level))
}

#[test]
fn a_flood_is_kept_out_with_its_numbers_and_let_in_again_by_one_call() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "", &levels("block"), "  /*: { to: app }");
    assert_eq!(from(&gateway, "203.0.113.9", "/", &[]).status, 200);
    flood(&gateway, "203.0.113.7");
    let client = wait_for_level(&gateway, "203.0.113.7", "block");
    assert_eq!((&client["kind"], &client["reasons"][0]["what"]), (&"address".into(), &"rate".into()));
    let refused = from(&gateway, "203.0.113.7", "/a", &[]);
    assert_eq!((refused.status, refused.header("Retry-After")), (403, Some("1800")));
    let kind = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
    assert_eq!(refused.json()["type"], kind);
    let line = gateway.wait_for_log(|line| line["reason"] == "guard_block");
    let why = line["why"].as_str().unwrap();
    assert!(
        why.starts_with("guard: block, score ") && why.contains("rate ") && why.contains("(usual 1)"),
        "{why}"
    );
    assert_eq!(from(&gateway, "203.0.113.9", "/", &[]).status, 200, "a neighbour");
    let admin = gateway.admin_addr().to_string();
    let run = |words: &[&str]| tidegate(gateway.folder(), &[words, &["--admin", &admin]].concat());
    assert!(run(&["guard"]).stdout.contains("block"), "{}", run(&["guard"]).stdout);
    let forgiven = run(&["guard", "forgive", "203.0.113.7", "--for", "2h"]);
    assert_eq!(forgiven.stdout, "forgiven: 203.0.113.7, left alone for 7200 s\n", "{}", forgiven.stderr);
    assert_eq!(from(&gateway, "203.0.113.7", "/a", &[]).status, 200);
    assert_eq!(run(&["guard", "forgive", "203.0.113.99"]).code, Some(1));
    assert!(gateway.metric("tidegate_guard_blocked_requests_total") >= 1.0);
}

#[test]
fn in_shadow_nothing_happens_and_all_of_it_is_told() {
    let origin = Origin::start();
    let guard = levels("block").replace("{ highest", "{ mode: shadow, highest");
    let gateway = gateway(&origin, "", &guard, "  /*: { to: app }");
    flood(&gateway, "203.0.113.7");
    wait_for_level(&gateway, "203.0.113.7", "block");
    assert_eq!(from(&gateway, "203.0.113.7", "/a", &[]).status, 200);
    let line = gateway.wait_for_log(|line| line["shadowed"].as_array().is_some_and(|all| !all.is_empty()));
    assert!(line.to_string().contains("guard_block"), "{line}");
    assert_eq!(gateway.admin("/api/v1/guard").json()["watches"][0]["mode"], "shadow");
}

#[test]
fn who_guesses_keys_learns_nothing_and_a_crowd_is_not_punished_for_one() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let made = tidegate(folder.path(), &["key", "new", "--json"]).json();
    let (key, hash) = (made["key"].as_str().unwrap(), made["hash"].as_str().unwrap());
    let top = format!("consumers: {{ batch: {{ api_keys: \"{hash}\" }} }}");
    let gateway = gateway(&origin, &top, "{}", "  /*: { to: app, api_key: {} }\n  /open/*: { to: app }");
    // A flood without a credential: the consumer behind the same address is another client.
    let unpunished = "203.0.113.1";
    let guesser = "203.0.113.2";
    for nth in 0..40 {
        let guess = format!("{KEY}{nth}");
        assert!(matches!(from(&gateway, guesser, "/x", &[("X-API-Key", &guess)]).status, 401 | 403 | 429));
        from(&gateway, unpunished, "/nothing", &[]);
    }
    let client = eventually("the guesser on a high level", || {
        let guess = format!("{KEY}-{}", origin.requests().len());
        from(&gateway, guesser, "/x", &[("X-API-Key", &guess)]);
        told(&gateway, guesser).filter(|one| one["level"] == "block")
    });
    assert!(client["reasons"].to_string().contains("credentials"), "{client}");
    let wrong = from(&gateway, guesser, "/x", &[("X-API-Key", KEY)]);
    let right = from(&gateway, guesser, "/x", &[("X-API-Key", key)]);
    let said =
        |answer: &Response| (answer.status, answer.json()["type"].clone(), answer.json()["detail"].clone());
    assert_eq!(said(&wrong), said(&right), "a guess that is right looks like one that is wrong");
    assert_eq!(wrong.status, 403);
    // No credential at all is one that is missing, again and again the same.
    assert_ne!(told(&gateway, unpunished).map(|one| one["level"].clone()), Some("block".into()));
    assert_eq!(from(&gateway, unpunished, "/x", &[("X-API-Key", key)]).status, 200);
}

#[test]
fn paths_that_no_route_takes_are_watched_too() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "", "{ levels: { block: { at: 80 } } }", "  /only: { to: app }");
    for nth in 0..60 {
        assert_eq!(from(&gateway, "203.0.113.7", &format!("/admin{nth}.php"), &[]).status, 404);
    }
    let client = wait_for_level(&gateway, "203.0.113.7", "block");
    assert_eq!(client["reasons"][0]["what"], "errors");
    assert_eq!(from(&gateway, "203.0.113.7", "/only", &[]).status, 403);
}

#[test]
fn trusted_addresses_are_not_watched() {
    let origin = Origin::answering(|_| Reply::status(404));
    let gateway = gateway(&origin, "", "{ trusted: [203.0.113.0/24] }", "  /*: { to: app }");
    for nth in 0..60 {
        from(&gateway, "203.0.113.7", &format!("/{nth}"), &[]);
        from(&gateway, "203.0.114.7", &format!("/{nth}"), &[]);
    }
    eventually("the other one", || told(&gateway, "203.0.114.7"));
    assert_eq!(told(&gateway, "203.0.113.7"), None);
}

/// The number that solves the task of a page.
fn solve(page: &str) -> String {
    let attribute = |name: &str| page.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let (task, bits) = (attribute("data-task"), attribute("data-bits").parse().unwrap());
    let zeros = |text: &str| {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        u32::from_be_bytes(hash.as_ref()[..4].try_into().unwrap()).leading_zeros()
    };
    (0..).map(|number: u32| format!("{task}.{number}")).find(|text| zeros(text) >= bits).unwrap()
}

#[test]
fn a_browser_works_once_and_goes_on_and_its_pass_is_good_for_nobody_else() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "", &levels("challenge"), "  /*: { to: app }");
    let client = "203.0.113.7";
    flood(&gateway, client);
    flood(&gateway, "203.0.113.8");
    wait_for_level(&gateway, client, "challenge");
    wait_for_level(&gateway, "203.0.113.8", "challenge");
    let html = ("Accept", "text/html,*/*;q=0.8");
    let page = from(&gateway, client, "/page?a=1", &[html]);
    assert_eq!((page.status, page.header("Content-Type")), (429, Some("text/html; charset=utf-8")));
    assert!(
        page.header("Content-Security-Policy")
            .unwrap()
            .starts_with("default-src 'none'; script-src 'sha256-")
    );
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    // Whoever shows no pages gets a problem.
    let refused = from(&gateway, client, "/page", &[]);
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("900")));
    assert!(refused.json()["type"].as_str().unwrap().ends_with("#abnormal-usage-detected"));
    let frame = from(&gateway, client, "/a", &[html, ("Sec-Fetch-Mode", "cors")]);
    assert!(frame.status == 429 && !frame.text().contains("data-task"), "{}", frame.text());

    let proof = format!("tidegate_proof={}", solve(&page.text()));
    assert_eq!(from(&gateway, "203.0.113.8", "/page", &[html, ("Cookie", &proof)]).status, 429);
    let met = from(&gateway, client, "/page?a=1", &[html, ("Cookie", &proof)]);
    assert_eq!((met.status, met.header("Location")), (303, Some("/page?a=1")));
    let cookies = met.headers_named("Set-Cookie");
    let pass = cookies.iter().find(|line| line.starts_with("tidegate_pass=")).unwrap();
    assert!(pass.contains("HttpOnly; SameSite=Lax"), "{pass}");
    let pass = pass.split(';').next().unwrap();
    assert_eq!(from(&gateway, client, "/page?a=1", &[("Cookie", pass)]).status, 200);
    assert_eq!(from(&gateway, "203.0.113.8", "/page", &[("Cookie", pass)]).status, 429);
}

#[test]
fn the_operators_own_verification_lets_a_browser_go_on() {
    let origin = Origin::start();
    let secret = "of at least thirty-two letters, by chance";
    let guard = levels("challenge").replace(
        "difficulty: 8",
        &format!("url: \"https://verify.example/check?x=1\", secret: \"{secret}\""),
    );
    let gateway = gateway(&origin, "", &guard, "  /*: { to: app }");
    let client = "203.0.113.7";
    flood(&gateway, client);
    wait_for_level(&gateway, client, "challenge");
    let html = ("Accept", "text/html");
    let sent = from(&gateway, client, "/page?a=1", &[html]);
    let to = sent.header("Location").unwrap();
    assert!(sent.status == 303 && to.starts_with("https://verify.example/check?x=1&token="), "{to}");
    assert!(parameter(to, "return").unwrap().ends_with("%2Fpage%3Fa%3D1"), "{to}");
    let token = parameter(to, "token").unwrap();
    let sealed = |secret: &str| -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), token.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let back = |client: &str, seal: &str| {
        from(&gateway, client, &format!("/page?a=1&tidegate_verified={token}.{seal}"), &[html])
    };
    assert!(
        back(client, &sealed("another secret")).header("Location").unwrap().starts_with("https://verify.")
    );
    let met = back(client, &sealed(secret));
    assert_eq!((met.status, met.header("Location")), (303, Some("/page?a=1")));
    let pass = met.headers_named("Set-Cookie")[0].split(';').next().unwrap().to_owned();
    assert_eq!(from(&gateway, client, "/page?a=1", &[("Cookie", &pass)]).status, 200);
}

/// Needs Chromium, as the tests of the console do.
#[test]
fn chromium_solves_the_task_and_sees_the_page() {
    let origin = Origin::answering(|_| {
        Reply::ok("<title>the shop</title><p>what was asked for</p>").header("Content-Type", "text/html")
    });
    let guard = levels("challenge").replace("difficulty: 8", "difficulty: 12");
    let gateway = gateway(&origin, "", &guard, "  /*: { to: app }");
    flood(&gateway, "127.0.0.1");
    wait_for_level(&gateway, "127.0.0.1", "challenge");
    let profile = tempfile::tempdir().unwrap();
    let chromium = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--virtual-time-budget=30000", "--timeout=60000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{}/page", gateway.addr()))
        .output()
        .expect("Chromium is needed: apt-get install chromium");
    let dom = String::from_utf8_lossy(&chromium.stdout);
    assert!(dom.contains("what was asked for"), "{dom} {}", String::from_utf8_lossy(&chromium.stderr));
}
