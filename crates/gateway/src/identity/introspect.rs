//! Asks the server that gave a token whether it holds (RFC 7662), on the control side.
//!
//! Workers put questions into a bounded queue and wait for the answer, bounded by themselves; a queue that is full, and a
//! server that fails, mean that nobody can tell. At most so many questions are under way.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::fetch::{Ask, Asker};
use super::jose::unique;
use super::sending::{basic_value, encoded};
use crate::values::WebUrl;

/// Questions that wait, and those that are under way.
const QUEUE: usize = 256;
const UNDER_WAY: usize = 32;
/// Most bytes of an answer.
const LARGEST: usize = 64 * 1024;

/// Whom to ask, and as whom.
#[derive(Clone, PartialEq)]
pub struct IntrospectorSettings {
    /// The endpoint.
    pub url: WebUrl,
    /// The name and the secret of this client.
    pub client: (String, String),
    /// Authorities that are trusted instead of the system's, in PEM.
    pub ca: Option<String>,
    /// How long an answer may take.
    pub timeout: Duration,
}

struct Question {
    token: String,
    answer: oneshot::Sender<Option<Map<String, Value>>>,
}

/// One server that is asked.
pub struct Introspector {
    settings: IntrospectorSettings,
    queue: mpsc::Sender<Question>,
    questions: Mutex<Option<mpsc::Receiver<Question>>>,
}

impl Introspector {
    /// A server that nobody asks yet.
    pub fn new(settings: IntrospectorSettings) -> Arc<Introspector> {
        let (queue, questions) = mpsc::channel(QUEUE);
        Arc::new(Introspector { settings, queue, questions: Mutex::new(Some(questions)) })
    }

    /// Whom it asks.
    pub fn settings(&self) -> &IntrospectorSettings {
        &self.settings
    }

    /// Puts a question. None when too many wait. The answer is what the server says of the token, or none when it says
    /// nothing that can be understood.
    pub fn ask(&self, token: String) -> Option<oneshot::Receiver<Option<Map<String, Value>>>> {
        let (answer, told) = oneshot::channel();
        self.queue.try_send(Question { token, answer }).ok()?;
        Some(told)
    }

    /// Asks until it is no longer wanted.
    pub(super) fn keep(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (Some(mut questions), Ok(asker)) = (questions, Asker::new(self.settings.ca.as_deref()))
            else {
                return;
            };
            let mut under_way = JoinSet::new();
            while let Some(question) = questions.recv().await {
                while under_way.len() >= UNDER_WAY {
                    under_way.join_next().await;
                }
                let (own, asker) = (self.clone(), asker.clone());
                under_way.spawn(async move {
                    // Who asked may have gone meanwhile.
                    if !question.answer.is_closed() {
                        let _ = question.answer.send(own.put(&asker, &question.token).await);
                    }
                });
                while under_way.try_join_next().is_some() {}
            }
        })
    }

    async fn put(&self, asker: &Asker, token: &str) -> Option<Map<String, Value>> {
        let (id, secret) = &self.settings.client;
        let own = basic_value(&encoded(id), &encoded(secret));
        let fields = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", own.as_str())];
        let body = Some(format!("token={}&token_type_hint=access_token", encoded(token)).into_bytes());
        let ask = Ask {
            url: &self.settings.url,
            fields: &fields,
            body,
            within: self.settings.timeout,
            most: LARGEST,
        };
        let told = asker.ask(ask).await.and_then(|told| match told.status {
            200 => unique::object(&told.body).ok_or_else(|| "its answer is no JSON object".to_owned()),
            status => Err(format!("it answers {status}")),
        });
        match told {
            Ok(answer) => Some(answer),
            Err(fault) => {
                tracing::warn!(url = %self.settings.url, "cannot ask about a token: {fault}");
                None
            }
        }
    }
}
