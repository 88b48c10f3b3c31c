//! Requests to the JetStream API, all with one time limit and one view of errors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::client::{Client, PublishErrorKind, Request, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Error as ServerError, ErrorCode};
use async_nats::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::clock::BootInstant;
use crate::error::BusError;
use crate::health::Connection;

/// How long the server may take for an answer: a cluster elects a new leader within about 4 s.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What became of the connection so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// How often it was lost.
    pub(super) losses: u64,
    /// How often it was there again.
    pub(super) returns: u64,
    /// When it was lost last.
    pub(super) lost: Option<BootInstant>,
}

/// How many denials are kept for a request that is slow to look; one that missed its own runs into the time limit.
const DENIALS: usize = 64;

/// What ends the hope of requests for their answers: one thing to wait for, as most of them wait for it in vain.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles {
    changed: watch::Sender<Trouble>,
    /// Subjects that this user turned out not to be allowed to publish on, as the server says so, the last ones with their
    /// numbers. It says it beside the answers: whoever waits for one would wait in vain.
    denied: Arc<Mutex<VecDeque<(u64, String)>>>,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// How often the connection was lost.
    losses: u64,
    /// How often the server said that this user may not publish on a subject.
    denials: u64,
}

impl Troubles {
    /// Notes how often the connection was lost so far.
    pub(super) fn lost(&self, losses: u64) {
        self.changed.send_if_modified(|trouble| std::mem::replace(&mut trouble.losses, losses) != losses);
    }

    /// Notes that this user may not publish on a subject.
    pub(super) fn denied(&self, subject: &str) {
        self.changed.send_modify(|trouble| {
            trouble.denials += 1;
            let mut last = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
            last.truncate(DENIALS - 1);
            last.push_front((trouble.denials, subject.to_owned()));
        });
    }

    /// Whether a subject was denied after the denial with this number.
    fn has_denied(&self, subject: &str, after: u64) -> bool {
        let last = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().take_while(|(number, _)| *number > after).any(|(_, denied)| denied == subject)
    }

    /// Waits until there is nothing more to hope for of a request on a subject that is made after this call, whenever it is
    /// first polled.
    fn of_request(&self, subject: String) -> impl Future<Output = Failure> {
        let mut changed = self.changed.subscribe();
        let Trouble { losses, denials: mut seen } = *changed.borrow_and_update();
        async move {
            loop {
                let now = changed.wait_for(|now| now.losses != losses || now.denials != seen).await;
                match now.map(|now| *now) {
                    Ok(now) if now.losses != losses => {
                        return Failure::Unavailable("the connection was lost".to_owned());
                    }
                    Ok(_) if self.has_denied(&subject, seen) => {
                        return Failure::Denied(format!(
                            "this user may not publish on {subject}: give the user that permission on the NATS server, \
                             or connect as another"
                        ));
                    }
                    Ok(now) => seen = now.denials,
                    // The client is gone, which others tell.
                    Err(_) => std::future::pending().await,
                }
            }
        }
    }
}

/// Why a request has no answer, or not the one that was hoped for.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The server says no.
    Server(ServerError),
    /// Nothing listens on the subject: no JetStream, or not yet; no such stream.
    NoResponders,
    /// The connection is down or the answer did not come in time.
    Unavailable(String),
    /// The message is larger than the server takes.
    TooLarge(String),
    /// The user may not publish on the subject.
    Denied(String),
    /// The client does not send it, or the answer cannot be read.
    Invalid(String),
}

impl Failure {
    /// The server's own number of the error, if the server answered with one.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(error) => Some(error.error_code()),
            _ => None,
        }
    }

    /// The answer of an operation cannot be read.
    pub(super) fn unreadable(error: &dyn std::fmt::Display) -> Self {
        Self::Invalid(format!("the answer cannot be read: {error}"))
    }

    /// The failure of an operation of ours.
    pub(super) fn during(self, operation: impl Into<String>) -> BusError {
        let operation = operation.into();
        match self {
            Self::Server(error)
                if matches!(
                    error.error_code(),
                    ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
                ) =>
            {
                BusError::Unsuitable(format!(
                    "{operation}: JetStream is not enabled for this account of the NATS server ({error}): enable it there, or use another account"
                ))
            }
            Self::Server(error) if error.error_code() == ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
                BusError::Unsuitable(format!(
                    "{operation}: this NATS server belongs to no cluster, so there can be no copies: leave --replicas out, or use \
                     servers that form a cluster (`mesh up --cluster` starts one to try)"
                ))
            }
            Self::Server(error) if error.code() >= 500 => {
                BusError::Unavailable { operation, error: error.to_string() }
            }
            Self::Server(error) => BusError::Refused { operation, error: error.to_string() },
            Self::NoResponders => {
                BusError::Unavailable { operation, error: "JetStream does not answer".to_owned() }
            }
            Self::Unavailable(error) => BusError::Unavailable { operation, error },
            Self::TooLarge(error) | Self::Denied(error) | Self::Invalid(error) => {
                BusError::Refused { operation, error }
            }
        }
    }
}

/// The connection, as a caller of the JetStream API.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) client: Client,
    link: watch::Receiver<Link>,
    troubles: Troubles,
}

impl Api {
    pub(super) fn new(client: Client, link: watch::Receiver<Link>, troubles: Troubles) -> Self {
        Self { client, link, troubles }
    }

    /// Tells of every loss and return of the connection from now on.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        let mut link = self.link.clone();
        link.mark_unchanged();
        link
    }

    pub(super) fn connection(&self) -> Connection {
        let Link { losses, returns, lost } = *self.link.borrow();
        Connection { lost: lost.filter(|_| losses > returns), returns }
    }

    /// Sends a message and waits for the answer to it.
    ///
    /// A request that was under way when the connection was lost fails at once: its answer, if there was one,
    /// was lost with the connection, and waiting for it would only delay the next try.
    pub(super) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<async_nats::Message, Failure> {
        let mut request = Request::new().payload(payload).timeout(None);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let hopeless = self.troubles.of_request(subject.clone());
        tokio::select! {
            biased;
            answer = tokio::time::timeout(TIME_LIMIT, self.client.send_request(subject, request)) => match answer {
                Ok(answer) => answer.map_err(|error| match error.kind() {
                    RequestErrorKind::NoResponders => Failure::NoResponders,
                    RequestErrorKind::MaxPayloadExceeded => Failure::TooLarge(error.to_string()),
                    RequestErrorKind::InvalidSubject => Failure::Invalid(error.to_string()),
                    RequestErrorKind::TimedOut | RequestErrorKind::Other => Failure::Unavailable(error.to_string()),
                }),
                Err(_) => Err(Failure::Unavailable(format!("no answer within {} s", TIME_LIMIT.as_secs()))),
            },
            failure = hopeless => Err(failure),
        }
    }

    /// Calls an operation of the JetStream API with JSON in and out.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        arguments: &impl Serialize,
    ) -> Result<T, Failure> {
        let payload = to_json(arguments)?;
        let answer = self.request(format!("$JS.API.{operation}"), None, payload).await?;
        answer_of(&answer)
    }

    /// Sends a message and does not wait for answers; those to `reply` come on that inbox. Waits a bounded time
    /// while the connection is down and the client's queue is full.
    pub(super) async fn send(
        &self,
        subject: String,
        reply: Option<String>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), Failure> {
        let client = &self.client;
        let sent = async {
            match (reply, headers) {
                (None, None) => client.publish(subject, payload).await,
                (None, Some(headers)) => client.publish_with_headers(subject, headers, payload).await,
                (Some(reply), None) => client.publish_with_reply(subject, reply, payload).await,
                (Some(reply), Some(headers)) => {
                    client.publish_with_reply_and_headers(subject, reply, headers, payload).await
                }
            }
        };
        match tokio::time::timeout(TIME_LIMIT, sent).await {
            Ok(sent) => sent.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => Failure::TooLarge(error.to_string()),
                PublishErrorKind::InvalidSubject => Failure::Invalid(error.to_string()),
                PublishErrorKind::Send => Failure::Unavailable(error.to_string()),
            }),
            Err(_) => Err(Failure::Unavailable("the connection is down".to_owned())),
        }
    }
}

/// Reads the JSON that the JetStream API answers with.
pub(super) fn answer_of<T: DeserializeOwned>(answer: &async_nats::Message) -> Result<T, Failure> {
    match serde_json::from_slice(&answer.payload) {
        Ok(Response::Ok(value)) => Ok(value),
        Ok(Response::Err { error }) => Err(Failure::Server(error)),
        Err(error) => Err(Failure::unreadable(&error)),
    }
}

/// Arguments of an operation as JSON.
pub(super) fn to_json(arguments: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(arguments).map(Bytes::from).map_err(|error| Failure::Invalid(error.to_string()))
}

/// The status that the server sent in place of a message.
pub(super) fn status(message: &async_nats::Message) -> Option<StatusCode> {
    message.status.filter(|status| *status != StatusCode::OK)
}
