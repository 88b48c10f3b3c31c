//! Names of span attributes. Those of OpenTelemetry follow its semantic conventions 1.44; those that begin with
//! `mesh.` are ours. `tracing` takes a constant as a field name in braces:
//!
//! ```
//! use mesh_telemetry::names;
//!
//! let span = tracing::debug_span!(
//!     "process",
//!     { names::SPAN_NAME } = "process task.created.charge.normal.{shard}.{run}.{task}.{attempt}",
//!     { names::SPAN_KIND } = names::KIND_CONSUMER,
//!     { names::MESSAGING_SYSTEM } = names::SYSTEM_NATS,
//!     { names::RUN_ID } = "3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11",
//! );
//! # drop(span);
//! ```
//!
//! Run and task ids belong on spans and in log lines, never on metrics: each value would be a time series.

/// Name of the exported span, in place of the literal one: `{operation} {destination template}`.
pub const SPAN_NAME: &str = "otel.name";
/// Kind of the exported span: one of the `KIND_…` values.
pub const SPAN_KIND: &str = "otel.kind";
/// Status of the exported span: [`STATUS_ERROR`], or unset.
pub const SPAN_STATUS: &str = "otel.status_code";
/// What went wrong, for people; goes with [`STATUS_ERROR`].
pub const SPAN_STATUS_DESCRIPTION: &str = "otel.status_description";

/// Kind of spans that handle a message.
pub const KIND_CONSUMER: &str = "consumer";
/// Status of a span whose work failed.
pub const STATUS_ERROR: &str = "error";

/// Which messaging system: always [`SYSTEM_NATS`].
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// Value of [`MESSAGING_SYSTEM`].
pub const SYSTEM_NATS: &str = "nats";
/// What is done, in the system's own word: `publish`, `ack`…
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// What is done, in the convention's word: one of the `OPERATION_…` values.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// A message is made, to be sent later.
pub const OPERATION_CREATE: &str = "create";
/// Messages are sent.
pub const OPERATION_SEND: &str = "send";
/// Messages are asked for.
pub const OPERATION_RECEIVE: &str = "receive";
/// A message is handled.
pub const OPERATION_PROCESS: &str = "process";
/// A message is acknowledged or handed back.
pub const OPERATION_SETTLE: &str = "settle";
/// The subject.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The subject with its ids replaced by their names in braces.
pub const MESSAGING_DESTINATION_TEMPLATE: &str = "messaging.destination.template";
/// The durable consumer.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// The message's id.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// The correlation id.
pub const MESSAGING_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// Size of the body in bytes.
pub const MESSAGING_BODY_SIZE: &str = "messaging.message.body.size";
/// How many messages an operation is about.
pub const MESSAGING_BATCH_COUNT: &str = "messaging.batch.message_count";
/// Host name or address of the NATS server.
pub const SERVER_ADDRESS: &str = "server.address";
/// Port of the NATS server.
pub const SERVER_PORT: &str = "server.port";
/// What kind of error ended the operation: a stable code.
pub const ERROR_TYPE: &str = "error.type";

/// Name of a span event that tells of an error, by the convention for exceptions.
pub const EXCEPTION: &str = "exception";
/// The error's stable code.
pub const EXCEPTION_TYPE: &str = "exception.type";
/// What went wrong, for people.
pub const EXCEPTION_MESSAGE: &str = "exception.message";

/// `id` of the CloudEvent.
pub const CLOUDEVENTS_ID: &str = "cloudevents.event_id";
/// `source` of the CloudEvent.
pub const CLOUDEVENTS_SOURCE: &str = "cloudevents.event_source";
/// `specversion` of the CloudEvent.
pub const CLOUDEVENTS_SPEC_VERSION: &str = "cloudevents.event_spec_version";
/// `type` of the CloudEvent.
pub const CLOUDEVENTS_TYPE: &str = "cloudevents.event_type";

/// The run.
pub const RUN_ID: &str = "mesh.run.id";
/// The shard that the run belongs to.
pub const SHARD: &str = "mesh.shard";
/// Name of the workflow.
pub const WORKFLOW_NAME: &str = "mesh.workflow.name";
/// Digest of the definition that the run follows.
pub const WORKFLOW_DIGEST: &str = "mesh.workflow.digest";
/// The task.
pub const TASK_ID: &str = "mesh.task.id";
/// Which try of the task, from 1.
pub const ATTEMPT: &str = "mesh.attempt";
/// Which delivery of the attempt, from 1.
pub const DELIVERY: &str = "mesh.delivery";
/// What an agent must be able to do for the task.
pub const CAPABILITY: &str = "mesh.capability";
/// The queue that the task waits in.
pub const LANE: &str = "mesh.lane";
/// The agent process.
pub const AGENT_ID: &str = "mesh.agent.id";
/// How a run or an attempt ended: `completed`, `failed` or `cancelled`.
pub const OUTCOME: &str = "mesh.outcome";
/// How long a run took, in seconds.
pub const DURATION: &str = "mesh.duration";
/// How long a task waited for an agent, in seconds: from when it was stored to when it was received.
pub const SCHEDULE_TO_START: &str = "mesh.schedule_to_start";
/// How many messages an event led to.
pub const DECISIONS: &str = "mesh.decisions";
/// How many tasks of a run went well.
pub const TASKS_DONE: &str = "mesh.tasks.done";
/// How many failed for good.
pub const TASKS_FAILED: &str = "mesh.tasks.failed";
/// How many were not needed.
pub const TASKS_SKIPPED: &str = "mesh.tasks.skipped";
/// When a timer fires, by RFC 3339.
pub const DUE: &str = "mesh.due";
/// Which wait a timer is for.
pub const TIMER: &str = "mesh.timer";
/// What the capability is asked to do, for agents that can do several things.
pub const ACTION: &str = "mesh.action";

/// What an AI agent does: [`GEN_AI_INVOKE_AGENT`]. Like all of its kind, only on spans of agents that say what their model
/// used.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// Value of [`GEN_AI_OPERATION_NAME`].
pub const GEN_AI_INVOKE_AGENT: &str = "invoke_agent";
/// The agent process.
pub const GEN_AI_AGENT_ID: &str = "gen_ai.agent.id";
/// The type of the agent.
pub const GEN_AI_AGENT_NAME: &str = "gen_ai.agent.name";
/// What the requester calls the whole piece of work: the conversation that its tasks belong to.
pub const GEN_AI_CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// Name of the workflow.
pub const GEN_AI_WORKFLOW_NAME: &str = "gen_ai.workflow.name";
/// Tokens that the model was given.
pub const GEN_AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens that the model gave.
pub const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
