//! `tidegate demo`: the shop behind the gateway.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use super::Exit;
use super::run::{log_to_stderr, text_source};
use crate::admin::address::AdminAddress;
use crate::admin::process::{Process, Start};
use crate::config::LogLevel;
use crate::demo::{self, DemoError, DemoOptions, Running};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// Send no traffic of its own
    #[arg(long)]
    no_traffic: bool,
    /// Port of 127.0.0.1 for clients; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Serve under TLS too, by a certificate of a throw-away authority
    #[arg(long)]
    tls: bool,
    /// Port of 127.0.0.1 for clients under TLS; 0 takes a free one
    #[arg(long, default_value_t = 8443, requires = "tls")]
    tls_port: u16,
    /// Port of 127.0.0.1 for the admin address; 0 takes a free one
    #[arg(long, default_value_t = 9900)]
    admin_port: u16,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let options = DemoOptions {
        port: options.port,
        admin_port: options.admin_port,
        tls_port: options.tls.then_some(options.tls_port),
        traffic: !options.no_traffic,
        // The log of the built-in client's requests would carry the greeting off the screen.
        log: options.no_traffic || !std::io::stdout().is_terminal(),
    };
    match demo::run(&options, &mut std::io::stdout(), start) {
        Ok(()) => Exit::Good,
        Err(error) => refuse(&error),
    }
}

/// Starts the gateway on a runtime of its own, which then waits for its end.
fn start(name: &str, text: &str, variables: &BTreeMap<String, String>) -> Result<Running, String> {
    // The greeting says what runs where; only what goes wrong needs to be said besides.
    log_to_stderr(LogLevel::Warn, false);
    let source = text_source(name, text, variables);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let mut process =
        runtime.block_on(Process::start(source, Start::default())).map_err(|error| error.to_string())?;
    let gateway = process.control.gateway.address("main").ok_or("the demo has no listener `main`")?;
    let secure = process.control.gateway.address("secure");
    let Some(AdminAddress::At(admin)) = process.admin else {
        return Err("the demo has no admin address of TCP".into());
    };
    let token = process.take_token().map(|fresh| fresh.token);
    let wait = move || {
        runtime.block_on(process.run());
        Ok(())
    };
    Ok(Running { gateway, secure, admin, token, wait: Box::new(wait) })
}

#[expect(clippy::print_stderr, reason = "stderr is where a command talks")]
fn refuse(error: &DemoError) -> Exit {
    eprintln!("error: {error}");
    Exit::No
}
