//! A shop of small real services behind the gateway, to try things on.
//!
//! Takes a port and a way to start the gateway; gives a running shop, its services on ports of their own, some
//! traffic, and a list of commands to try. Beside the command line, and it uses no stage of the road but what signs
//! tokens: the gateway is started by whoever calls, from the very text a user could write. Must never run in production.

mod certificates;
mod instance;
mod services;
mod shop;
mod switch;
mod traffic;
mod welcome;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use certificates::Certificates;
pub use instance::Instance;
use instance::Service;
use services::stock::STOCK;
use shop::Shop;
use welcome::Greeting;

use crate::identity::oidc::random_text;

/// The name under which the shop's configuration is known.
pub const NAME: &str = "examples/shop/gateway.yaml";

/// The shop's configuration, as it stands in the examples.
pub const CONFIGURATION: &str = include_str!("../../../../examples/shop/gateway.yaml");

/// The descriptor set of its service of gRPC, `stock.proto` compiled.
pub const DESCRIPTORS: &[u8] = include_bytes!("../../../../examples/shop/stock.pb");

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoOptions {
    /// The port of 127.0.0.1 on which the gateway listens; 0 is any free one.
    pub port: u16,
    /// The port of 127.0.0.1 for its admin address; 0 is any free one.
    pub admin_port: u16,
    /// The port of 127.0.0.1 for TLS; 0 is any free one, `None` is no TLS.
    pub tls_port: Option<u16>,
    /// Whether the built-in client sends its gentle traffic.
    pub traffic: bool,
    /// Whether requests are logged to stdout.
    pub log: bool,
}

impl Default for DemoOptions {
    fn default() -> Self {
        DemoOptions { port: 8080, admin_port: 9900, tls_port: None, traffic: true, log: true }
    }
}

/// A gateway that was started for the demo.
pub struct Running {
    /// Where clients arrive.
    pub gateway: SocketAddr,
    /// Where clients arrive under TLS, if they do.
    pub secure: Option<SocketAddr>,
    /// Where it is looked at.
    pub admin: SocketAddr,
    /// The token of its admin API, if it was made at this start.
    pub token: Option<String>,
    /// Waits until the gateway has ended, by Ctrl-C for instance.
    pub wait: Box<dyn FnOnce() -> Result<(), String>>,
}

/// Why the demo did not run.
#[derive(Debug)]
pub enum DemoError {
    /// A service of the shop could not be started: its name and why.
    Service(&'static str, io::Error),
    /// The certificates for TLS could not be made.
    Certificates(io::Error),
    /// The gateway could not be started, or ended badly: its own words.
    Gateway(String),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Service(name, error) => write!(f, "the demo's service {name} did not start: {error}"),
            DemoError::Certificates(error) => write!(f, "cannot make certificates for the demo: {error}"),
            DemoError::Gateway(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for DemoError {}

/// Runs the demo until the gateway ends. `start` gets the configuration's name, its text and the variables
/// that it names; `output` gets the greeting.
///
/// # Errors
/// When a service cannot listen, when the gateway does not start or ends badly, when `output` fails.
pub fn run(
    options: &DemoOptions,
    output: &mut dyn Write,
    start: impl FnOnce(&str, &str, &BTreeMap<String, String>) -> Result<Running, String>,
) -> Result<(), DemoError> {
    let instances = open_shop()?;
    let certificates = options.tls_port.map(|port| Ok((Certificates::make()?, port))).transpose();
    let certificates = certificates.map_err(DemoError::Certificates)?;
    let mut text = CONFIGURATION.to_owned();
    if let Some((certificates, port)) = &certificates {
        text += &certificates.listener(*port);
    }
    let running = start(NAME, &text, &variables(options, &instances)).map_err(DemoError::Gateway)?;
    let greeting = Greeting {
        running: &running,
        instances: &instances,
        authority: certificates.as_ref().map(|(certificates, _)| certificates.authority()),
        traffic: options.traffic,
        log: options.log,
    };
    // A reader that has gone away is no reason to close the shop.
    let _ = greeting.print(output);
    let traffic = options.traffic.then(|| traffic::start(running.gateway, address_of(&instances, "issuer")));
    let ended = (running.wait)().map_err(DemoError::Gateway);
    drop(traffic);
    ended
}

/// Starts every service of the shop on its usual port, or on a free one where that is taken.
///
/// # Errors
/// When a service can listen nowhere.
pub fn open_shop() -> Result<Vec<Instance>, DemoError> {
    let shop = Arc::new(Shop::open());
    let start = |service: Service| {
        let name = service.name;
        Instance::start(service).map_err(|error| DemoError::Service(name, error))
    };
    let mut instances: Vec<Instance> =
        services::all(&shop).into_iter().map(start).collect::<Result<_, _>>()?;
    let (name, _, about) = STOCK;
    let stock = services::stock::start(&shop).map_err(|error| DemoError::Service(name, error))?;
    instances.push(Instance::elsewhere(name, about, stock));
    instances.push(start(switch::service(instances.clone()))?);
    Ok(instances)
}

fn address_of(instances: &[Instance], name: &str) -> Option<SocketAddr> {
    instances.iter().find(|instance| instance.name() == name).map(Instance::address)
}

/// The variables that the configuration names: where things listen.
fn variables(options: &DemoOptions, instances: &[Instance]) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> =
        instances.iter().map(|instance| (instance.variable(), instance.url())).collect();
    variables.insert("LISTEN".to_owned(), format!("127.0.0.1:{}", options.port));
    variables.extend(random_text::<32>().map(|key| ("SESSION_KEY".to_owned(), key)));
    // A mere text has no folder in which the file could be.
    variables.insert("STOCK_DESCRIPTORS".to_owned(), format!("base64:{}", STANDARD.encode(DESCRIPTORS)));
    variables.insert("ADMIN".to_owned(), format!("127.0.0.1:{}", options.admin_port));
    variables.insert("ACCESS_LOG".to_owned(), if options.log { "stdout" } else { "off" }.to_owned());
    variables
}
