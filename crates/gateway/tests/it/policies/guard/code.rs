//! `challenge: { totp: true }`: consumers type a code of their authenticator, once each and not too often, and go on.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use testkit::client::Response;
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

use super::{from, levels, wait_for_level};
use crate::setup::tidegate;

/// `12345678901234567890` in base32, the secret of RFC 6238 appendix B.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HTML: (&str, &str) = ("Accept", "text/html,*/*;q=0.8");

/// The code of that secret now, or so many steps of 30 s away, reckoned here (RFC 6238 section 4).
fn code(steps: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345678901234567890");
    let tag = hmac::sign(&key, &now.checked_add_signed(steps).unwrap().to_be_bytes());
    let tag = tag.as_ref();
    let place = usize::from(tag[19] & 0xf);
    let number = u32::from_be_bytes(tag[place..place + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Codes that are none for minutes to come.
fn wrong_codes() -> impl Iterator<Item = String> {
    let right: Vec<String> = (-3..=10).map(code).collect();
    (0..).map(|nth: u32| format!("{nth:06}")).filter(move |code| !right.contains(code))
}

/// Consumers that send their keys in a cookie: alice has an authenticator, bob has none.
struct Callers {
    gateway: Gateway,
    alice: String,
    bob: String,
    written: String,
}

impl Callers {
    fn start(origin: &Origin) -> Callers {
        let folder = tempfile::tempdir().unwrap();
        let made = || tidegate(folder.path(), &["key", "new", "--json"]).json();
        let text = |made: &serde_json::Value, what: &str| made[what].as_str().unwrap().to_owned();
        let (alice, bob) = (made(), made());
        let guard = levels("challenge").replace("difficulty: 8", "difficulty: 8, totp: true");
        let written = format!(
            "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\ntrusted_proxies: [127.0.0.0/8]\nworkers: 2\n\
             consumers:\n  alice: {{ api_keys: \"{}\", totp: {SECRET} }}\n  bob: {{ api_keys: \"{}\" }}\n\
             services: {{ app: \"{}\" }}\ndefaults: {{ guard: {guard} }}\nroutes:\n  \
             /version: {{ respond: one }}\n  /open/*: {{ to: app }}\n  /*: {{ to: app, api_key: {{ cookie: key }} }}\n",
            text(&alice, "hash"),
            text(&bob, "hash"),
            origin.url()
        );
        let gateway = testkit::gateway!("{written}");
        Callers { gateway, alice: text(&alice, "key"), bob: text(&bob, "key"), written }
    }

    /// Asks for what is not there until the consumer is challenged.
    fn wear_out(&self, name: &str, key: &str, address: &str) {
        for nth in 0..60 {
            from(&self.gateway, address, &format!("/missing/{nth}"), &[("Cookie", &format!("key={key}"))]);
        }
        wait_for_level(&self.gateway, name, "challenge");
    }

    /// A page, as a browser with these cookies goes to it.
    fn page(&self, address: &str, cookies: &str) -> Response {
        from(&self.gateway, address, "/page?a=1", &[HTML, ("Cookie", cookies)])
    }
}

fn origin() -> Origin {
    Origin::answering(|request| {
        if request.target.starts_with("/missing") { Reply::status(404) } else { Reply::ok("the page") }
    })
}

/// The value of a cookie that an answer sets, with its name.
fn cookie(answer: &Response, name: &str) -> String {
    let lines = answer.headers_named("Set-Cookie");
    let line = lines.iter().find(|line| line.starts_with(&format!("{name}="))).unwrap();
    line.split(';').next().unwrap().to_owned()
}

#[test]
fn a_consumer_types_a_code_once_and_goes_on_and_others_get_the_task() {
    let origin = origin();
    let callers = Callers::start(&origin);
    let (home, key) = ("203.0.113.7", format!("key={}", callers.alice));
    callers.wear_out("alice", &callers.alice, home);
    callers.wear_out("bob", &callers.bob, "203.0.113.8");

    let page = callers.page(home, &key);
    assert_eq!((page.status, page.header("Cache-Control")), (429, Some("no-store")));
    assert!(page.text().contains("authenticator") && !page.text().contains("data-task"), "{}", page.text());
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    // Whoever shows no pages gets a problem, and a code that comes along with that is not looked at.
    let now = code(0);
    let plain = from(&callers.gateway, home, "/page", &[("Cookie", &format!("{key}; tidegate_code={now}"))]);
    assert!(
        plain.status == 429 && plain.json()["type"].as_str().unwrap().ends_with("#abnormal-usage-detected")
    );

    let wrong = callers.page(home, &format!("{key}; tidegate_code={}", wrong_codes().next().unwrap()));
    assert!(wrong.status == 429 && wrong.text().contains("not the right one"), "{}", wrong.text());
    assert_eq!(cookie(&wrong, "tidegate_code"), "tidegate_code=");
    callers.gateway.wait_for_log(|line| line["reason"] == "guard_code_wrong");

    let met = callers.page(home, &format!("{key}; tidegate_code={now}"));
    assert_eq!((met.status, met.header("Location")), (303, Some("/page?a=1")));
    let pass = cookie(&met, "tidegate_code_pass");
    assert_eq!(callers.page(home, &format!("{key}; {pass}")).text(), "the page");
    // The pass is good nowhere else, for nobody else, and the code not once more.
    assert_eq!(callers.page("203.0.113.9", &format!("{key}; {pass}")).status, 429);
    assert_eq!(callers.page(home, &format!("key={}; {pass}", callers.bob)).status, 429);
    let again = callers.page(home, &format!("{key}; tidegate_code={now}"));
    assert!(again.status == 429 && again.text().contains("used before"), "{}", again.text());
    assert_eq!(callers.gateway.metric("tidegate_guard_wrong_codes_total"), 2.0);
    assert_eq!(callers.gateway.metric("tidegate_guard_met_total"), 1.0);

    // Who has no authenticator works, and no code of another is of use to him.
    let task = callers.page("203.0.113.8", &format!("key={}; tidegate_code={}", callers.bob, code(1)));
    assert!(task.status == 429 && task.text().contains("data-task"), "{}", task.text());
}

#[test]
fn a_reload_forgets_no_code_and_after_five_wrong_ones_none_is_looked_at() {
    let origin = origin();
    let callers = Callers::start(&origin);
    let (home, key) = ("203.0.113.7", format!("key={}", callers.alice));
    callers.wear_out("alice", &callers.alice, home);
    let typed = |code: &str| callers.page(home, &format!("{key}; tidegate_code={code}"));
    let used = code(0);
    assert_eq!(typed(&used).status, 303);

    callers.gateway.rewrite_config(&callers.written.replace("respond: one", "respond: two"));
    callers.gateway.reload();
    eventually("the reload", || (callers.gateway.get("/version").text() == "two").then_some(()));
    assert!(typed(&used).text().contains("used before"));

    // Each way to be wrong counts, whatever address it comes from: with the one above these are five.
    for wrong in wrong_codes().take(3).chain(["not a code".to_owned()]) {
        let answer = callers.page("203.0.113.9", &format!("{key}; tidegate_code={wrong}"));
        assert!(answer.text().contains("not the right one"), "{wrong}: {}", answer.text());
    }
    // One that would be right: of the next step, since this one's is used.
    let late = typed(&code(1));
    assert!(late.status == 429 && late.text().contains("Too many codes"), "{}", late.text());
    let wait: u64 = late.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    assert_eq!(callers.gateway.metric("tidegate_guard_met_total"), 1.0);
}

/// A page of the same origin that opens the other and types into it, with the key and the code behind its `#`.
const TYPIST: &str = "<p>waiting</p><script>
const [key, code] = location.hash.slice(1).split(':');
document.cookie = 'key=' + key + '; path=/';
const shop = open('/page');
setInterval(() => {
  const form = shop.document && shop.document.getElementById('form');
  if (form && !form.typed) { form.typed = true; form.code.value = code; form.requestSubmit(); }
  if (shop.document && shop.document.title === 'the shop') document.body.textContent = 'what was asked for';
}, 50);
</script>";

/// Needs Chromium, as the tests of the console do.
#[test]
fn chromium_types_the_code_and_sees_the_page() {
    let origin = Origin::answering(|request| {
        let html = |page: &str| Reply::ok(page).header("Content-Type", "text/html");
        match request.target.as_str() {
            target if target.starts_with("/missing") => Reply::status(404),
            "/open/typist" => html(TYPIST),
            _ => html("<title>the shop</title>"),
        }
    });
    let callers = Callers::start(&origin);
    callers.wear_out("alice", &callers.alice, "127.0.0.1");
    let profile = tempfile::tempdir().unwrap();
    let chromium = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-popup-blocking", "--virtual-time-budget=30000", "--timeout=60000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{}/open/typist#{}:{}", callers.gateway.addr(), callers.alice, code(0)))
        .output()
        .expect("Chromium is needed: apt-get install chromium");
    let dom = String::from_utf8_lossy(&chromium.stdout);
    assert!(dom.contains("<body>what was asked for"), "{dom} {}", String::from_utf8_lossy(&chromium.stderr));
    assert_eq!(callers.gateway.metric("tidegate_guard_met_total"), 1.0);
}
