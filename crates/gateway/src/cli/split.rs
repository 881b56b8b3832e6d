//! `tidegate split`: shows how routes are spread over services, and gives them other weights while the gateway runs.

use serde_json::{Map, Value, json};

use super::Exit;
use super::admin_client::{At, asked, refuse};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The key of a route, such as "/users/*"; without it, all splits are shown
    #[arg(value_name = "ROUTE")]
    route: Option<String>,
    /// Weights, such as users=75 users-next=25: who is not named keeps its own
    #[arg(value_name = "SERVICE=WEIGHT", requires = "route")]
    weights: Vec<String>,
    /// Let the weights of the configuration hold again
    #[arg(long, requires = "route", conflicts_with = "weights")]
    reset: bool,
    /// Stop the progress where it is
    #[arg(long, requires = "route", conflicts_with = "resume")]
    pause: bool,
    /// Let the progress go on from the weights that hold now
    #[arg(long, requires = "route")]
    resume: bool,
    #[command(flatten)]
    admin: At,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command: "no" when there is no such split.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn run(options: Options) -> Exit {
    let mut weights = Map::new();
    for written in &options.weights {
        let parsed =
            written.split_once('=').and_then(|(name, weight)| Some((name, weight.parse::<f64>().ok()?)));
        let Some((name, weight)) = parsed else {
            return refuse(&format!("`{written}` is not a service, `=` and a weight"), Exit::Usage);
        };
        weights.insert(name.to_owned(), json!(weight));
    }
    let changes = !weights.is_empty() || options.reset || options.pause || options.resume;
    let answer = match &options.route {
        Some(route) if changes => {
            let progress = if options.pause { Some("pause") } else { options.resume.then_some("resume") };
            let told = (!weights.is_empty() || options.reset).then_some(weights);
            let question = json!({ "route": route, "weights": told, "progress": progress });
            asked(&options.admin, "POST", "/api/v1/split", Some(&question), options.json)
        }
        _ => asked(&options.admin, "GET", "/api/v1/splits", None, options.json),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    let all = answer.get("splits").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![answer]);
    let wanted = |split: &&Value| {
        options.route.as_deref().is_none_or(|route| split.get("route").and_then(Value::as_str) == Some(route))
    };
    let told: Vec<String> = all.iter().filter(wanted).map(shown).collect();
    if let (true, Some(route)) = (told.is_empty(), &options.route) {
        return refuse(&format!("no route `{route}` has a split"), Exit::No);
    }
    match (options.json, told.is_empty()) {
        (true, _) => {}
        (false, true) => println!("no route has a split"),
        (false, false) => print!("{}", told.concat()),
    }
    Exit::Good
}

/// One split as text.
fn shown(split: &Value) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut out = format!("{}\n", text(split.get("route")));
    for (name, arm) in split.get("services").and_then(Value::as_object).into_iter().flatten() {
        let number = |key: &str| arm.get(key).and_then(Value::as_u64).unwrap_or(0);
        let share = text(arm.get("share"));
        out.push_str(&format!(
            "  {name:<24} {share:>7}  {} requests, {} failed\n",
            number("requests"),
            number("failed")
        ));
    }
    if let Some(progress) = split.get("progress").filter(|progress| !progress.is_null()) {
        let why = progress.get("why").and_then(Value::as_str).map(|why| format!(": {why}"));
        let (stage, why) = (text(progress.get("stage")), why.unwrap_or_default());
        out.push_str(&format!("  progress of {}: {stage}{why}\n", text(progress.get("to"))));
    }
    out
}
