//! What the fold wants to be stored.

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{
    Parent, TaskCreated, TaskError, WorkflowCancelled, WorkflowCompleted, WorkflowFailed, WorkflowPaused,
};
use mesh_schemas::{Capability, TaskId, TaskKey, Timer, WorkflowName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// How many items of this loop are under way at a time: chosen by whoever stores it first.
    Route(TaskId, Box<Route>),
    /// The `failed` of an attempt that nobody waits for any more, or that could not even be created.
    GiveUp(TaskKey, TaskError),
    /// A wait that is over at a time.
    SetTimer(Timer, DateTime<Utc>),
    /// Nothing new is begun: which pause this is, from 1, and why.
    Pause(u64, WorkflowPaused),
    /// The run goes on after this pause.
    Resume(u64),
    /// The request for a run that an attempt consists of.
    StartChild(TaskKey, Box<Child>),
    /// The signal that cancels the run which an attempt consists of, and why.
    CancelChild(TaskKey, String),
    /// The outcome of the attempt of another run that this run was started for.
    Report(TaskKey, Box<Result<Value, TaskError>>),
    /// The end of the run.
    End(End),
}

/// What the choice is made from, beside what agents could take on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// How complex the work is, from 0 to 1.
    pub complexity: f64,
    /// How much its parts depend on each other, from 0 to 1.
    pub dependency: f64,
    /// How many there may be at most.
    pub most: u32,
    /// The capabilities that the work asks for.
    pub capabilities: Vec<Capability>,
}

/// A run that is started for an attempt of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its input.
    pub input: Value,
    /// The attempt that it is for.
    pub parent: Parent,
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
