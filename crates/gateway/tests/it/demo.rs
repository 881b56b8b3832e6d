//! The shop of the demo: every service answers as its teams promise, and the greeting fits what runs.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use testkit::client::{self, Raw, Response, WebSocket};
use testkit::event::eventually;
use testkit::gateway::{Gateway, Signal};
use testkit::origin::{Origin, Reply};
use testkit::tls::Authority;
use tidegate::demo::{self, DemoOptions, Instance, Running};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::Service;
use tonic::transport::Endpoint;

use crate::browser::{Browser, parameter, split};
use crate::grpc::method;
use crate::grpc::service::Plain;
use crate::http::http2::converse;
use crate::setup::tidegate;

/// Where the descriptor set lies that the shop's configuration names.
const DESCRIPTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop/stock.pb");

/// Finds the instances of one shop by name.
struct Street(Vec<Instance>);

impl Street {
    fn open() -> Street {
        Street(demo::open_shop().unwrap())
    }

    fn of(&self, name: &str) -> SocketAddr {
        self.0.iter().find(|instance| instance.name() == name).unwrap().address()
    }

    fn get(&self, name: &str, path: &str) -> Response {
        client::get(self.of(name), path)
    }
}

#[test]
fn the_two_versions_of_users_name_the_same_person_differently() {
    let street = Street::open();
    assert_eq!(street.get("users-v1", "/v1/users/1").json()["user_name"], "ada");
    for name in ["users-a", "users-b"] {
        let answer = street.get(name, "/v2/users/1");
        assert_eq!(
            (answer.json()["username"].as_str(), answer.header("x-instance")),
            (Some("ada"), Some(name))
        );
    }
    assert_eq!(street.get("users-a", "/v2/users/").json().as_array().unwrap().len(), 10);
    assert_eq!(street.get("users-a", "/v2/users/99").status, 404);
}

#[test]
fn products_and_orders_are_filtered() {
    let street = Street::open();
    assert_eq!(street.get("products", "/products/").json().as_array().unwrap().len(), 20);
    assert_eq!(street.get("products", "/products/?q=LANTERN").json()[0]["name"], "Storm lantern");
    assert_eq!(street.get("orders-a", "/orders/").json().as_array().unwrap().len(), 30);
    let of_user = street.get("orders-b", "/orders/?user=3&limit=2").json();
    assert_eq!((of_user.as_array().unwrap().len(), &of_user[0]["user"]), (2, &3.into()));
}

#[test]
fn a_payment_is_made_and_one_in_twenty_is_refused() {
    let street = Street::open();
    let json = [("Content-Type", "application/json")];
    let pay = || {
        client::request(street.of("payments"), "POST", "/payments/", &json, br#"{"user":1,"amount_cents":1}"#)
    };
    let first = pay();
    assert_eq!((first.status, first.header("location")), (201, Some("/payments/1")));
    let refused = (0..20).filter(|_| pay().status == 503).count();
    assert_eq!(refused, 1);
}

#[test]
fn events_come_as_a_stream_and_the_socket_echoes() {
    let street = Street::open();
    let mut events = Raw::connect(street.of("orders-a"));
    let head = events.get("/events/orders").read_head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert!(events.read_chunk().unwrap().starts_with("event: order\n"));
    let mut socket = WebSocket::connect(street.of("orders-b"), "/ws");
    socket.expect_echo("ahoy");
    socket.close();
}

#[test]
fn the_gateway_is_told_where_everything_is_and_the_visitor_what_to_try() {
    let options = DemoOptions { port: 0, admin_port: 0, tls_port: None, traffic: false, log: true };
    let mut output = Vec::new();
    let mut told = BTreeMap::new();
    demo::run(&options, &mut output, |name, text, variables| {
        assert_eq!((name, text), (demo::NAME, demo::CONFIGURATION));
        told = variables.clone();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Ok(Running { gateway: address, secure: None, admin: address, token: None, wait: Box::new(|| Ok(())) })
    })
    .unwrap();
    for variable in demo::CONFIGURATION.split("${").skip(1).filter_map(|rest| rest.split(":-").next()) {
        assert!(told.contains_key(variable), "{variable} is named and not told: {told:?}");
    }
    let text = String::from_utf8(output).unwrap();
    assert_eq!(text.matches("\n  curl ").count(), 16, "{text}");
    assert!(told.values().filter(|value| value.starts_with("http")).all(|url| text.contains(url)), "{text}");
}

/// The shop's own configuration and the service of gRPC, asked in JSON.
#[test]
fn the_stock_is_told_as_json() {
    let street = Street::open();
    let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
    let launch = launch.env("LISTEN", "127.0.0.1:0").env("ADMIN", "127.0.0.1:0");
    let launch = launch.env("STOCK_DESCRIPTORS", DESCRIPTORS);
    let gateway = street
        .0
        .iter()
        .fold(launch, |launch, one| launch.env(&one.variable(), &one.url()))
        .start(demo::CONFIGURATION);
    let stock = gateway.get("/stock/7");
    assert_eq!((stock.status, stock.header("content-type")), (200, Some("application/json")), "{stock:?}");
    assert!(stock.json()["count"].is_u64(), "{stock:?}");
    let none = gateway.get("/stock/99");
    assert_eq!(
        (none.status, none.json()["code"].as_str(), none.json()["detail"].as_str()),
        (404, Some("NOT_FOUND"), Some("there is no such product"))
    );
    let wrong = gateway.get("/stock/mugs");
    assert_eq!(
        (wrong.status, wrong.json()["type"].as_str()),
        (400, Some("urn:tidegate:problem:call_invalid"))
    );
}

/// The shop's own configuration, its services, and payments that can be stopped.
#[test]
fn the_dashboard_does_without_payments() {
    let street = Street::open();
    let payments = Origin::answering(|request| match request.target.as_str() {
        "/payments/balance/1" => Reply::ok("{\"user\":1,\"balance_cents\":4200}"),
        _ => Reply::status(404),
    });
    let open = |payments: &str| {
        let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate"));
        let launch =
            launch.env("LISTEN", "127.0.0.1:0").env("ADMIN", "127.0.0.1:0").env("PAYMENTS", payments);
        let launch = launch.env("STOCK_DESCRIPTORS", DESCRIPTORS);
        let shop = street.0.iter().filter(|instance| instance.name() != "payments");
        shop.fold(launch, |launch, one| launch.env(&one.variable(), &one.url())).start(demo::CONFIGURATION)
    };
    let gateway = open(&payments.url());
    let whole = gateway.get("/dashboard?user=1");
    let told = whole.json();
    assert_eq!(
        (told["user"]["username"].as_str(), told["orders"][0]["user"].as_u64()),
        (Some("ada"), Some(1))
    );
    assert_eq!(
        (told["payments"]["balance_cents"].as_u64(), whole.header("tidegate-partial")),
        (Some(4200), None)
    );
    let url = payments.url();
    drop(payments);
    // What rests of the connections to it may be found closed with the next request or the one after.
    let part = gateway.get("/dashboard?user=1");
    assert_eq!((part.status, part.header("tidegate-partial")), (200, Some("payments")), "{url} is closed");
    assert_eq!(
        (part.json()["user"]["username"].as_str(), &part.json()["payments"]),
        (Some("ada"), &serde_json::Value::Null)
    );
    assert_eq!(part.header("cache-control"), Some("no-store"));
    assert_eq!(gateway.get("/dashboard?user=99").status, 404);
    let old = gateway.get("/v1/users/1");
    assert_eq!(
        (old.json()["user_name"].as_str(), old.header("deprecation")),
        (Some("ada"), Some("@1767225600"))
    );
    assert_eq!(old.header("sunset"), Some("Mon, 31 Dec 2035 00:00:00 GMT"));
    assert_eq!(old.header("link"), Some("</v2/users/1>; rel=\"successor-version\""));
    assert_eq!(gateway.get("/v2/users/1").header("deprecation"), None);
}

/// Connects a client of gRPC under TLS.
struct Dial {
    tls: TlsConnector,
    port: u16,
}

impl Service<http::Uri> for Dial {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let (tls, port) = (self.tls.clone(), self.port);
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(TokioIo::new(tls.connect("localhost".try_into().unwrap(), stream).await?))
        })
    }
}

/// `tidegate demo` as people run it, but for its traffic and its ports. Killed where a test fails.
struct Shop {
    child: Child,
    /// Its greeting, line by line.
    said: Vec<String>,
    /// What it says afterwards must find a reader.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Shop {
    fn open(more: &[&str]) -> Shop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["demo", "--no-traffic", "--port=0", "--admin-port=0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let greeting = lines.by_ref().map_while(Result::ok).take_while(|line| !line.contains("Ctrl-C"));
        Shop { said: greeting.collect(), child, _lines: lines }
    }

    fn close(mut self) {
        testkit::gateway::signal(&self.child, Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // One that has ended already is no trouble.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real command: its own words about TLS are tried as they stand.
#[test]
fn the_shop_is_open_under_tls_by_an_authority_of_its_own() {
    let shop = Shop::open(&["--tls", "--tls-port=0"]);
    let command = shop.said.iter().find(|line| line.contains("--cacert")).expect("a command with --cacert");
    let words: Vec<&str> = command.split_whitespace().collect();
    let (authority, url) = (words[2].to_owned(), words[3]);
    let port: u16 = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    let client = Arc::new(Authority::client_believing(&std::fs::read_to_string(&authority).unwrap()));
    let mut raw = Raw::connect_tls(([127, 0, 0, 1], port).into(), &client, "localhost");
    assert_eq!(raw.get("/v2/users/1").read_response().json()["username"], "ada");
    converse(async {
        let mut config = rustls::ClientConfig::clone(&client);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connect = Dial { tls: TlsConnector::from(Arc::new(config)), port };
        let endpoint = Endpoint::from_shared(format!("http://localhost:{port}")).unwrap();
        let mut grpc = Grpc::new(endpoint.connect_with_connector(connect).await.unwrap());
        grpc.ready().await.unwrap();
        let count = |product: &'static [u8]| Request::new(Bytes::from_static(product));
        let told = grpc.unary(count(b"\x08\x03"), method("/shop.Stock/Count"), Plain).await.unwrap();
        assert_eq!(told.into_inner(), Bytes::from_static(b"\x08\xf0\x01"), "240 tide tables");
        grpc.ready().await.unwrap();
        let none = grpc.unary(count(b"\x08\x63"), method("/shop.Stock/Count"), Plain).await.unwrap_err();
        assert_eq!((none.code(), none.message()), (tonic::Code::NotFound, "there is no such product"));
    });
    shop.close();
    assert!(!std::path::Path::new(&authority).exists(), "the authority goes with the demo");
}

/// The real command again: a person logs in at the demo's own issuer, and out again.
#[test]
fn a_person_logs_in_to_the_shop() {
    let shop = Shop::open(&[]);
    let page =
        shop.said.iter().find(|line| line.contains("/account/orders/1")).expect("a page for people").trim();
    let mut browser = Browser::default();
    let (at, form) = browser.visit(page);
    assert!(form.text().contains("Who are you today?"), "{}", form.text());
    // The form sends what it was asked with, and who it is.
    let (url, order) = browser.visit(&(at.replace("/auth?", "/login?") + "&sub=ada&groups=staff"));
    assert_eq!((order.status, &*url), (200, page));
    assert_eq!(order.header("x-asked-by"), Some("ada"));
    assert_eq!(
        client::request(split(page).0.parse().unwrap(), "GET", "/account/orders/1", &[], b"").status,
        401
    );
    let (url, _) = browser.visit(&page.replace("/account/orders/1", "/oidc/logout"));
    assert!(url.ends_with("/health"), "{url}");
    assert!(browser.visit(page).1.text().contains("Who are you today?"));
    // Nobody is sent beyond this machine, and a code is good for whoever asked for it alone.
    let evil = at.replace("redirect_uri=http%3A%2F%2F127.0.0.1", "redirect_uri=http%3A%2F%2Fevil.example");
    assert_eq!(browser.ask("GET", &evil, &[], b"").status, 400);
    let code = browser.ask("GET", &(at.replace("/auth?", "/login?") + "&sub=ada"), &[], b"");
    let code = parameter(code.header("location").unwrap(), "code").unwrap().to_owned();
    let form = format!("grant_type=authorization_code&code={code}&code_verifier=other&redirect_uri=x");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let token = format!("http://{}/token", split(&at).0);
    assert_eq!(browser.ask("POST", &token, &kind, form.as_bytes()).status, 400);
    shop.close();
}

/// The commands that the greeting prints, one after the other: the standby, the last good answer, the graceful error, and
/// fresh answers again.
#[test]
fn orders_are_answered_while_nobody_can() {
    let shop = Shop::open(&[]);
    let url_of = |name: &str| {
        let line = shop.said.iter().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
    };
    let address = |url: &str| -> SocketAddr { url.trim_start_matches("http://").parse().unwrap() };
    let (gateway, issuer, switch) =
        (address(&url_of("gateway")), url_of("issuer"), address(&url_of("switch")));
    let folder = tempfile::tempdir().unwrap();
    let token_of = |who: &str| {
        let token = tidegate(folder.path(), &["token", "--sub", who, "--issuer", &issuer]).stdout;
        format!("Bearer {}", token.trim())
    };
    let (one, other) = (token_of("u1"), token_of("u2"));
    let ask = |token: &str| client::request(gateway, "GET", "/orders/1", &[("Authorization", token)], b"");
    let turn = |path: &str| assert_eq!(client::request(switch, "POST", path, &[], b"").status, 200, "{path}");
    let degraded = |word: Option<&'static str>| {
        eventually("an answer of that kind", || {
            Some(ask(&one))
                .filter(|answer| answer.status == 200 && answer.header("tidegate-degraded") == word)
        })
    };
    assert!(degraded(None).header("x-instance").unwrap().starts_with("orders-"));
    turn("/orders/stop");
    assert_eq!(degraded(Some("standby")).header("x-instance"), Some("orders-standby"));
    turn("/orders-standby/stop");
    let last_good = degraded(Some("last-good"));
    assert!(last_good.header("age").is_some() && last_good.json()["id"] == 1);
    let other = ask(&other);
    assert_eq!((other.status, other.header("retry-after")), (503, Some("10")), "nothing of u1 is for u2");
    assert!(other.text().contains("please try again"));
    turn("/start");
    degraded(None);
    let told = |path: &str| client::request(switch, "POST", path, &[], b"").json();
    assert_eq!(told("/orders-b/slow")["slow"][0], "orders-b");
    assert_eq!(degraded(None).status, 200, "what is slow answers all the same");
    assert_eq!(told("/orders/start")["open"].as_array().map(Vec::len), Some(2));
    assert_eq!(client::request(switch, "POST", "/nobody/stop", &[], b"").status, 404);
    shop.close();
}
