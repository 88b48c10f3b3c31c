//! What the fold wants to be stored.

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{TaskCreated, TaskError, WorkflowCancelled, WorkflowCompleted, WorkflowFailed};
use mesh_schemas::{TaskKey, Timer};

/// Something that follows from an event and is to be stored. Storing it twice has no second effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Id of the event that it follows from.
    pub cause: String,
    /// Store time of that event.
    pub at: DateTime<Utc>,
    /// What is to be stored.
    pub action: Action,
}

/// What is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Work for an agent.
    Create(TaskKey, Box<TaskCreated>),
    /// The `failed` of an attempt that nobody waits for any more, or that could not even be created.
    GiveUp(TaskKey, TaskError),
    /// A wait that is over at a time.
    SetTimer(Timer, DateTime<Utc>),
    /// The end of the run.
    End(End),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With an output.
    Completed(WorkflowCompleted),
    /// With an error.
    Failed(WorkflowFailed),
    /// By a cancel signal.
    Cancelled(WorkflowCancelled),
}
