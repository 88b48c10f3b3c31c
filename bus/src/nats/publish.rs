use std::time::Duration;

use async_nats::jetstream::{Error as ServerError, ErrorCode};
use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use chrono::SecondsFormat;
use mesh_schemas::{Headers, Message};
use serde::Deserialize;

use super::api::Failure;
use super::bus::NatsBus;
use super::wire::{self, EXPECTED_LAST_SUBJECT_SEQUENCE};
use crate::bus::{Publish, Stored};
use crate::error::{BusError, PublishError};
use crate::topology::cancelled_timers;

/// When a scheduled message is due.
const SCHEDULE: &str = "Nats-Schedule";
/// The subject that a scheduled message appears on.
const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
/// The schedule that a message is about.
const SCHEDULER: &str = "Nats-Scheduler";
/// What becomes of that schedule: `purge`, or when it is due next.
const SCHEDULE_NEXT: &str = "Nats-Schedule-Next";
/// How long to keep a message.
const TTL: &str = "Nats-TTL";
/// How long a cancellation is kept, which has done its work when it is stored: the shortest that the server takes.
const CANCELLATION_TTL: Duration = Duration::from_secs(1);

/// What the server answers to a message for a stream, as far as it counts. Read with every write, so in one go: an enum of
/// answers and errors is read twice.
#[derive(Deserialize)]
struct Acknowledged {
    #[serde(default)]
    error: Option<ServerError>,
    #[serde(default, rename = "seq")]
    sequence: u64,
    #[serde(default)]
    duplicate: bool,
}

fn acknowledged(answer: &async_nats::Message) -> Result<Acknowledged, Failure> {
    let read = serde_json::from_slice::<Acknowledged>(&answer.payload);
    let acknowledged = read.map_err(|error| Failure::unreadable(&error))?;
    match acknowledged.error {
        Some(error) => Err(Failure::Server(error)),
        None if acknowledged.sequence == 0 => Err(Failure::unreadable(&"it has no sequence")),
        None => Ok(acknowledged),
    }
}

/// Why a message is not stored.
#[derive(Debug)]
pub(super) enum NotStored {
    /// The server is well and says that no stream takes the subject.
    NoStream,
    /// Anything else.
    Failed(Failure),
}

impl NatsBus {
    pub(super) async fn store(&self, publish: Publish) -> Result<Stored, NotStored> {
        let conditional = publish.once || publish.follows.is_some();
        let headers = headers(&publish).map_err(|error| NotStored::Failed(Failure::Invalid(error)))?;
        let Message { subject, payload, .. } = publish.message;
        let headers = (!headers.is_empty()).then_some(headers);
        let answer = match self.api.request(subject.clone(), headers, payload).await {
            Err(Failure::NoResponders) => return Err(Box::pin(self.why_nobody_stores(subject)).await),
            answer => answer.map_err(NotStored::Failed)?,
        };
        match acknowledged(&answer) {
            Ok(Acknowledged { duplicate: true, .. }) => Ok(Stored::Already),
            Ok(Acknowledged { sequence, .. }) => Ok(Stored::Now(sequence)),
            Err(failure) if conditional && failure.code() == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE) => {
                Ok(Stored::Already)
            }
            Err(failure) => Err(NotStored::Failed(failure)),
        }
    }

    /// Nobody listening on a subject means that no stream has it, or that JetStream is not ready yet after a
    /// start. Only a definite answer makes it the former.
    async fn why_nobody_stores(&self, subject: String) -> NotStored {
        #[derive(serde::Deserialize)]
        struct Names {
            total: usize,
        }
        match self.api.call::<Names>("STREAM.NAMES", &serde_json::json!({ "subject": subject })).await {
            Ok(Names { total: 0 }) => NotStored::NoStream,
            Ok(_) | Err(_) => NotStored::Failed(Failure::NoResponders),
        }
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), BusError> {
        let Message { subject, headers, payload } = message;
        let operation = format!("send to {subject}");
        let sent = match wire::to_nats(&headers) {
            Ok(headers) => {
                let headers = (!headers.is_empty()).then_some(headers);
                self.api.send(subject, None, headers, payload).await
            }
            Err(error) => Err(Failure::Invalid(error)),
        };
        sent.map_err(|failure| failure.during(operation))
    }
}

impl NatsBus {
    /// Cancels a schedule by a message that says so: at this a purge of its subject takes the server ten times as
    /// long, and far longer while a consumer of the stream lags. The message is dropped soon after.
    pub(super) async fn cancel_schedule(&self, schedule: &str) -> Result<(), BusError> {
        let headers = Headers::new()
            .with(SCHEDULER, schedule.to_owned())
            .with(SCHEDULE_NEXT, "purge")
            .with(TTL, format!("{}s", CANCELLATION_TTL.as_secs()));
        let subject = cancelled_timers(&self.namespace);
        self.send(Message { subject, headers, payload: Bytes::new() }).await
    }
}

/// The headers of the message, and those that say how to store it.
fn headers(publish: &Publish) -> Result<HeaderMap, String> {
    let mut headers = wire::to_nats(&publish.message.headers)?;
    if let Some(last) = publish.follows.or_else(|| publish.once.then_some(0)) {
        headers.insert(HeaderName::from_static(EXPECTED_LAST_SUBJECT_SEQUENCE), last.to_string());
    }
    if let Some((due, target)) = &publish.schedule {
        headers.insert(SCHEDULE, format!("@at {}", due.to_rfc3339_opts(SecondsFormat::Nanos, true)));
        headers.insert(SCHEDULE_TARGET, target.as_str());
    }
    if let Some(ttl) = publish.ttl {
        let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        headers.insert(TTL, format!("{}s", whole.max(1)));
    }
    Ok(headers)
}

impl NotStored {
    /// As the publisher of `subject` is told.
    pub(super) fn for_publisher(self, subject: &str) -> PublishError {
        let failure = match self {
            Self::NoStream => {
                return PublishError::Refused(format!("no stream takes the subject {subject:?}"));
            }
            Self::Failed(failure) => failure,
        };
        match failure {
            Failure::TooLarge(error) => PublishError::TooLarge(error),
            Failure::Denied(error) | Failure::Invalid(error) => PublishError::Refused(error),
            Failure::Unavailable(error) => PublishError::Retry(error),
            Failure::NoResponders => PublishError::Retry("JetStream does not answer".to_owned()),
            Failure::Server(error) => match error.error_code() {
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
                    PublishError::TooLarge(error.to_string())
                }
                // Another message on the subject is in flight, or the subject or the account is full. Whether
                // the fact is known is told by the next try.
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
                | ErrorCode::STREAM_STORE_FAILED
                | ErrorCode::STREAM_TOO_MANY_REQUESTS
                | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => PublishError::Retry(error.to_string()),
                _ if error.code() >= 500 => PublishError::Retry(error.to_string()),
                _ => PublishError::Refused(error.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    fn message() -> Message {
        Message {
            subject: "mesh.timer.set".to_owned(),
            headers: Headers::new().with("traceparent", "00"),
            payload: Bytes::new(),
        }
    }

    fn server_error(code: usize, err_code: u64) -> NotStored {
        let json = serde_json::json!({ "code": code, "err_code": err_code, "description": "d" });
        NotStored::Failed(Failure::Server(serde_json::from_value(json).expect("error")))
    }

    #[test]
    fn a_schedule_keeps_the_headers_of_its_message() {
        let due = "2026-01-02T03:04:05.678901234Z".parse().expect("time");
        let headers = headers(&Publish::at(message(), due, "mesh.timer.due".to_owned())).expect("headers");
        let get = |name: &str| headers.get(name).map(|value| value.as_str());
        assert_eq!(get(SCHEDULE), Some("@at 2026-01-02T03:04:05.678901234Z"));
        assert_eq!(get(SCHEDULE_TARGET), Some("mesh.timer.due"));
        assert_eq!(get("traceparent"), Some("00"));
        assert_eq!(get(EXPECTED_LAST_SUBJECT_SEQUENCE), None);
    }

    #[test]
    fn a_time_to_live_is_whole_seconds_from_one() {
        for (millis, text) in [(0, "1s"), (1, "1s"), (1_000, "1s"), (1_001, "2s"), (15_000, "15s")] {
            let ttl = Some(Duration::from_millis(millis));
            let headers = headers(&Publish { ttl, ..Publish::once(message()) }).expect("headers");
            assert_eq!(headers.get(TTL).map(|value| value.as_str()), Some(text));
            assert_eq!(headers.get(EXPECTED_LAST_SUBJECT_SEQUENCE).map(|value| value.as_str()), Some("0"));
        }
    }

    #[test]
    fn errors_say_whether_to_try_again() {
        for (code, err_code) in [(503, 10077), (400, 10164), (503, 10008), (503, 10023), (400, 10002)] {
            let error = server_error(code, err_code).for_publisher("s");
            assert!(error.is_retryable(), "{err_code}: {error}");
        }
        assert!(matches!(server_error(400, 10054).for_publisher("s"), PublishError::TooLarge(_)));
        assert!(matches!(server_error(400, 10166).for_publisher("s"), PublishError::Refused(_)));
        assert!(matches!(NotStored::NoStream.for_publisher("s"), PublishError::Refused(_)));
    }
}
