//! The `data` of every event, one type each. Times are UTC, RFC 3339 on the wire; durations end in their unit.

mod agent;
mod child;
mod codes;
mod history;
mod request;
mod rerun;
mod task;
mod workflow;

pub use agent::{AgentDeregistered, AgentRegistered};
pub use child::{MAX_RUN_DEPTH, Parent, WorkflowCalled, child_request, child_run, parent_signal};
pub use codes::{Reason, code, rejection};
pub use history::{Archived, Chain, History};
pub use request::{DeadLetter, RequestRejected, TimerFired};
pub use rerun::{Rerun, Taken, TakenOver};
pub use task::{
    Mode, SecretUse, TaskAssigned, TaskCompleted, TaskCreated, TaskError, TaskFailed, TaskProgress,
    TaskReleased, TaskRouted,
};
pub use workflow::{
    CancelSignal, RetrySignal, RunError, TaskCounts, WorkflowCancelled, WorkflowCheckpointed,
    WorkflowCompleted, WorkflowFailed, WorkflowPaused, WorkflowResumed, WorkflowStarted,
};
