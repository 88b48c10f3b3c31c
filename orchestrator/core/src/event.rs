//! One entry of a run's log, read from the stored message.

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{
    CancelSignal, TaskCompleted, TaskError, TaskFailed, TimerFired, WorkflowCancelled, WorkflowCompleted,
    WorkflowFailed, WorkflowStarted, code,
};
use mesh_schemas::{
    DataRef, Decoded, Envelope, EnvelopeError, Namespace, ObjectOwner, RunId, StoredMessage, Subject,
    SubjectError, TaskKey, TaskVerb, Timer, TraceContext, WorkflowName, WorkflowVerb,
};
use serde_json::Value;

/// An event of a run, as the fold takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// The subject as published: the event's id, and the cause of what follows from it.
    pub id: String,
    /// Place in the log.
    pub sequence: u64,
    /// When it was stored: the only time that the rules know.
    pub time: DateTime<Utc>,
    /// What happened.
    pub fact: Fact,
    /// What is wrong with a payload that counts all the same.
    pub defect: Option<String>,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The run began.
    Started(Box<Started>),
    /// The run ended, as decided from an earlier event.
    Ended,
    /// Somebody wants the run to end.
    Cancel(CancelSignal),
    /// Somebody wants the run to be looked at again.
    Check,
    /// An attempt went well.
    Completed(TaskKey, Box<TaskCompleted>),
    /// An attempt went well, but what it made is lost. Nothing follows from that but that the attempt is given up: what
    /// counts is that failure, once it stands in the log, or others who still had the result would decide otherwise.
    Lost(TaskKey, TaskError),
    /// An attempt did not go well.
    Failed(TaskKey, TaskError),
    /// A wait is over.
    Fired(Timer),
}

/// The first event of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// Name of the workflow; none for a directly requested task.
    pub workflow: Option<WorkflowName>,
    /// What the event carries.
    pub data: WorkflowStarted,
    /// Why its input cannot be had, if it is lost; null stands in its place.
    pub lost: Option<String>,
    /// What the requester calls the whole piece of work.
    pub correlation_id: Option<String>,
    /// The trace that the work began in.
    pub trace: Option<TraceContext>,
}

/// A message in the log that is no event of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The payload or the subject is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The subject is of no kind that these rules know.
    #[error("{0}")]
    UnknownType(String),
    /// It can be read with what it refers to: by [`Event::read_with`].
    #[error("its data is elsewhere: {0}")]
    Elsewhere(DataRef),
}

/// What was found where an event refers to.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// This.
    Found(Value),
    /// Nothing, and nothing will be found there: why.
    Lost(String),
}

impl Event {
    /// Reads a message of the log.
    ///
    /// An outcome that cannot be read is the outcome all the same, for its subject is taken for good: it counts as
    /// a failure that is not worth another attempt, and [`Event::defect`] says what is wrong with it. In the same
    /// way a timer has fired, or it never would, and a run has ended.
    ///
    /// # Errors
    /// [`Unreadable`] if the message is no event that the fold could take. No reading again helps, but of
    /// [`Unreadable::Elsewhere`].
    pub fn read(namespace: &Namespace, stored: &StoredMessage) -> Result<Self, Unreadable> {
        Self::read_as(namespace, stored, None)
    }

    /// Reads a message of the log whose data is elsewhere, with what was found there.
    ///
    /// # Errors
    /// As [`Event::read`], and never [`Unreadable::Elsewhere`].
    pub fn read_with(
        namespace: &Namespace,
        stored: &StoredMessage,
        content: Content,
    ) -> Result<Self, Unreadable> {
        Self::read_as(namespace, stored, Some(content))
    }

    fn read_as(
        namespace: &Namespace,
        stored: &StoredMessage,
        content: Option<Content>,
    ) -> Result<Self, Unreadable> {
        let StoredMessage { message, sequence, time } = stored;
        let subject = Subject::parse(namespace, &message.subject).map_err(|error| match error {
            SubjectError::Unknown { .. } => Unreadable::UnknownType(error.to_string()),
            SubjectError::Namespace { .. } | SubjectError::Token { .. } => {
                Unreadable::Malformed(error.to_string())
            }
        })?;
        let run = subject.run().ok_or_else(|| unknown(&message.subject))?;
        let (fact, defect) = match subject {
            Subject::Workflow { verb: WorkflowVerb::Started, workflow, .. } => {
                let source = Source { namespace, run, content };
                (Fact::Started(Box::new(started(workflow, stored, source)?)), None)
            }
            Subject::Workflow { verb: WorkflowVerb::Completed, .. } => {
                end::<WorkflowCompleted>(namespace, stored)
            }
            Subject::Workflow { verb: WorkflowVerb::Failed, .. } => end::<WorkflowFailed>(namespace, stored),
            Subject::Workflow { verb: WorkflowVerb::Cancelled, .. } => {
                end::<WorkflowCancelled>(namespace, stored)
            }
            Subject::Signalled { signal, .. } => match signal.as_str() {
                "cancel" => (Fact::Cancel(cancel(stored)?), None),
                "check" => (Fact::Check, None),
                _ => {
                    return Err(Unreadable::UnknownType(format!(
                        "unknown signal '{signal}': use cancel or check"
                    )));
                }
            },
            Subject::Task { verb: TaskVerb::Completed, key } => {
                completed(stored, key, Source { namespace, run, content })?
            }
            Subject::Task { verb: TaskVerb::Failed, key } => {
                match decode(stored).and_then(|decoded| data::<TaskFailed>(&decoded)) {
                    Ok(failed) => (Fact::Failed(key, failed.error), None),
                    Err(error) => malformed(key, &error),
                }
            }
            Subject::TimerFired { timer, .. } => {
                let read = decode(stored).and_then(|decoded| data::<TimerFired>(&decoded));
                (Fact::Fired(timer), read.err().map(|error| error.to_string()))
            }
            _ => return Err(unknown(&message.subject)),
        };
        Ok(Self { run, id: message.subject.clone(), sequence: *sequence, time: *time, fact, defect })
    }
}

impl Event {
    /// Whether a client sent it, at a time of its own choosing.
    #[must_use]
    pub fn is_signal(&self) -> bool {
        matches!(self.fact, Fact::Cancel(_) | Fact::Check)
    }

    /// The attempt that this says was given up because its result is lost.
    #[must_use]
    pub fn gives_up_as_lost(&self) -> Option<&TaskKey> {
        match &self.fact {
            Fact::Failed(key, error) if error.code == code::LOST_OUTPUT => Some(key),
            _ => None,
        }
    }
}

fn unknown(subject: &str) -> Unreadable {
    Unreadable::UnknownType(format!("events on {subject:?} are not known here"))
}

fn decode(stored: &StoredMessage) -> Result<Decoded, Unreadable> {
    Envelope::decode(&stored.message.headers, &stored.message.payload)
        .map_err(|error| Unreadable::Malformed(error.to_string()))
}

fn data<T: serde::de::DeserializeOwned>(decoded: &Decoded) -> Result<T, Unreadable> {
    T::deserialize(decoded.data())
        .map_err(|error| Unreadable::Malformed(format!("the data is wrong: {error}")))
}

/// Where data comes from that an event refers to.
struct Source<'a> {
    namespace: &'a Namespace,
    run: RunId,
    /// What was found there, if it was looked for.
    content: Option<Content>,
}

/// An event with its data.
enum Whole {
    Read(Decoded),
    /// Without what is lost of its data, and why it is.
    Lost(Envelope, String),
}

/// Reads an event with what it refers to.
fn decode_whole(stored: &StoredMessage, source: Source<'_>) -> Result<Whole, Unreadable> {
    let mut event = match decode(stored)? {
        Decoded::Event(event) => event,
        bare @ Decoded::Bare(_) => return Ok(Whole::Read(bare)),
    };
    let malformed = |error: String| Unreadable::Malformed(error);
    let reference = event.dataref(source.namespace).map_err(|error| malformed(error.to_string()))?;
    let Some(reference) = reference else { return Ok(Whole::Read(Decoded::Event(event))) };
    // What belongs to another run goes with that one.
    if *reference.object.owner() != ObjectOwner::Run(source.run) {
        return Err(malformed(format!("dataref: the object does not belong to run {}", source.run)));
    }
    match source.content {
        None => Err(Unreadable::Elsewhere(reference)),
        Some(Content::Lost(error)) => Ok(Whole::Lost(event, error)),
        Some(Content::Found(content)) => {
            event.put_large(&reference, content).map_err(|error| malformed(error.to_string()))?;
            Ok(Whole::Read(Decoded::Event(event)))
        }
    }
}

fn started(
    workflow: Option<WorkflowName>,
    stored: &StoredMessage,
    source: Source<'_>,
) -> Result<Started, Unreadable> {
    let (decoded, lost) = match decode_whole(stored, source)? {
        Whole::Read(decoded) => (decoded, None),
        Whole::Lost(mut event, error) => {
            if let Value::Object(data) = &mut event.data {
                data.insert("input".to_owned(), Value::Null);
            }
            (Decoded::Event(event), Some(error))
        }
    };
    let envelope = decoded.envelope();
    let data: WorkflowStarted = data(&decoded)?;
    if workflow.is_none() && data.capability.is_none() {
        let error = "a run has a workflow in its subject or a capability in its data, and this has neither";
        return Err(Unreadable::Malformed(error.to_owned()));
    }
    Ok(Started {
        workflow,
        data,
        lost,
        correlation_id: envelope.and_then(|envelope| envelope.correlationid.clone()),
        trace: envelope.and_then(Envelope::trace),
    })
}

fn end<T: serde::de::DeserializeOwned>(
    namespace: &Namespace,
    stored: &StoredMessage,
) -> (Fact, Option<String>) {
    let read = decode(stored).and_then(|decoded| data::<T>(&without_large(namespace, decoded)?));
    (Fact::Ended, read.err().map(|error| error.to_string()))
}

/// An event with null in place of what it refers to: nothing depends on it.
fn without_large(namespace: &Namespace, decoded: Decoded) -> Result<Decoded, Unreadable> {
    let Decoded::Event(mut event) = decoded else { return Ok(decoded) };
    let malformed = |error: EnvelopeError| Unreadable::Malformed(error.to_string());
    if let Some(reference) = event.dataref(namespace).map_err(malformed)? {
        event.put_large(&reference, Value::Null).map_err(malformed)?;
    }
    Ok(Decoded::Event(event))
}

/// A cancel without a body is a cancel without a reason.
fn cancel(stored: &StoredMessage) -> Result<CancelSignal, Unreadable> {
    if stored.message.payload.is_empty() {
        return Ok(CancelSignal::default());
    }
    data(&decode(stored)?)
}

fn completed(
    stored: &StoredMessage,
    key: TaskKey,
    source: Source<'_>,
) -> Result<(Fact, Option<String>), Unreadable> {
    let read = decode_whole(stored, source).and_then(|whole| match whole {
        Whole::Read(decoded) => Ok(Fact::Completed(key.clone(), Box::new(data(&decoded)?))),
        Whole::Lost(_, error) => Ok(Fact::Lost(key.clone(), lost(&error))),
    });
    match read {
        Ok(fact) => Ok((fact, None)),
        Err(elsewhere @ Unreadable::Elsewhere(_)) => Err(elsewhere),
        Err(error) => Ok(malformed(key, &error)),
    }
}

/// Why an attempt failed whose result is lost.
fn lost(error: &str) -> TaskError {
    TaskError {
        code: code::LOST_OUTPUT.to_owned(),
        message: format!("the result of the task is lost: {error}"),
        retryable: false,
        retry_after: None,
    }
}

fn malformed(key: TaskKey, error: &Unreadable) -> (Fact, Option<String>) {
    let message = format!("the outcome that the agent published cannot be read: {error}");
    let failure =
        TaskError { code: code::MALFORMED_OUTCOME.to_owned(), message, retryable: false, retry_after: None };
    (Fact::Failed(key, failure), Some(error.to_string()))
}
