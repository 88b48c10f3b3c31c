//! The `data` of every event, one type each. Times are UTC, RFC 3339 on the wire; durations end in their unit.

mod agent;
mod codes;
mod history;
mod request;
mod task;
mod workflow;

pub use agent::{AgentDeregistered, AgentRegistered};
pub use codes::{Reason, code, rejection};
pub use history::{Archived, History};
pub use request::{DeadLetter, RequestRejected, TimerFired};
pub use task::{
    SecretUse, TaskAssigned, TaskCompleted, TaskCreated, TaskError, TaskFailed, TaskProgress, TaskReleased,
};
pub use workflow::{
    CancelSignal, RunError, TaskCounts, WorkflowCancelled, WorkflowCheckpointed, WorkflowCompleted,
    WorkflowFailed, WorkflowStarted,
};
