//! What the demo prints at its start: what runs where, and commands to try with what each shows.
//!
//! Takes the addresses, gives text. Every command is one line that can be copied.

use std::io::{self, Write};

use super::{Instance, Running};

/// Commands to try: what follows `curl`, with `G` for the gateway, `A` for its admin address, `I` for the development
/// issuer and `T` for this program, and what it shows.
const COMMANDS: [(&str, &str); 10] = [
    ("-i G/v2/users/1", "a user; X-Instance tells which of two instances answered, ask again"),
    ("G/v1/users/1", "the same user from the old service, which says user_name"),
    ("'G/products/?q=lantern'", "a search, passed on with its query"),
    (
        "-i G/payments/ -H 'Content-Type: application/json' -d '{\"user\":1,\"amount_cents\":4200}'",
        "201, or at times what a failing service looks like",
    ),
    ("-i G/orders/1", "401: orders are for who has a token"),
    (
        "-i G/orders/1 -H \"Authorization: Bearer $(T token --sub u1 --issuer I)\"",
        "200; X-Asked-By is who the service was told is asking",
    ),
    ("-N G/events/orders", "an event each second, not held back"),
    ("-i G/old-shop/mugs", "a redirect that needs no service"),
    ("-i -X DELETE G/products/1", "405 with Allow, as a problem with a request id"),
    ("-s A/metrics | grep requests_total", "what has happened so far, by route"),
];

/// Prints the greeting.
pub(crate) fn print(
    output: &mut dyn Write,
    running: &Running,
    instances: &[Instance],
    traffic: bool,
) -> io::Result<()> {
    let (gateway, admin) = (format!("http://{}", running.gateway), format!("http://{}", running.admin));
    writeln!(output, "The shop is open.\n")?;
    writeln!(output, "  {:<16} {gateway}", "gateway")?;
    writeln!(output, "  {:<16} {admin}", "admin")?;
    for instance in instances {
        writeln!(output, "  {:<16} {}   {}", instance.name(), instance.url(), instance.about())?;
    }
    writeln!(output, "\nIts configuration is {}. Try:\n", super::NAME)?;
    let issuer = instances.iter().find(|instance| instance.name() == "issuer").map(Instance::url);
    let program = std::env::current_exe().map(|path| path.display().to_string());
    let program = program.unwrap_or_else(|_| "tidegate".to_owned());
    for (command, shows) in COMMANDS {
        let command = command.replace("G/", &format!("{gateway}/")).replace("A/", &format!("{admin}/"));
        let command =
            command.replace("issuer I)", &format!("issuer {})", issuer.as_deref().unwrap_or_default()));
        let command = command.replace("$(T ", &format!("$({program} "));
        writeln!(output, "  curl {command}\n      {shows}")?;
    }
    let about = match traffic {
        true => "A built-in client sends about ten requests a second (--no-traffic stops it).",
        false => "No traffic but yours.",
    };
    writeln!(output, "\n{about} Ctrl-C ends everything.\n")?;
    output.flush()
}
