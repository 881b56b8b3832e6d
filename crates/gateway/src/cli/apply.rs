//! `tidegate apply`: puts a configuration in the place of a running gateway's, and lets it go back by itself.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::admin_client::{self, At, Told};
use super::{Exit, output};
use crate::values::{Duration, Percent};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The configuration that is to run
    file: PathBuf,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Go back by itself unless `tidegate confirm` comes within this time, such as 60s
    #[arg(long, value_name = "TIME")]
    confirm: Option<Duration>,
    /// Let it serve this share of the requests first, such as 10%, and put it in force only if that goes well
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["confirm", "dry_run"])]
    canary: Option<Percent>,
    /// How long it is tried
    #[arg(long = "for", value_name = "TIME", default_value = "5m", requires = "canary")]
    time: Duration,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Refuse if the gateway's configuration is not the one with this fingerprint
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    #[command(flatten)]
    admin: At,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    apply(&options).unwrap_or_else(|exit| exit)
}

fn apply(options: &Options) -> Result<Exit, Exit> {
    let text = std::fs::read_to_string(&options.file).map_err(|error| {
        admin_client::refuse(&format!("cannot read {}: {error}", options.file.display()), Exit::Usage)
    })?;
    let seen = match &options.if_match {
        Some(seen) => seen.clone(),
        None => {
            let Told { body, .. } = admin_client::told(&options.admin, "GET", "/api/v1/config", &[], None)?;
            body.get("etag").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    let body = json!({
        "text": text,
        "message": options.message,
        "confirm_seconds": options.confirm.map(|confirm| confirm.get().as_secs()),
        "dry_run": options.dry_run,
        "canary": options.canary.map(|share| {
            json!({ "share": share.to_string(), "seconds": options.time.get().as_secs() })
        }),
    });
    let tag = format!("\"{seen}\"");
    let fields = [("If-Match", &*tag)];
    let Told { body, .. } =
        admin_client::told(&options.admin, "PUT", "/api/v1/config", &fields, Some(&body))?;
    if let Some(share) = options.canary {
        let text = format!(
            "on trial for {share} of the requests; it is put in force in {} if it does well\n",
            options.time
        );
        if options.json {
            output::json(&body)
        } else {
            output::talk(&text)
        }
        return Ok(Exit::Good);
    }
    show(&body, options.json);
    if let Some(seconds) = body.get("confirm_within_seconds").and_then(Value::as_u64)
        && !options.dry_run
    {
        output::talk(&format!("it goes back in {seconds} s unless you run: tidegate confirm\n"));
    }
    Ok(Exit::Good)
}

/// Tells what a change did.
pub(super) fn show(body: &Value, json: bool) {
    if json {
        return output::json(body);
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    output::data(text("diff"));
    for change in body.get("changes").and_then(Value::as_array).into_iter().flatten() {
        output::talk(&format!("  {}\n", change.get("text").and_then(Value::as_str).unwrap_or_default()));
    }
    let number = body.get("number").and_then(Value::as_u64).unwrap_or(0);
    let revision = body.get("revision").unwrap_or(&Value::Null);
    match number {
        0 => output::talk(&format!("would be applied: {}\n", text("summary"))),
        _ => output::talk(&format!(
            "change {number} is in force as revision {revision}: {}\n",
            text("summary")
        )),
    }
}
