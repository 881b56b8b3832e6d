//! `tidegate drain` and `tidegate undrain`: take a target out of use, and back, while the gateway runs.

use serde_json::{Value, json};

use super::Exit;
use super::admin_client::{At, asked};

/// What the commands are told.
#[derive(clap::Args)]
pub struct Options {
    /// The target as written in the configuration, such as users-a:8000, or the address of one endpoint
    #[arg(value_name = "TARGET")]
    target: String,
    /// Only in this service; without it, in every service that has the target
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    admin: At,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Takes a target out: "no" when no service has it.
pub fn drain(options: Options) -> Exit {
    run(&options, "drain")
}

/// Takes a target back in: "no" when no service has it.
pub fn undrain(options: Options) -> Exit {
    run(&options, "undrain")
}

#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
fn run(options: &Options, what: &str) -> Exit {
    let question = json!({ "target": options.target, "service": options.service });
    let path = format!("/api/v1/{what}");
    let answer = match asked(&options.admin, "POST", &path, Some(&question), options.json) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if !options.json {
        let words = |key: &str| {
            let all = answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
            let words: Vec<String> = all.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
            words.join(", ")
        };
        let under_way = answer.get("in_flight").and_then(Value::as_u64).unwrap_or(0);
        println!("{what}: {} in {}, {under_way} requests under way", words("endpoints"), words("services"));
    }
    Exit::Good
}
