use bytes::Bytes;
use mesh_schemas::payload::Rerun;
use mesh_schemas::{
    Capability, Envelope, ErrorCode, MAX_DATA_BYTES, MAX_DATA_DEPTH, Message, RequestId, RunId, Shards,
    Subject, TaskId, TraceContext, WorkflowName, is_too_deep,
};
use serde_json::{Map, Value};

use crate::bus::{Bus, Publish};
use crate::error::{BusError, PublishError};
use crate::large::publish_event;
use crate::patience::for_a_while;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A run of a workflow.
    Workflow(WorkflowName),
    /// One task, for whoever has the capability.
    Task(Capability),
}

impl Target {
    /// The subject of requests for it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Workflow(workflow) => Subject::WorkflowRequested { workflow: workflow.clone() },
            Self::Task(capability) => Subject::TaskRequested { capability: capability.clone() },
        }
    }
}

impl std::fmt::Display for Target {
    /// As in the making of run ids: `workflow.<name>` or `task.<capability>`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workflow(workflow) => write!(f, "workflow.{workflow}"),
            Self::Task(capability) => write!(f, "task.{capability}"),
        }
    }
}

/// A request for a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub target: Target,
    /// What makes it the same request when it is sent again: the same request starts one run.
    pub id: RequestId,
    /// The input of the run.
    pub input: Value,
    /// What takes the place of values of the workflow's `config`.
    pub config: Option<Map<String, Value>>,
    /// Tasks before which the run is paused, beside those of which the workflow says so.
    pub pause_before: Vec<TaskId>,
    /// The run that it does again; an input of null is that of the other then.
    pub rerun: Option<Rerun>,
    /// What the requester calls the whole piece of work; the run id if nothing is said.
    pub correlation_id: Option<String>,
    /// Id of the event that led to the request.
    pub causation_id: Option<String>,
    /// The trace that the request belongs to.
    pub trace: Option<TraceContext>,
}

impl Request {
    /// A request with an input, and with nothing said beside.
    #[must_use]
    pub const fn new(target: Target, id: RequestId, input: Value) -> Self {
        Self {
            target,
            id,
            input,
            config: None,
            pause_before: Vec::new(),
            rerun: None,
            correlation_id: None,
            causation_id: None,
            trace: None,
        }
    }
}

/// Why a request was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The source or the id of the request is empty.
    #[error("a request needs a source and an id that are not empty")]
    NoIdentity,
    /// The input is larger than a request may be.
    #[error(
        "the input is {bytes} bytes of JSON, and at most {MAX_DATA_BYTES} are allowed: put large data where its sender and \
         the agents can reach it, such as a file share, a bucket or a web server, and pass its address"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The input is nested deeper than a request may be.
    #[error(
        "the input is nested deeper than {MAX_DATA_DEPTH} levels of lists and objects: make it flatter, or pass the inner part as \
             a JSON text"
    )]
    TooDeep,
    /// The input cannot be written as JSON.
    #[error("the input cannot be written as JSON: {0}")]
    Input(String),
    /// The number of shards, which is part of a run id, is not known.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// It could not be stored.
    #[error("the request was not stored: {0}")]
    Publish(#[from] PublishError),
}

impl SubmitError {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoIdentity => ErrorCode::InvalidName,
            Self::TooLarge { .. } | Self::TooDeep => ErrorCode::OversizedInput,
            Self::Input(_) => ErrorCode::UnreadableInput,
            Self::Bus(error) => error.code(),
            Self::Publish(error) => error.code(),
        }
    }

    /// Whether trying again can help without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Bus(error) => error.is_retryable(),
            Self::Publish(error) => error.is_retryable(),
            Self::NoIdentity | Self::TooLarge { .. } | Self::TooDeep | Self::Input(_) => false,
        }
    }
}

/// The run that a request names, whether or not it was submitted.
#[must_use]
pub fn run_id(request: &Request, shards: Shards) -> RunId {
    RunId::for_request(&request.target.to_string(), &request.id, shards)
}

/// The run that a request names in the namespace of a bus, whether or not it was submitted. Tries for half a minute
/// while the bus cannot be reached.
///
/// # Errors
/// [`SubmitError::Bus`].
pub async fn run_of(bus: &dyn Bus, request: &Request) -> Result<RunId, SubmitError> {
    let attempt = || async { Ok(run_id(request, bus.shards().await?)) };
    for_a_while(SubmitError::is_retryable, attempt).await
}

/// Asks for a run and returns its id when the request is stored. Whether it is accepted is seen later, in
/// `workflow.started` or `request.rejected`. Tries for half a minute while the bus cannot be reached; submitting
/// the same request again is safe.
///
/// # Errors
/// [`SubmitError`]; after a retryable one it is not known whether the request was stored.
pub async fn submit(bus: &dyn Bus, request: &Request) -> Result<RunId, SubmitError> {
    let message = message(bus, request)?;
    for_a_while(SubmitError::is_retryable, || try_submit(bus, request, message.clone())).await
}

async fn try_submit(bus: &dyn Bus, request: &Request, message: Message) -> Result<RunId, SubmitError> {
    let run = run_id(request, bus.shards().await?);
    publish_event(bus, &run, &Publish::plain(message)).await?;
    Ok(run)
}

/// The event, without a `Nats-Msg-Id`: a request that was rejected and is sent again when its workflow exists
/// must not be taken for a duplicate. The run id makes it one if it is one.
fn message(bus: &dyn Bus, request: &Request) -> Result<Message, SubmitError> {
    let RequestId { source, id } = &request.id;
    if source.is_empty() || id.is_empty() {
        return Err(SubmitError::NoIdentity);
    }
    let input = serde_json::to_vec(&request.input).map_err(|error| SubmitError::Input(error.to_string()))?;
    if input.len() > MAX_DATA_BYTES {
        return Err(SubmitError::TooLarge { bytes: input.len() });
    }
    if is_too_deep(&request.input) {
        return Err(SubmitError::TooDeep);
    }
    let subject = request.target.subject();
    let mut event = Envelope::new(id, source, subject.event_type(), request.input.clone());
    // The data is the requester's own: its schema is that of the workflow's input.
    event.dataschema = None;
    event.time = Some(bus.now());
    event.correlationid.clone_from(&request.correlation_id);
    event.causationid.clone_from(&request.causation_id);
    event.set_config(request.config.as_ref());
    event.set_pause_before(&request.pause_before);
    event.set_rerun(request.rerun.as_ref());
    event.set_trace(request.trace.as_ref());
    let (mut headers, body) = event.encode().map_err(|error| SubmitError::Input(error.to_string()))?;
    if let Some(trace) = &request.trace {
        trace.write(&mut headers);
    }
    Ok(Message { subject: subject.render(bus.namespace()), headers, payload: Bytes::from(body) })
}
