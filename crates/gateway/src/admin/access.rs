//! Who asks the admin API, and what they may do.
//!
//! Takes the fields of a request; gives a caller, by the token in `Authorization` or by the session that a browser got
//! for it. Tokens are known by their hashes alone. Must never let a request pass whose caller it does not know, and a
//! session never outlives the token it was given for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header};

use super::state_folder;
use crate::config::{Config, Role};
use crate::identity::callers;
use crate::observe::Figure;
use crate::values::KeyHash;

/// The variable that holds the first token, for gateways that are started by machines.
pub const VARIABLE: &str = "TIDEGATE_ADMIN_TOKEN";
/// The file that holds the hash of the first token.
const FILE: &str = "admin-token";
/// The name of the first token's bearer.
const FIRST: &str = "first";
/// The cookie of a session.
const COOKIE: &str = "tidegate_session";
/// The field that brings the key of a session. Browsers send cookies to every port of a host, so that what stands behind the
/// gateway may see them; the key is known to the pages of this address alone.
pub const KEY: &str = "x-tidegate-key";
/// The shortest token that is taken from the environment.
const SHORTEST: usize = 24;
/// Letters and digits of a token behind its prefix: 43 of 62 are 256 bits.
const LENGTH: usize = 43;
/// Sessions at a time; the oldest make room.
const MOST_SESSIONS: usize = 64;
/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3_600);

/// Somebody who may use the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token.
    pub name: Arc<str>,
    /// What its bearer may do.
    pub role: Role,
    /// Whether a browser's session stood for the token.
    pub by_session: bool,
    pub(super) token: [u8; 32],
}

impl Caller {
    /// The gateway itself, for what it does of its own.
    pub fn gateway() -> Caller {
        Caller { name: "tidegate".into(), role: Role::Admin, by_session: false, token: [0; 32] }
    }
}

/// The tokens and sessions of the admin address.
pub struct Access {
    /// The hash of the first token, where there is one.
    first: Option<[u8; 32]>,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    refused: AtomicU64,
}

struct Session {
    token: [u8; 32],
    key: [u8; 32],
    until: Instant,
}

/// A token that was made just now, to be shown this once.
pub struct Fresh {
    /// The token.
    pub token: String,
    /// Where its hash is kept; `None` where it lasts only as long as the process.
    pub kept: Option<PathBuf>,
}

impl Access {
    /// Takes up the first token: from the environment, from its file, or made now where the configuration names none.
    ///
    /// # Errors
    /// A sentence when the variable holds what is no token, or the system gives no random numbers.
    pub fn open(config: &Config, state: Option<&Path>) -> Result<(Access, Option<Fresh>), String> {
        let access = |first| Access { first, sessions: Mutex::default(), refused: AtomicU64::new(0) };
        if let Ok(token) = std::env::var(VARIABLE)
            && !token.is_empty()
        {
            if token.len() < SHORTEST {
                return Err(format!("{VARIABLE} is no token: it needs {SHORTEST} characters or more"));
            }
            return Ok((access(Some(first_hash(&token))), None));
        }
        if !config.admin.tokens.is_empty() {
            return Ok((access(None), None));
        }
        let file = state.map(|state| state.join(FILE));
        let known = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        if let Some(known) = known {
            let hash: KeyHash = known.trim().parse().map_err(|_| {
                format!("{} holds no hash of a token: remove it for a new one", shown(file.as_deref()))
            })?;
            return Ok((access(Some(*hash.bytes())), None));
        }
        let token = make().ok_or("the system gives no random numbers")?;
        let hash = first_hash(&token);
        let kept = file.filter(|file| {
            let text = format!("{}\n", KeyHash::new(callers::readable(token.as_bytes()), hash));
            let written = state_folder::write_private(file, text.as_bytes());
            if let Err(error) = &written {
                tracing::warn!("cannot keep the hash of the admin token in {}: {error}", file.display());
            }
            written.is_ok()
        });
        Ok((access(Some(hash)), Some(Fresh { token, kept })))
    }

    /// The caller of a request with these fields, if it is known.
    pub fn caller(&self, headers: &HeaderMap, config: &Config) -> Option<Caller> {
        if let Some(token) = bearer(headers) {
            return self.bearer(token, config);
        }
        let id = session_id(headers)?;
        let key = digest(headers.get(KEY)?.as_bytes());
        let token = {
            let sessions = self.sessions();
            let session = sessions.get(&digest(id.as_bytes()))?;
            let whole = verify_slices_are_equal(&session.key, &key).is_ok();
            (whole && session.until > Instant::now()).then_some(session.token)?
        };
        self.known(token, config).map(|caller| Caller { by_session: true, ..caller })
    }

    /// The bearer of a token, if it is known.
    pub fn bearer(&self, token: &str, config: &Config) -> Option<Caller> {
        let first = first_hash(token);
        let secret = config.key_secret.as_ref().map(|secret| secret.expose());
        self.known(first, config).or_else(|| self.known(callers::hash(token.as_bytes(), secret), config))
    }

    fn known(&self, hash: [u8; 32], config: &Config) -> Option<Caller> {
        let is = |own: &[u8; 32]| verify_slices_are_equal(own, &hash).is_ok();
        let caller = |name: &str, role| Caller { name: name.into(), role, by_session: false, token: hash };
        if self.first.as_ref().is_some_and(is) {
            return Some(caller(FIRST, Role::Admin));
        }
        let found = config.admin.tokens.iter().find(|(_, token)| is(token.hash.bytes()));
        found.map(|(name, token)| caller(name, token.role))
    }

    /// Somebody was turned away.
    pub fn turned_away(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was, for the metrics page.
    pub fn figure(&self) -> Figure {
        let help = "Requests to the admin API that were turned away for want of a token or a role.";
        let value = self.refused.load(Ordering::Relaxed);
        Figure { name: "tidegate_admin_refused", help, counts: true, value }
    }

    /// Begins a session; gives the line that sets its cookie, and its key.
    pub fn begin(&self, caller: &Caller) -> Option<(String, String)> {
        let (id, key) = (make()?, make()?);
        let (now, mut sessions) = (Instant::now(), self.sessions());
        sessions.retain(|_, session| session.until > now);
        while sessions.len() >= MOST_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.until).map(|(id, _)| *id)?;
            sessions.remove(&oldest);
        }
        let session = Session { token: caller.token, key: digest(key.as_bytes()), until: now + SESSION };
        sessions.insert(digest(id.as_bytes()), session);
        let seconds = SESSION.as_secs();
        let cookie = format!("{COOKIE}={id}; Path=/api/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
        Some((cookie, key))
    }

    /// Ends the session of these fields; gives the line that takes its cookie away.
    pub fn end(&self, headers: &HeaderMap) -> String {
        if let Some(id) = session_id(headers) {
            self.sessions().remove(&digest(id.as_bytes()));
        }
        format!("{COOKIE}=; Path=/api/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(file: Option<&Path>) -> String {
    file.map(|file| file.display().to_string()).unwrap_or_default()
}

fn first_hash(token: &str) -> [u8; 32] {
    callers::hash(token.as_bytes(), None)
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest.as_ref()).for_each(|(byte, from)| *byte = *from);
    hash
}

/// The token in `Authorization: Bearer ..` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, id)| id)
}

/// A token by chance, each letter and digit as likely as the others.
fn make() -> Option<String> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::from("tga_");
    let whole = text.len().saturating_add(LENGTH);
    while text.len() < whole {
        let mut bytes = [0; 64];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        let drawn = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte >> 2)));
        text.extend(drawn.take(whole.saturating_sub(text.len())).map(|letter| char::from(*letter)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{System, load_text};

    fn config(text: &str) -> Config {
        let known = crate::config::Known { policies: &[] };
        load_text(
            "test",
            format!("listen: 127.0.0.1:0\nroutes: {{ /: {{ respond: 200 }} }}\n{text}"),
            &System,
            &known,
        )
        .unwrap()
        .config
    }

    fn fields(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_first_token_is_made_once_and_kept_as_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let config = config("");
        let (access, fresh) = Access::open(&config, Some(folder.path())).unwrap();
        let token = fresh.unwrap().token;
        let kept = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!kept.contains(&token), "{kept}");
        let (again, none) = Access::open(&config, Some(folder.path())).unwrap();
        assert!(none.is_none());
        for access in [&access, &again] {
            let caller = access.caller(&fields(header::AUTHORIZATION, &format!("bearer {token}")), &config);
            assert_eq!(caller.map(|caller| caller.role), Some(Role::Admin));
            for wrong in ["Bearer ", "Bearer tga_x", &format!("Basic {token}"), &token] {
                assert_eq!(access.caller(&fields(header::AUTHORIZATION, wrong), &config), None, "{wrong}");
            }
        }
    }

    #[test]
    fn a_session_lasts_no_longer_than_its_token() {
        let token = "tga_abcdefghijklmnopqrstuvwxyz";
        let hash = KeyHash::new("tga_abcd", callers::hash(token.as_bytes(), None));
        let with = config(&format!("admin: {{ tokens: {{ ann: {{ hash: \"{hash}\", role: operator }} }} }}"));
        let (access, fresh) = Access::open(&with, None).unwrap();
        assert!(fresh.is_none());
        let ann = access.bearer(token, &with).unwrap();
        assert_eq!((&*ann.name, ann.role, ann.by_session), ("ann", Role::Operator, false));
        let (set, key) = access.begin(&ann).unwrap();
        let cookie = set.split(';').next().unwrap().to_owned();
        let mut asked = fields(header::COOKIE, &format!("a=b; {cookie}"));
        assert_eq!(access.caller(&asked, &with), None, "a cookie alone is nothing");
        asked.insert(KEY, key.parse().unwrap());
        assert!(access.caller(&asked, &with).is_some_and(|caller| caller.by_session));
        assert_eq!(access.caller(&asked, &config("")), None);
        access.end(&asked);
        assert_eq!(access.caller(&asked, &with), None);
    }

    #[test]
    fn sessions_are_bounded() {
        let with = config("");
        let (access, fresh) = Access::open(&with, None).unwrap();
        let caller = access.bearer(&fresh.unwrap().token, &with).unwrap();
        (0..MOST_SESSIONS + 10).for_each(|_| drop(access.begin(&caller)));
        assert_eq!(access.sessions().len(), MOST_SESSIONS);
    }
}
