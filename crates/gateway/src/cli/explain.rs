//! `tidegate explain`: what would become of a request, and why.
//!
//! Asks a file, or a gateway that runs; both answer by the code that decides requests. Sends no request anywhere.

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Exit, admin_client, check, file_or_usual, output};
use crate::admin::control::Source;
use crate::admin::explain::{Explanation, Outcome, Question, explain};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The method: GET, POST, ...
    method: String,
    /// A URL, or just a path
    url: String,
    /// A header of the request; may be given often
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The address that the request comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    from: IpAddr,
    /// Bytes of the request's body
    #[arg(long, value_name = "BYTES")]
    body_size: Option<u64>,
    /// The listener it comes in on [default: the first]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The configuration: a file, or a folder of *.yaml files [default: gateway.yaml]
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Ask the gateway that runs at this admin address: http://127.0.0.1:9900, unix:/run/tidegate/admin.sock
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let question = match question(&options) {
        Ok(question) => question,
        Err(message) => return fail(&message, Exit::Usage),
    };
    let told = match &options.admin {
        Some(admin) => ask_running(admin, &question),
        None => ask_file(options.config, &question),
    };
    let told = match told {
        Ok(told) => told,
        Err(exit) => return exit,
    };
    if options.json {
        output::json(&json!(told));
    } else {
        output::data(&told.to_string());
    }
    if told.outcome == Outcome::Refused { Exit::No } else { Exit::Good }
}

fn question(options: &Options) -> Result<Question, String> {
    let headers = options.headers.iter().map(|line| {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{}` is no header: write -H 'Name: value'", line.escape_debug()))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    });
    Ok(Question {
        method: options.method.clone(),
        url: options.url.clone(),
        headers: headers.collect::<Result<_, String>>()?,
        from: options.from,
        listener: options.listener.clone(),
        body_size: options.body_size,
    })
}

fn ask_file(config: Option<PathBuf>, question: &Question) -> Result<Explanation, Exit> {
    let compiled = Source::Path(file_or_usual(config)).compile(1, None, 1);
    let (_, snapshot) = compiled.map_err(|faults| check::refuse(&faults))?;
    explain(&snapshot, question).map_err(|unclear| fail(&unclear.to_string(), Exit::Usage))
}

fn ask_running(admin: &str, question: &Question) -> Result<Explanation, Exit> {
    let called = admin_client::call(admin, "POST", "/api/v1/explain", Some(&json!(question)));
    let (status, body) = called.map_err(|message| fail(&message, Exit::Unreachable))?;
    let answer: Option<Value> = serde_json::from_str(&body).ok();
    let detail = answer.as_ref().and_then(|answer| answer.get("detail")?.as_str().map(str::to_owned));
    match (status, answer) {
        (200, Some(answer)) => serde_json::from_value(answer).map_err(|error| {
            fail(&format!("{admin} answers in another version: {error}"), Exit::Unreachable)
        }),
        (400, _) => Err(fail(&detail.unwrap_or_else(|| "the question was refused".into()), Exit::Usage)),
        (status, _) => {
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            Err(fail(&format!("{admin} answers with {status}{detail}"), Exit::Unreachable))
        }
    }
}

fn fail(message: &str, exit: Exit) -> Exit {
    output::talk(&format!("error: {message}\n"));
    exit
}
