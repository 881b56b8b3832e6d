//! A real provider of logins, of other people's making: the npm package `oidc-provider`, run by Node.
//!
//! Its packages are fetched once, by the lock file beside `tests/provider/server.mjs`, into the folder of the build.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use serde_json::Value;
use testkit::event::{Journal, eventually};
use testkit::gateway::{Signal, signal};

use crate::browser::Browser;

/// A running provider.
pub(crate) struct Provider {
    child: Child,
    told: Journal<String>,
    life: u32,
    url: String,
}

/// The folder with the provider and its packages.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("provider");
        std::fs::create_dir_all(&folder).unwrap();
        let read = |path: PathBuf| std::fs::read(path).unwrap_or_default();
        let installed = folder.join("installed.json");
        let fresh = read(installed.clone()) == read(source.join("package-lock.json"));
        for name in ["package.json", "package-lock.json", "server.mjs"] {
            std::fs::copy(source.join(name), folder.join(name)).unwrap();
        }
        if !fresh {
            let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            let made = Command::new("npm").args(arguments).current_dir(&folder).output();
            let made =
                made.expect("npm is needed for a real provider of logins: `cargo xtask test` installs it");
            assert!(made.status.success(), "npm ci: {}", String::from_utf8_lossy(&made.stderr));
            std::fs::copy(source.join("package-lock.json"), installed).unwrap();
        }
        folder
    })
}

impl Provider {
    /// Starts one whose access tokens live for so many seconds.
    pub(crate) fn start(life: u32) -> Provider {
        let (child, told) = run(0, life);
        let url = url(&told);
        Provider { child, told, life, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A token for the program `robot`, for the audience `orders`.
    pub(crate) fn token(&self) -> String {
        let fields = [
            ("Authorization", "Basic cm9ib3Q6c2VjcmV0"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let form = b"grant_type=client_credentials&scope=orders.read&resource=urn%3Aorders";
        let answer = Browser::default().ask("POST", &format!("{}/token", self.url), &fields, form).json();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Waits until all that it has done so far has been told.
    pub(crate) fn settle(&self) {
        let before = self.gave("client_credentials");
        self.token();
        eventually("the provider to tell", || (self.gave("client_credentials") > before).then_some(()));
    }

    /// How often it has given tokens for this.
    pub(crate) fn gave(&self, grant: &str) -> usize {
        self.count("gave", grant)
    }

    /// How often it has refused tokens for this.
    pub(crate) fn refused(&self, grant: &str) -> usize {
        self.count("refused", grant)
    }

    fn count(&self, what: &str, grant: &str) -> usize {
        let lines = self.told.all();
        let values = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        values.filter(|line| line[what] == grant).count()
    }

    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again at its address; it has forgotten everybody.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        (self.child, self.told) = run(port, self.life);
        assert_eq!(url(&self.told), self.url);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(port: u16, life: u32) -> (Child, Journal<String>) {
    let mut child = Command::new("node")
        .args(["server.mjs", &port.to_string(), &life.to_string()])
        .current_dir(folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("node is needed for a real provider of logins: `cargo xtask test` installs it");
    let (told, output) = (Journal::default(), child.stdout.take().unwrap());
    let lines: Journal<String> = told.clone();
    thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).for_each(|line| lines.push(line))
    });
    (child, told)
}

fn url(told: &Journal<String>) -> String {
    eventually("the provider to be ready", || {
        let lines = told.all();
        let first: Value = serde_json::from_str(lines.first()?).ok()?;
        Some(first["issuer"].as_str().expect("an issuer").to_owned())
    })
}
