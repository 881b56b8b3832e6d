//! `oidc` on the wire: people who log in at a real provider of other people's making, what they may and what nobody gets
//! to see, and a provider that is down, hangs or lies.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::client::{Response, request};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{Origin, Reply};
use tidegate::identity::jose::Signer;

use crate::browser::{Browser, parameter};
use crate::issuer::{bearer, now};
use crate::provider::Provider;

const KEY: &str = "CANARY-session-key-of-enough-letters";
const PAGE: [(&str, &str); 1] = [("Accept", "text/html")];

fn text(origin: &Origin, issuer: &str, keys: &str, more: &str) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
trusted_proxies: [127.0.0.1/32]
services: {{ app: "{app}" }}
consumers: {{ staff: {{ jwt: {{ email: alice@shop.example }} }} }}
identity_headers: {{ X-User-Id: "{{subject}}", X-Consumer: "{{consumer}}", X-Groups: "{{groups}}", X-User-Scopes: "{{scopes}}" }}
policies:
  login:
    oidc:
      issuer: "{issuer}"
      client_id: shop
      client_secret: CANARY-client-secret
      session_keys: [{keys}]
      scopes: [openid, email, offline_access]
      {more}
routes:
  /: {{ to: app }}
  /open/*: {{ to: app }}
  /oidc/*: {{ respond: 404, use: login }}
  /orders/*: {{ to: app, use: login }}
  /admin/*: {{ to: app, use: login, allow: {{ if: {{ groups: staff }} }} }}
"#,
        app = origin.url()
    )
}

fn gateway(origin: &Origin, issuer: &str, more: &str) -> Gateway {
    testkit::gateway!("{}", text(origin, issuer, KEY, more))
}

fn at(gateway: &Gateway, path: &str) -> String {
    format!("http://{}{path}", gateway.addr())
}

/// Logs in at the real provider, and comes back to a page.
#[track_caller]
fn log_in(browser: &mut Browser, gateway: &Gateway, path: &str, who: &str) -> (String, Response) {
    let (_, form) = browser.visit(&at(gateway, path));
    assert_eq!(form.status, 200, "{}", form.text());
    browser.submit(&form, &[("login", who), ("password", "any")])
}

/// Asks for a page with the cookies that the browser has, and nothing followed.
fn look(browser: &mut Browser, gateway: &Gateway, path: &str) -> Response {
    browser.ask("GET", &at(gateway, path), &PAGE, b"")
}

#[test]
fn a_person_logs_in_comes_back_and_logs_out() {
    let (provider, origin) = (Provider::start(3600), Origin::start());
    let gateway = gateway(&origin, provider.url(), "");
    let mut browser = Browser::default();
    let (url, answer) = log_in(&mut browser, &gateway, "/orders/1?a=b&c=%2F", "alice");
    assert_eq!((answer.status, url), (200, at(&gateway, "/orders/1?a=b&c=%2F")));
    assert_eq!(look(&mut browser, &gateway, "/admin/x").status, 200);
    for seen in origin.requests() {
        assert_eq!(seen.headers_named("x-user-id"), ["alice"]);
        assert_eq!(seen.headers_named("x-consumer"), ["staff"]);
        assert_eq!(seen.headers_named("x-groups"), ["staff"]);
        assert!(seen.header("x-user-scopes").unwrap().contains("openid"));
        assert!(seen.header("cookie").is_none(), "{:?}", seen.header("cookie"));
    }
    provider.settle();
    assert_eq!((provider.gave("authorization_code"), provider.gave("refresh_token")), (1, 0));
    // Another person, another browser.
    let mut other = Browser::default();
    assert_eq!(log_in(&mut other, &gateway, "/orders/2", "bob").1.status, 200);
    assert_eq!(look(&mut other, &gateway, "/admin/x").status, 403);
    // Who asks for no page is not sent anywhere.
    for (method, accept) in [("GET", "application/json"), ("POST", "text/html"), ("GET", "*/*")] {
        let answer = request(gateway.addr(), method, "/orders/1", &[("Accept", accept)], b"");
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Cookie realm=\"tidegate\""))
        );
    }
    let script = [("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")];
    assert_eq!(request(gateway.addr(), "GET", "/orders/1", &script, b"").status, 401);
    let line = gateway.wait_for_log(|line| line["path"] == "/orders/2" && line["status"] == 200);
    assert_eq!((&line["auth"], &line["subject"]), (&json!("oidc"), &json!("bob")));
    let secrets = browser.cookies(&at(&gateway, "/"));
    let session = secrets.split("tidegate=").nth(1).unwrap().split(';').next().unwrap();
    let told = format!("{:?} {:?} {}", gateway.logs(), gateway.stderr(), gateway.admin("/metrics").text());
    for secret in ["CANARY", session] {
        assert!(!told.contains(secret) && !origin.received().contains(secret), "{secret}");
    }
    assert!(!session.contains("alice"));
    // Out again, here and there.
    let (_, confirm) = browser.visit(&at(&gateway, "/oidc/logout"));
    let (url, answer) = browser.submit(&confirm, &[("logout", "yes")]);
    assert_eq!((answer.status, url), (200, at(&gateway, "/")));
    assert!(!browser.names(&gateway.addr().to_string()).iter().any(|name| name == "tidegate"));
    let (url, form) = browser.visit(&at(&gateway, "/orders/1"));
    assert!(url.starts_with(provider.url()) && form.text().contains("Sign-in"), "{url}");
}

#[test]
fn tabs_do_not_disturb_each_other_and_a_login_by_wish_leads_nowhere_else() {
    let (provider, origin) = (Provider::start(3600), Origin::start());
    let gateway = gateway(&origin, provider.url(), "");
    let mut browser = Browser::default();
    let pages: Vec<_> =
        ["/orders/1", "/orders/2", "/orders/3"].map(|path| browser.visit(&at(&gateway, path)).1).into();
    for (place, form) in pages.iter().enumerate().rev() {
        let (url, answer) = browser.submit(form, &[("login", "alice"), ("password", "x")]);
        assert_eq!((answer.status, url), (200, at(&gateway, &format!("/orders/{}", place + 1))));
    }
    // Who has a session goes straight on, but on this origin alone.
    for (to, wish) in [
        ("/orders/9?x=1", "/orders/9?x=1"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/%5Cevil.example", "/"),
        ("", "/"),
    ] {
        let answer = look(&mut browser, &gateway, &format!("/oidc/login?to={to}"));
        assert_eq!((answer.status, answer.header("location")), (302, Some(&*at(&gateway, wish))), "{to}");
    }
    // Many logins that were begun and not ended leave few cookies.
    let mut idle = Browser::default();
    (0..30).for_each(|_| _ = look(&mut idle, &gateway, "/orders/1"));
    assert!(idle.names(&gateway.addr().to_string()).len() <= 8);
    // Under TLS, as a proxy that is trusted says, the cookies are bound to this host.
    let secure = [("Accept", "text/html"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.1")];
    let answer = request(gateway.addr(), "GET", "/orders/1", &secure, b"");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-tidegate-login-") && cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    let back = format!("redirect_uri=https%3A%2F%2F127.0.0.1%3A{}%2Foidc%2Fcallback", gateway.addr().port());
    assert!(answer.header("location").unwrap().contains(&back), "{answer:?}");
    // And in clear there are none beyond this machine.
    let clear = request(
        gateway.addr(),
        "GET",
        "/orders/1",
        &[("Accept", "text/html"), ("Host", "shop.example")],
        b"",
    );
    assert_eq!((clear.status, clear.header("set-cookie")), (403, None));
}

#[test]
fn a_session_is_renewed_once_for_all_and_ends_when_the_provider_forgets_it() {
    let (mut provider, origin) = (Provider::start(1), Origin::start());
    let gateway = gateway(&origin, provider.url(), "");
    let mut browser = Browser::default();
    assert_eq!(log_in(&mut browser, &gateway, "/orders/1", "alice").1.status, 200);
    let renewed = eventually("a renewal", || {
        provider.settle();
        let before = provider.gave("refresh_token");
        let url = at(&gateway, "/orders/1");
        let answers: Vec<(Browser, Response)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let (mut own, url) = (browser.clone(), url.clone());
                    scope.spawn(move || {
                        let answer = own.ask("GET", &url, &PAGE, b"");
                        (own, answer)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (_, answer) in &answers {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let renewed = answers.into_iter().find(|(_, answer)| answer.header("set-cookie").is_some());
        renewed.map(|(own, answer)| (own, answer, before))
    });
    let (mut own, answer, before) = renewed;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // Late ones with the old cookie get what the others got.
    assert_eq!(look(&mut browser, &gateway, "/orders/1").status, 200);
    provider.settle();
    assert_eq!(provider.gave("refresh_token"), before + 1, "one question for nine requests");
    assert_eq!(provider.refused("refresh_token"), 0);
    // A provider that hangs keeps nobody out for whom there is grace.
    provider.signal(Signal::STOP);
    (0..3).for_each(|_| assert_eq!(look(&mut own, &gateway, "/orders/1").status, 200));
    provider.signal(Signal::CONT);
    assert_eq!(look(&mut own, &gateway, "/open/x").status, 200);
    provider.stop();
    (0..3).for_each(|_| assert_eq!(look(&mut own, &gateway, "/orders/1").status, 200));
    // One that has forgotten everybody ends the session.
    provider.restart();
    eventually("the end of the session", || {
        let answer = look(&mut own, &gateway, "/orders/1");
        let sent = answer.header("location").is_some_and(|to| to.starts_with(provider.url()));
        assert!(sent || answer.status == 200, "{}", answer.status);
        sent.then_some(())
    });
    provider.settle();
    assert!(provider.refused("refresh_token") > 0);
}

#[test]
fn without_grace_nobody_passes_whom_the_provider_cannot_vouch_for() {
    let (mut provider, origin) = (Provider::start(1), Origin::start());
    let gateway = gateway(&origin, provider.url(), "grace: 0s");
    let mut browser = Browser::default();
    assert_eq!(log_in(&mut browser, &gateway, "/orders/1", "alice").1.status, 200);
    provider.stop();
    let refused = eventually("the end of the session", || {
        let answer = look(&mut browser, &gateway, "/orders/1");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.status, 503, "{}", refused.text());
    // Who comes anew is sent to where logins were, and who comes back gets a page that says what is wrong.
    let answer = look(&mut Browser::default(), &gateway, "/orders/1");
    assert_eq!(answer.status, 302);
    let mut stranger = Browser::default();
    let begun = look(&mut stranger, &gateway, "/orders/1");
    let state = parameter(begun.header("location").unwrap(), "state").unwrap().to_owned();
    let issuer = provider.url().replace(':', "%3A").replace('/', "%2F");
    let answer = look(&mut stranger, &gateway, &format!("/oidc/callback?code=x&state={state}&iss={issuer}"));
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{answer:?}");
}

/// A provider of our own making, that says what it is told to.
struct Liar {
    origin: Origin,
    token: Arc<Mutex<Answer>>,
    signer: Arc<Signer>,
}

#[derive(Clone)]
enum Answer {
    IdToken(Value),
    Says(Vec<u8>),
    Hangs,
}

impl Liar {
    fn start() -> Liar {
        let signer = Arc::new(Signer::generate().unwrap());
        let token = Arc::new(Mutex::new(Answer::Hangs));
        let (own, key) = (token.clone(), signer.clone());
        let origin = Origin::answering(move |request| {
            let base = format!("http://{}", request.header("host").unwrap_or_default());
            let json = match request.target.as_str() {
                "/keys" => json!({ "keys": [key.jwk()] }),
                "/token" => match own.lock().unwrap().clone() {
                    Answer::IdToken(claims) => {
                        json!({ "id_token": key.sign("JWT", &claims).unwrap(), "token_type": "Bearer" })
                    }
                    Answer::Says(bytes) => return Reply::ok(bytes),
                    Answer::Hangs => return Reply::hang(),
                },
                _ => {
                    json!({ "issuer": base, "jwks_uri": format!("{base}/keys"), "token_endpoint": format!("{base}/token"),
                    "authorization_endpoint": format!("{base}/auth?tenant=1") })
                }
            };
            Reply::ok(json.to_string()).header("Content-Type", "application/json")
        });
        Liar { origin, token, signer }
    }

    fn claims(&self, nonce: &str, more: &Value) -> Value {
        let mut claims = json!({ "iss": self.origin.url(), "aud": "shop", "sub": "u1", "nonce": nonce, "iat": now(), "exp": now() + 300 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    }

    /// Begins a login and comes back with it, the provider's answer being this.
    fn round(&self, browser: &mut Browser, gateway: &Gateway, answer: impl Fn(&str) -> Answer) -> Response {
        let begun = eventually("the provider to be known", || {
            let begun = look(browser, gateway, "/orders/1");
            (begun.status != 503).then_some(begun)
        });
        let Some(to) = begun.header("location") else { return begun };
        assert!(to.starts_with(&format!("{}/auth?tenant=1&", self.origin.url())), "{to}");
        *self.token.lock().unwrap() = answer(parameter(to, "nonce").unwrap());
        let back = format!("/oidc/callback?code=abc&state={}", parameter(to, "state").unwrap());
        look(browser, gateway, &back)
    }
}

#[test]
fn what_a_provider_says_is_proven_before_it_is_believed() {
    let (liar, origin) = (Liar::start(), Origin::start());
    let gateway = gateway(&origin, &liar.origin.url(), "timeout: 3s");
    let stranger = Signer::generate().unwrap();
    let with = |more: Value| move |nonce: &str, liar: &Liar| Answer::IdToken(liar.claims(nonce, &more));
    let says = |text: &[u8]| {
        let text = text.to_vec();
        move |_: &str, _: &Liar| Answer::Says(text.clone())
    };
    type Lie<'l> = Box<dyn Fn(&str, &Liar) -> Answer + 'l>;
    let lies: Vec<(&str, u16, Lie<'_>)> = vec![
        ("another nonce", 403, Box::new(with(json!({ "nonce": "other" })))),
        ("another client", 403, Box::new(with(json!({ "aud": "other" })))),
        ("for several, and not for us", 403, Box::new(with(json!({ "aud": ["shop", "other"] })))),
        ("asked for by another", 403, Box::new(with(json!({ "azp": "other" })))),
        ("another issuer", 403, Box::new(with(json!({ "iss": "https://evil.example" })))),
        ("over", 403, Box::new(with(json!({ "exp": now() - 100 })))),
        ("about nobody", 403, Box::new(with(json!({ "sub": 7 })))),
        (
            "of another key",
            403,
            Box::new(|nonce: &str, liar: &Liar| {
                let header = json!({ "alg": "ES256", "typ": "JWT", "kid": liar.signer.id() });
                let token = stranger.sign_as(&header, &liar.claims(nonce, &json!({}))).unwrap();
                Answer::Says(json!({ "id_token": token }).to_string().into_bytes())
            }),
        ),
        ("none at all", 403, Box::new(says(b"{\"access_token\":\"x\"}"))),
        ("unsigned", 403, Box::new(says(b"{\"id_token\":\"eyJhbGciOiJub25lIn0.e30.\"}"))),
        ("garbage", 502, Box::new(says(b"<html>\xff"))),
        ("10 MiB", 502, Box::new(says(&vec![b'x'; 10 << 20]))),
        ("silence", 502, Box::new(|_: &str, _: &Liar| Answer::Hangs)),
        (
            "more than a browser carries",
            502,
            Box::new(with(json!({ "groups": vec!["a-long-name-of-a-group"; 320] }))),
        ),
    ];
    for (name, status, lie) in &lies {
        let mut browser = Browser::default();
        let answer = liar.round(&mut browser, &gateway, |nonce| lie(nonce, &liar));
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        assert_ne!(look(&mut browser, &gateway, "/orders/1").status, 200, "{name}");
    }
    assert_eq!(origin.requests(), []);
    for more in [
        json!({}),
        json!({ "aud": ["shop", "other"], "azp": "shop" }),
        json!({ "groups": vec!["a-long-name-of-a-group"; 180] }),
    ] {
        let mut browser = Browser::default();
        let answer = liar.round(&mut browser, &gateway, |nonce| Answer::IdToken(liar.claims(nonce, &more)));
        assert_eq!((answer.status, answer.header("location")), (302, Some(&*at(&gateway, "/orders/1"))));
        assert_eq!(look(&mut browser, &gateway, "/orders/1").status, 200);
        assert_eq!(origin.requests().pop().unwrap().headers_named("x-user-id"), ["u1"]);
        assert!(origin.requests().pop().unwrap().header("cookie").is_none());
    }
}

#[test]
fn a_login_that_this_browser_did_not_begin_is_none() {
    let (liar, origin) = (Liar::start(), Origin::start());
    let gateway = gateway(&origin, &liar.origin.url(), "");
    let (mut attacker, mut victim) = (Browser::default(), Browser::default());
    let begun = eventually("the provider to be known", || {
        let begun = look(&mut attacker, &gateway, "/orders/1");
        (begun.status == 302).then_some(begun)
    });
    let state = parameter(begun.header("location").unwrap(), "state").unwrap().to_owned();
    let good = format!("/oidc/callback?code=abc&state={state}");
    for (path, wish) in [
        (good.clone(), (400, "login_expired")),
        ("/oidc/callback".to_owned(), (400, "login_expired")),
        ("/oidc/callback?state=x".to_owned(), (400, "login_expired")),
        (format!("/oidc/callback?code=abc&state={state}x"), (400, "login_expired")),
    ] {
        let answer = victim.ask("GET", &at(&gateway, &path), &[], b"");
        assert_eq!(
            (answer.status, answer.json()["type"].clone()),
            (wish.0, json!(format!("urn:tidegate:problem:{}", wish.1))),
            "{path}"
        );
    }
    // Its own, with another answer of the provider: each ends the login.
    for more in
        ["&error=access_denied&error_description=<script>", "&iss=https%3A%2F%2Fevil.example&code=x", ""]
    {
        let mut own = attacker.clone();
        let path = format!("/oidc/callback?state={state}{more}");
        let answer = own.ask("GET", &at(&gateway, &path), &[], b"");
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (403, &json!("urn:tidegate:problem:login_refused")),
            "{more}"
        );
        assert!(!answer.text().contains("script"));
        assert_eq!(own.ask("GET", &at(&gateway, &path), &[], b"").status, 400, "its cookie is gone");
    }
    assert!(liar.origin.requests().iter().all(|request| request.target != "/token"), "no code was redeemed");
    gateway.wait_for_log(|line| line["why"] == "the provider says: access_denied");
    // A page of another origin logs nobody out.
    let cross = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(victim.ask("GET", &at(&gateway, "/oidc/logout"), &cross, b"").status, 403);
}

#[test]
fn keys_are_changed_without_a_login_lost_and_a_login_does_not_go_in_circles() {
    let (liar, origin) = (Liar::start(), Origin::start());
    let (old, new) =
        ("an old key of more than thirty-two letters", "a new key of more than thirty-two letters");
    let gateway = testkit::gateway!("{}", text(&origin, &liar.origin.url(), &format!("{old:?}"), ""));
    let mut browser = Browser::default();
    let good = |nonce: &str| Answer::IdToken(liar.claims(nonce, &json!({})));
    assert_eq!(liar.round(&mut browser, &gateway, good).status, 302);
    assert_eq!(look(&mut browser, &gateway, "/orders/1").status, 200);
    for (keys, status) in [(format!("{new:?}, {old:?}"), 200), (format!("{new:?}"), 302)] {
        gateway.rewrite_config(&text(&origin, &liar.origin.url(), &keys, ""));
        gateway.reload();
        eventually("the reload", || {
            (look(&mut browser, &gateway, "/orders/1").status == status).then_some(())
        });
    }
    // A browser that keeps everything but the session.
    let answers = (0..10).map(|_| {
        let answer = liar.round(&mut browser, &gateway, good);
        browser.forget(|name| name == "tidegate");
        answer
    });
    let looped = answers.into_iter().find(|answer| answer.status == 403).expect("an end");
    assert!(looped.text().contains("round in circles"), "{}", looped.text());
}

#[test]
fn a_gateway_that_starts_before_its_provider_says_so_and_goes_on_without_it() {
    let origin = Origin::start();
    let gateway = gateway(&origin, "http://127.0.0.1:9", "");
    let answer = look(&mut Browser::default(), &gateway, "/orders/1");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(gateway.get("/open/x").status, 200);
    assert_eq!(gateway.get("/orders/1").status, 401);
}

/// The real provider again, for programs: its tokens are proven by keys that its metadata lead to.
#[test]
fn tokens_of_a_real_provider_pass_beside_its_logins() {
    let (provider, origin) = (Provider::start(3600), Origin::start());
    let gateway = testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
services: {{ app: "{app}" }}
routes:
  /oidc/*: {{ respond: 404, any_of: {of} }}
  /*: {{ to: app, any_of: {of} }}
  /jwt/*: {{ to: app, jwt: {{ issuer: "{issuer}", audience: orders, type: at+jwt, scopes: orders.read }} }}
"#,
        app = origin.url(),
        issuer = provider.url(),
        of = format!(
            "{{ of: [{{ jwt: {{ issuer: \"{0}\", audience: orders, type: at+jwt }} }}, {{ oidc: {{ issuer: \"{0}\", client_id: shop, \
             client_secret: CANARY-client-secret, session_keys: {KEY} }} }}] }}",
            provider.url()
        )
    );
    let token = bearer(&provider.token());
    for path in ["/jwt/x", "/x"] {
        assert_eq!(
            request(gateway.addr(), "GET", path, &[("Authorization", &token)], b"").status,
            200,
            "{path}"
        );
        assert_eq!(origin.requests().pop().unwrap().headers_named("x-user-id"), ["robot"]);
    }
    let changed = token.replace("Bearer ey", "Bearer eY");
    assert_eq!(request(gateway.addr(), "GET", "/jwt/x", &[("Authorization", &changed)], b"").status, 401);
    let mut browser = Browser::default();
    let (_, form) = browser.visit(&at(&gateway, "/page"));
    let (url, answer) = browser.submit(&form, &[("login", "carol"), ("password", "x")]);
    assert_eq!((answer.status, url), (200, at(&gateway, "/page")));
    assert_eq!(origin.requests().pop().unwrap().headers_named("x-user-id"), ["carol"]);
    assert_eq!(gateway.get("/page").status, 401);
}
