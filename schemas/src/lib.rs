//! The public contract of the mesh as types: names and ids, NATS subjects, the CloudEvents envelope, the
//! payload of every event, and the workflow definition.
//!
//! Nothing here performs input or output. The JSON Schemas and the AsyncAPI document in `schemas/` are
//! generated from these types by `mesh schema`.

mod dataref;
pub mod definition;
mod depth;
pub mod difference;
pub mod document;
mod envelope;
mod error_code;
pub mod generate;
mod id;
mod message;
mod name;
mod object;
pub mod payload;
mod span_id;
mod subject;
mod trace;

pub use dataref::{DATAREF, DataRef, LargePart, TAKEN_OVER};
pub use definition::Definition;
pub use depth::{MAX_DATA_DEPTH, is_too_deep};
pub use envelope::{
    Attributes, Decoded, Envelope, EnvelopeError, Frame, SCHEMA_VERSION, STRUCTURED, percent_decode,
    percent_encode,
};
pub use error_code::ErrorCode;
pub use id::{Attempt, Digest, RequestId, RunId, Shards};
pub use message::{CONTENT_TYPE, Headers, Message, StoredMessage};
pub use name::{
    AgentId, Capability, Lane, NameError, Namespace, SecretName, SignalId, TaskId, Timer, WorkflowName,
};
pub use object::{ObjectName, ObjectOwner};
pub use span_id::SpanId;
pub use subject::{AgentVerb, PauseVerb, Subject, SubjectError, TaskKey, TaskVerb, WorkflowVerb};
pub use trace::TraceContext;

/// Version of the rules by which a run is folded, pinned in `workflow.started`.
///
/// It grows when the same log would lead to other decisions than by the rules of a release; an orchestrator leaves runs of a newer
/// version to those that know it.
pub const RULES_VERSION: u32 = 1;

/// Largest JSON text, in bytes, that the input or output of a task or a run may have: everyone who handles it holds it in
/// memory, where JSON may take sixteen times as much, and an orchestrator that many depend on must survive it.
pub const MAX_DATA_BYTES: usize = 16 * 1024 * 1024;

/// Largest JSON text, in bytes, that a message can carry itself: the 1 MiB that NATS allows a message by default, less
/// 64 KiB for envelope and headers.
pub const MAX_CARRIED_BYTES: usize = (1024 - 64) * 1024;

/// Largest body, in bytes, of an event that carries its data itself, unless something else is set: what is larger goes to
/// the bucket of objects, and the event refers to it. As CloudEvents asks for.
pub const DEFAULT_MAX_INLINE: usize = 64 * 1024;

/// The largest content of an object, in bytes: what reads one holds all of it in memory.
pub const MAX_OBJECT_BYTES: usize = 64 * 1024 * 1024;
