//! `tidegate key`: makes API keys and their hashes.
//!
//! A key is printed once and kept nowhere; the hash is what a configuration holds.

use std::io::Read;

use clap::Subcommand;

use super::{Exit, output};
use crate::identity::callers;
use crate::values::KeyHash;

/// The variable that holds the secret of the hashes, as `key_secret` of a configuration.
const SECRET: &str = "TIDEGATE_KEY_SECRET";
/// Letters and digits of a key behind its prefix: 43 of 62 are 256 bits.
const LENGTH: usize = 43;
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make an API key: prints the key once, and the hash for `consumers: { NAME: { api_keys: [HASH] } }`
    New {
        /// What the key begins with, to know it by: 1 to 8 letters or digits
        #[arg(long, default_value = "tgk", value_parser = prefix)]
        prefix: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read a key of your own from standard input and print its hash. It should be long and random
    Hash,
}

fn prefix(text: &str) -> Result<String, String> {
    let good = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if good { Ok(text.to_owned()) } else { Err("use 1 to 8 letters or digits".to_owned()) }
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let secret = std::env::var(SECRET).ok().filter(|secret| !secret.is_empty());
    match options.action {
        Action::New { prefix, json } => {
            let Some(letters) = letters() else { return refuse("the system gives no random numbers") };
            let key = format!("{prefix}_{letters}");
            let hash = hash_of(key.as_bytes(), secret.as_deref());
            if json {
                output::data(&format!("{}\n", serde_json::json!({ "key": key, "hash": hash.to_string() })));
            } else {
                output::data(&format!("key:  {key}\nhash: {hash}\n"));
            }
        }
        Action::Hash => {
            let mut key = String::new();
            if std::io::stdin().take(4096).read_to_string(&mut key).is_err() {
                return refuse("standard input is no text");
            }
            let key = key.trim_end_matches(['\n', '\r']);
            if !(16..=512).contains(&key.len()) {
                return refuse("a key has 16 to 512 characters; shorter ones can be guessed");
            }
            output::data(&format!("{}\n", hash_of(key.as_bytes(), secret.as_deref())));
        }
    }
    Exit::Good
}

fn hash_of(key: &[u8], secret: Option<&str>) -> KeyHash {
    KeyHash::new(callers::readable(key), callers::hash(key, secret))
}

/// Letters and digits by chance, each as likely as the others.
fn letters() -> Option<String> {
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let mut bytes = [0; 64];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        let drawn = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte >> 2)));
        text.extend(drawn.take(LENGTH.saturating_sub(text.len())).map(|letter| char::from(*letter)));
    }
    Some(text)
}

#[expect(clippy::print_stderr, reason = "stderr is where a command talks")]
fn refuse(why: &str) -> Exit {
    eprintln!("error: {why}");
    Exit::No
}
