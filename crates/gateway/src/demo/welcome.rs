//! What the demo prints at its start: what runs where, and commands to try with what each shows.
//!
//! Takes the addresses, gives text. Every command is one line that can be copied.

use std::io::{self, Write};
use std::path::PathBuf;

use super::{Instance, Running};

/// Commands to try: what follows `curl`, with `G` for the gateway, `A` for its admin address, `W` for the switch, `I` for the
/// development issuer and `T` for this program, and what it shows.
const COMMANDS: [(&str, &str); 16] = [
    ("-i G/v2/users/1", "a user; X-Instance tells which of two instances answered, ask again"),
    ("-i G/v1/users/1", "the same from the old version, with Deprecation, Sunset and a Link to the new one"),
    (
        "-i 'G/dashboard?user=1'",
        "three services asked at the same time: Server-Timing tells how long each took",
    ),
    (
        "-i G/stock/7",
        "how many are in stock: JSON here, a call of gRPC at the service; ask for 99 to see its error",
    ),
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
    (
        "-X POST W/orders/stop",
        "both instances of orders are gone: ask as above, and the standby answers (Tidegate-Degraded: standby)",
    ),
    (
        "-X POST W/orders-standby/stop",
        "that too: you get your own last good answer, marked (Age, Tidegate-Degraded: last-good), after a minute a graceful 503",
    ),
    ("-X POST W/start", "all are back, and so are fresh answers"),
    (
        "-X POST W/products/slow",
        "each of its answers takes 600 ms longer: within a minute the console says so, and since when; W/start ends it",
    ),
    ("-N G/events/orders", "an event each second, not held back"),
    ("-i G/old-shop/mugs", "a redirect that needs no service"),
    ("-i -X DELETE G/products/1", "405 with Allow, as a problem with a request id"),
    ("-s A/metrics | grep requests_total", "what has happened so far, by route"),
];

/// The same under TLS, with `S` for the gateway there, `H` for its host and port, and `C` for the file to believe.
const SECURE: [(&str, &str); 4] = [
    ("curl --cacert C S/v2/users/1", "the same user under TLS, by an authority of this demo alone"),
    ("curl --cacert C --http1.1 -iN S/events/orders", "events under TLS and HTTP/1.1"),
    (
        "grpcurl -cacert C -import-path examples/shop -proto stock.proto -d '{\"id\":1}' H shop.Stock/Count",
        "a call of gRPC, if grpcurl is there: how many of a product are in stock",
    ),
    ("openssl s_client -connect H -CAfile C -brief </dev/null", "version, cipher and certificate"),
];

/// What the greeting tells of.
pub(crate) struct Greeting<'a> {
    pub(crate) running: &'a Running,
    pub(crate) instances: &'a [Instance],
    /// The file to believe under TLS.
    pub(crate) authority: Option<PathBuf>,
    pub(crate) traffic: bool,
    pub(crate) log: bool,
}

impl Greeting<'_> {
    /// Prints it.
    pub(crate) fn print(&self, output: &mut dyn Write) -> io::Result<()> {
        let Greeting { running, instances, traffic, .. } = self;
        let (gateway, admin) = (format!("http://{}", running.gateway), format!("http://{}", running.admin));
        writeln!(output, "The shop is open.\n")?;
        writeln!(output, "  {:<16} {gateway}", "gateway")?;
        if let Some(secure) = running.secure {
            writeln!(output, "  {:<16} https://localhost:{}", "gateway, TLS", secure.port())?;
        }
        writeln!(output, "  {:<16} {admin}", "admin")?;
        if let Some(token) = &running.token {
            writeln!(output, "  {:<16} {admin}/#token={token}", "console")?;
            writeln!(output, "  {:<16} export TIDEGATE_ADMIN_TOKEN={token}", "for commands")?;
        }
        for instance in *instances {
            writeln!(output, "  {:<16} {}   {}", instance.name(), instance.url(), instance.about())?;
        }
        writeln!(output, "\nIts configuration is {}. Try:\n", super::NAME)?;
        let url_of = |name| instances.iter().find(|instance| instance.name() == name).map(Instance::url);
        let (issuer, switch) = (url_of("issuer").unwrap_or_default(), url_of("switch").unwrap_or_default());
        let program = std::env::current_exe().map(|path| path.display().to_string());
        let program = program.unwrap_or_else(|_| "tidegate".to_owned());
        for (command, shows) in COMMANDS {
            let command = command.replace("G/", &format!("{gateway}/")).replace("A/", &format!("{admin}/"));
            let command = command.replace("W/", &format!("{switch}/"));
            let command = command.replace("issuer I)", &format!("issuer {issuer})"));
            let command = command.replace("$(T ", &format!("$({program} "));
            writeln!(output, "  curl {command}\n      {shows}")?;
        }
        writeln!(output, "  {gateway}/account/orders/1\n      in a browser: log in as whoever you like")?;
        self.print_secure(output)?;
        let about = match *traffic {
            true => "A built-in client sends about ten requests a second (--no-traffic stops it).",
            false => "No traffic but yours.",
        };
        let log =
            if self.log { "" } else { " Requests are not logged here: see the console, or `tidegate tail`." };
        writeln!(output, "\n{about}{log} Ctrl-C ends everything.\n")?;
        output.flush()
    }

    /// Prints what can be tried under TLS, if anything can.
    fn print_secure(&self, output: &mut dyn Write) -> io::Result<()> {
        let (Some(secure), Some(authority)) = (self.running.secure, &self.authority) else { return Ok(()) };
        let host = format!("localhost:{}", secure.port());
        let authority = authority.display().to_string();
        for (command, shows) in SECURE {
            let words: Vec<String> = command
                .split(' ')
                .map(|word| match word {
                    "C" => authority.clone(),
                    "H" => host.clone(),
                    word => {
                        word.strip_prefix("S/").map_or(word.into(), |path| format!("https://{host}/{path}"))
                    }
                })
                .collect();
            writeln!(output, "  {}\n      {shows}", words.join(" "))?;
        }
        Ok(())
    }
}
