//! `tidegate weight`: gives a target another share of its service's requests while the gateway runs.

use serde_json::json;

use super::Exit;
use super::admin_client::{At, asked};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The target as written in the configuration, such as users-a:8000, or the address of one endpoint
    #[arg(value_name = "TARGET")]
    target: String,
    /// Its weight, 0 to 1000; without it, that of the configuration holds again
    #[arg(value_name = "WEIGHT", value_parser = clap::value_parser!(u32).range(0..=1000))]
    weight: Option<u32>,
    #[command(flatten)]
    admin: At,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command: "no" when the service has no such target.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn run(options: Options) -> Exit {
    let Options { service, target, weight, .. } = &options;
    let question = json!({ "service": service, "target": target, "weight": weight });
    if let Err(exit) = asked(&options.admin, "POST", "/api/v1/weight", Some(&question), options.json) {
        return exit;
    }
    match weight {
        _ if options.json => {}
        Some(weight) => println!("weight: {target} in {service} weighs {weight}"),
        None => println!("weight: {target} in {service} weighs what the configuration says"),
    }
    Exit::Good
}
