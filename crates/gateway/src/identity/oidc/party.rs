//! Asks a provider of logins on the control side: its metadata, tokens for codes, tokens for renewals.
//!
//! Workers put questions into a bounded queue and wait for the answer, bounded by themselves. A renewal is asked for once,
//! however many requests want it, and its answer is kept for a while for those that come late: a provider may take it for
//! theft when it is asked twice. Secrets and tokens stand in no log.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::identity::fetch::{Ask, Asker};
use crate::identity::jose::unique;
use crate::identity::provider;
use crate::identity::sending::{basic_value, encoded};
use crate::values::WebUrl;

/// Questions that wait, and those that are under way.
const QUEUE: usize = 256;
const UNDER_WAY: usize = 32;
/// Requests that wait for one renewal.
const WAITING: usize = 256;
/// Renewals that are remembered, and for how long.
const REMEMBERED: usize = 4096;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Most bytes of an answer.
const LARGEST: usize = 64 * 1024;
/// Longest token that is taken.
const LONGEST_TOKEN: usize = 8 * 1024;
/// How long metadata count as fresh, and the longest rest between two attempts while the provider fails.
const FRESH: Duration = Duration::from_secs(30 * 60);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Whom to ask, and as whom.
#[derive(Clone, PartialEq)]
pub struct PartySettings {
    /// The provider.
    pub issuer: WebUrl,
    /// The name of this client there.
    pub client_id: String,
    /// Its secret there; none for a client that has none.
    pub client_secret: Option<String>,
    /// Authorities that are trusted instead of the system's, in PEM.
    pub ca: Option<String>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Where a provider does what (OpenID Connect Discovery 1.0 section 3).
pub struct Endpoints {
    /// Where browsers log in.
    pub authorization: WebUrl,
    /// Where browsers log out, if anywhere.
    pub end_session: Option<WebUrl>,
    /// Whether the provider says who it is when browsers come back (RFC 9207).
    pub says_issuer: bool,
    token: WebUrl,
    /// Whether the client's secret stands in the body and not in a header.
    secret_in_body: bool,
}

/// Tokens as they were given.
#[derive(Clone)]
pub struct Tokens {
    /// Who it is.
    pub id_token: Option<String>,
    /// What to renew it with.
    pub refresh_token: Option<String>,
    /// The scopes that were granted, where that was said.
    pub scope: Option<String>,
    /// For how many seconds, where that was said.
    pub expires_in: Option<u64>,
}

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The provider says no.
    Refused,
    /// It does not answer, or says what cannot be understood.
    Unreachable,
}

/// What came of a question.
pub type Told = Result<Arc<Tokens>, Trouble>;

enum Question {
    /// The form that brings tokens for a code.
    Code(String),
    /// The token that brings newer ones.
    Renewal(String),
}

struct Asked {
    question: Question,
    answer: oneshot::Sender<Told>,
}

/// A renewal that is under way, or has ended a while ago.
enum Renewal {
    UnderWay(Vec<oneshot::Sender<Told>>),
    Ended(Instant, Told),
}

/// One provider and this client of it.
pub struct Party {
    settings: PartySettings,
    endpoints: ArcSwapOption<Endpoints>,
    tried: watch::Sender<bool>,
    queue: mpsc::Sender<Asked>,
    questions: Mutex<Option<mpsc::Receiver<Asked>>>,
}

impl Party {
    /// A provider that nobody asks yet.
    pub fn new(settings: PartySettings) -> Arc<Party> {
        let (queue, questions) = mpsc::channel(QUEUE);
        Arc::new(Party {
            settings,
            endpoints: ArcSwapOption::empty(),
            tried: watch::Sender::new(false),
            queue,
            questions: Mutex::new(Some(questions)),
        })
    }

    /// Whom it asks.
    pub fn settings(&self) -> &PartySettings {
        &self.settings
    }

    /// Where the provider does what, if it has ever said so.
    pub fn endpoints(&self) -> Option<Arc<Endpoints>> {
        self.endpoints.load_full()
    }

    /// Turns true when the provider has been asked for the first time.
    pub fn tried(&self) -> watch::Receiver<bool> {
        self.tried.subscribe()
    }

    /// Asks for the tokens of a code. None when too many questions wait.
    pub fn redeem(&self, code: &str, verifier: &str, redirect: &str) -> Option<oneshot::Receiver<Told>> {
        let (code, verifier, redirect) = (encoded(code), encoded(verifier), encoded(redirect));
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri={redirect}&code_verifier={verifier}"
        );
        self.put(Question::Code(form))
    }

    /// Asks for newer tokens. None when too many questions wait.
    pub fn renew(&self, token: &str) -> Option<oneshot::Receiver<Told>> {
        self.put(Question::Renewal(token.to_owned()))
    }

    fn put(&self, question: Question) -> Option<oneshot::Receiver<Told>> {
        let (answer, told) = oneshot::channel();
        self.queue.try_send(Asked { question, answer }).ok()?;
        Some(told)
    }

    /// Asks until it is no longer wanted.
    pub(in crate::identity) fn keep(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (Some(questions), Ok(asker)) = (questions, Asker::new(self.settings.ca.as_deref())) else {
                return;
            };
            tokio::join!(self.discover_again(&asker), self.answer_all(&asker, questions));
        })
    }

    /// Keeps the endpoints fresh. While the provider fails the last ones go on.
    async fn discover_again(&self, asker: &Asker) {
        let mut failures = 0u32;
        loop {
            let found = provider::metadata(asker, &self.settings.issuer).await;
            let rest = match found.and_then(|metadata| Endpoints::new(&metadata, &self.settings)) {
                Ok(endpoints) => {
                    self.endpoints.store(Some(Arc::new(endpoints)));
                    failures = 0;
                    FRESH
                }
                Err(fault) => {
                    tracing::warn!(url = %self.settings.issuer, "cannot find out where logins are: {fault}");
                    failures = failures.saturating_add(1);
                    Duration::from_secs(1u64 << failures.min(6)).min(RETRY_MOST)
                }
            };
            self.tried.send_replace(true);
            tokio::time::sleep(rest).await;
        }
    }

    async fn answer_all(self: &Arc<Self>, asker: &Asker, mut questions: mpsc::Receiver<Asked>) {
        let mut renewals: HashMap<[u8; 32], Renewal> = HashMap::new();
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                    if let Ok(Some((name, told))) = ended {
                        end(&mut renewals, name, &told);
                    }
                }
                asked = questions.recv(), if under_way.len() < UNDER_WAY => {
                    let Some(Asked { question, answer }) = asked else { return };
                    let (own, asker) = (self.clone(), asker.clone());
                    match question {
                        Question::Code(form) => _ = under_way.spawn(async move {
                            // Who asked may have gone meanwhile.
                            let _ = answer.send(own.ask(&asker, &form).await);
                            None
                        }),
                        Question::Renewal(token) => {
                            let Some(name) = begin(&mut renewals, &token, answer) else { continue };
                            under_way.spawn(async move {
                                let form = format!("grant_type=refresh_token&refresh_token={}", encoded(&token));
                                Some((name, own.ask(&asker, &form).await))
                            });
                        }
                    }
                }
            }
        }
    }

    /// Asks the token endpoint (RFC 6749 sections 4.1.3 and 6).
    async fn ask(&self, asker: &Asker, form: &str) -> Told {
        let Some(endpoints) = self.endpoints() else { return Err(Trouble::Unreachable) };
        let (id, secret) =
            (encoded(&self.settings.client_id), self.settings.client_secret.as_deref().map(encoded));
        let mut fields = vec![("Content-Type", "application/x-www-form-urlencoded")];
        let mut body = form.to_owned();
        let own;
        match secret {
            Some(secret) if !endpoints.secret_in_body => {
                // RFC 6749 section 2.3.1: both are encoded before they are put together.
                own = basic_value(&id, &secret);
                fields.push(("Authorization", &own));
            }
            Some(secret) => body.push_str(&format!("&client_id={id}&client_secret={secret}")),
            None => body.push_str(&format!("&client_id={id}")),
        }
        let (url, within) = (&endpoints.token, self.settings.timeout);
        let ask = Ask { url, fields: &fields, body: Some(body.into_bytes()), within, most: LARGEST };
        let fault = match asker.ask(ask).await {
            Ok(told) if told.status == 200 => match tokens(&told.body) {
                Some(tokens) => return Ok(Arc::new(tokens)),
                None => "its answer has no tokens that are known".to_owned(),
            },
            Ok(told) if matches!(told.status, 400 | 401 | 403) => {
                let why =
                    unique::object(&told.body).and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
                let why = why.filter(|why| why.len() < 64 && why.bytes().all(|byte| byte.is_ascii_graphic()));
                // `invalid_grant` is about the one who asks, everything else about this client.
                if why.as_deref() == Some("invalid_grant") {
                    return Err(Trouble::Refused);
                }
                format!("it refuses this client: {} {}", told.status, why.unwrap_or_default())
            }
            Ok(told) => format!("it answers {}", told.status),
            Err(fault) => fault,
        };
        tracing::warn!(url = %url, "cannot get the tokens of a login: {fault}");
        Err(Trouble::Unreachable)
    }
}

/// Begins a renewal, unless it is under way or has ended a while ago: then whoever asks gets what the others get.
fn begin(
    renewals: &mut HashMap<[u8; 32], Renewal>,
    token: &str,
    answer: oneshot::Sender<Told>,
) -> Option<[u8; 32]> {
    let name: [u8; 32] = digest::digest(&digest::SHA256, token.as_bytes()).as_ref().try_into().ok()?;
    match renewals.get_mut(&name) {
        Some(Renewal::UnderWay(waiting)) => {
            // Who finds no room is told that nobody can tell, by the end of the channel.
            if waiting.len() < WAITING {
                waiting.push(answer);
            }
            return None;
        }
        Some(Renewal::Ended(when, told)) if when.elapsed() < REMEMBERED_FOR => {
            let _ = answer.send(told.clone());
            return None;
        }
        _ => {}
    }
    if renewals.len() >= REMEMBERED {
        renewals.retain(|_, renewal| match renewal {
            Renewal::UnderWay(_) => true,
            Renewal::Ended(when, _) => when.elapsed() < REMEMBERED_FOR,
        });
        // Where many are renewed, the one that ended first makes room; its late ones ask again.
        let oldest = renewals.iter().filter_map(|(name, renewal)| match renewal {
            Renewal::UnderWay(_) => None,
            Renewal::Ended(when, _) => Some((*when, *name)),
        });
        if renewals.len() >= REMEMBERED
            && let Some((_, oldest)) = oldest.min()
        {
            renewals.remove(&oldest);
        }
    }
    renewals.insert(name, Renewal::UnderWay(vec![answer]));
    Some(name)
}

fn end(renewals: &mut HashMap<[u8; 32], Renewal>, name: [u8; 32], told: &Told) {
    let Some(Renewal::UnderWay(waiting)) = renewals.remove(&name) else { return };
    for answer in waiting {
        let _ = answer.send(told.clone());
    }
    // Where nobody could tell, the next request asks again.
    if !matches!(told, Err(Trouble::Unreachable)) {
        renewals.insert(name, Renewal::Ended(Instant::now(), told.clone()));
    }
}

fn tokens(body: &[u8]) -> Option<Tokens> {
    let answer = unique::object(body)?;
    let text = |name: &str| match answer.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) if text.len() <= LONGEST_TOKEN => Some(Some(text.clone())),
        Some(_) => None,
    };
    // Some providers say numbers as texts; what is no number is as if it was not said.
    let expires_in = answer.get("expires_in").and_then(|life| match life {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    Some(Tokens {
        id_token: text("id_token")?,
        refresh_token: text("refresh_token")?,
        scope: text("scope")?,
        expires_in,
    })
}

impl Endpoints {
    fn new(metadata: &Map<String, Value>, settings: &PartySettings) -> Result<Endpoints, String> {
        let url = |name: &str| -> Result<Option<WebUrl>, String> {
            let Some(written) = metadata.get(name).and_then(Value::as_str) else { return Ok(None) };
            let url: WebUrl = written.parse().map_err(|_| format!("`{name}` of the metadata is no URL"))?;
            if settings.issuer.is_https() && !url.is_https() {
                return Err(format!("`{name}` of the metadata leads from https to http"));
            }
            Ok(Some(url))
        };
        let needed = |name: &str| url(name)?.ok_or_else(|| format!("the metadata name no `{name}`"));
        let methods = metadata.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let knows = |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
        Ok(Endpoints {
            authorization: needed("authorization_endpoint")?,
            token: needed("token_endpoint")?,
            end_session: url("end_session_endpoint")?,
            says_issuer: metadata.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            secret_in_body: knows("client_secret_post") && !knows("client_secret_basic"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_asked_for_once_and_its_answer_is_kept_for_the_late() {
        let mut renewals = HashMap::new();
        let ask = |renewals: &mut HashMap<_, _>| {
            let (answer, told) = oneshot::channel();
            (begin(renewals, "r1", answer), told)
        };
        let (first, mut told) = ask(&mut renewals);
        let name = first.unwrap();
        let (second, mut also) = ask(&mut renewals);
        assert_eq!(second, None);
        end(&mut renewals, name, &Err(Trouble::Refused));
        assert_eq!(told.try_recv().unwrap().err(), Some(Trouble::Refused));
        assert_eq!(also.try_recv().unwrap().err(), Some(Trouble::Refused));
        let (third, mut late) = ask(&mut renewals);
        assert_eq!((third, late.try_recv().unwrap().err()), (None, Some(Trouble::Refused)));
        renewals.clear();
        let (again, _) = ask(&mut renewals);
        end(&mut renewals, again.unwrap(), &Err(Trouble::Unreachable));
        assert!(renewals.is_empty(), "what nobody could tell is asked again");
    }

    #[test]
    fn tokens_are_taken_from_what_is_an_answer() {
        let told =
            tokens(br#"{"id_token":"a.b.c","expires_in":60,"access_token":"x","token_type":"Bearer"}"#)
                .unwrap();
        assert_eq!(
            (told.id_token.as_deref(), told.refresh_token, told.expires_in),
            (Some("a.b.c"), None, Some(60))
        );
        for wrong in ["", "[]", "{\"id_token\":1}", "{\"id_token\":\"a\",\"id_token\":\"b\"}"] {
            assert!(tokens(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let long = format!("{{\"refresh_token\":\"{}\"}}", "x".repeat(LONGEST_TOKEN + 1));
        assert!(tokens(long.as_bytes()).is_none());
    }
}
