use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use mesh_schemas::{
    Attempt, Capability, Lane, RequestId, RunId, Shards, SignalId, TaskId, TaskKey, WorkflowName,
};
use serde_json::{Value, json};

use super::behaviour::Behaviour;

/// What agents do with attempts. They succeed at once with those that are not here.
pub type Script = BTreeMap<(TaskId, Attempt), Behaviour>;

/// A run: the request for it, what clients tell it, and what agents do with its tasks. Times are from the beginning of
/// the simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What is asked for.
    pub target: Target,
    /// What makes the request the same request when it is sent again.
    pub request: RequestId,
    /// What the requester calls the whole piece of work.
    pub correlation_id: Option<String>,
    /// When the request is sent and with which input; the first is the one that counts if it is stored first.
    pub sent: Vec<Sending>,
    /// What clients tell the run, perhaps before it has begun.
    pub signals: Vec<Signal>,
    /// What clients tell runs that its tasks start, perhaps before these have begun.
    pub inner: Vec<Inner>,
    /// What agents do with attempts.
    pub script: Script,
    /// The tasks before which it is to be paused.
    pub pause_before: BTreeSet<TaskId>,
    /// How it is done again when it has ended, if it is.
    pub again: Option<Again>,
}

/// A run that does another one again, which has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// Tasks from which on it is, beside those that did not go well.
    pub from: BTreeSet<TaskId>,
    /// Its input; that of the other if it is null.
    pub input: Value,
    /// What agents do with attempts.
    pub script: Script,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A run of a workflow.
    Workflow(WorkflowName),
    /// One task, without a workflow.
    Task(Capability),
}

/// One sending of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Sending {
    /// When.
    pub at: Duration,
    /// With which input.
    pub input: Value,
}

/// A signal of a client to a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// When it is sent.
    pub at: Duration,
    /// What tells it apart from other signals of its kind.
    pub id: SignalId,
    /// What it says.
    pub says: Says,
}

/// A signal of a client to a run that an attempt of a task starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Inner {
    /// The task.
    pub task: TaskId,
    /// Which attempt.
    pub attempt: Attempt,
    /// The workflow that is started, as a capability.
    pub workflow: Capability,
    /// The signal.
    pub signal: Signal,
}

/// What a signal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// The run is to end, perhaps for a reason. Without one the body is empty.
    Cancel(Option<String>),
    /// The run is to begin nothing new, perhaps for a reason.
    Pause(Option<String>),
    /// It is to go on.
    Resume,
    /// Work is to be tried again that failed and paused the run.
    Retry {
        /// Which; all of it if none is named.
        task: Option<TaskId>,
        /// With which input from now on.
        input: Option<Value>,
    },
    /// The run is to be looked at again.
    Check,
}

impl Says {
    /// The name of the signal, and its data; none if its body is empty.
    #[must_use]
    pub fn told(&self) -> (&'static str, Option<Value>) {
        let because = |reason: &Option<String>| reason.as_ref().map(|reason| json!({ "reason": reason }));
        match self {
            Self::Cancel(reason) => ("cancel", because(reason)),
            Self::Pause(reason) => ("pause", because(reason)),
            Self::Resume => ("resume", None),
            Self::Check => ("check", None),
            Self::Retry { task: None, input: None } => ("retry", None),
            Self::Retry { task, input } => ("retry", Some(json!({ "task": task, "input": input }))),
        }
    }
}

impl Run {
    /// The id that the run has in a namespace with so many shards.
    #[must_use]
    pub fn id(&self, shards: Shards) -> RunId {
        RunId::for_request(&self.target.to_string(), &self.request, shards)
    }

    /// The request for the run that does this one again.
    #[must_use]
    pub fn request_again(&self) -> RequestId {
        let RequestId { source, id } = &self.request;
        RequestId { source: source.clone(), id: format!("{id}-again") }
    }

    /// The id of that run.
    #[must_use]
    pub fn id_again(&self, shards: Shards) -> RunId {
        RunId::for_request(&self.target.to_string(), &self.request_again(), shards)
    }

    /// The name of the workflow, if it is one that is asked for.
    #[must_use]
    pub fn workflow(&self) -> Option<&WorkflowName> {
        match &self.target {
            Target::Workflow(name) => Some(name),
            Target::Task(_) => None,
        }
    }
}

impl fmt::Display for Target {
    /// As in the making of run ids: `workflow.<name>` or `task.<capability>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow(name) => write!(f, "workflow.{name}"),
            Self::Task(capability) => write!(f, "task.{capability}"),
        }
    }
}

impl Inner {
    /// The attempt that starts the run, of a run.
    #[must_use]
    pub fn key(&self, run: RunId) -> TaskKey {
        let Self { task, attempt, workflow, .. } = self;
        TaskKey {
            capability: workflow.clone(),
            lane: Lane::Normal,
            run,
            task: task.clone(),
            attempt: *attempt,
        }
    }
}

/// What an agent does with an attempt.
#[must_use]
pub fn behaviour<'a>(script: &'a Script, task: &TaskId, attempt: Attempt) -> &'a Behaviour {
    script.get(&(task.clone(), attempt)).unwrap_or(&Behaviour::PLAIN)
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, id, says } = self;
        write!(f, "{:>8} ms  ", at.as_millis())?;
        match says {
            Says::Cancel(Some(reason)) => write!(f, "cancel {id}, because {reason}"),
            Says::Cancel(None) => write!(f, "cancel {id}"),
            Says::Pause(Some(reason)) => write!(f, "pause {id}, because {reason}"),
            Says::Pause(None) => write!(f, "pause {id}"),
            Says::Resume => write!(f, "resume {id}"),
            Says::Retry { task, input } => {
                write!(f, "retry {id}, {}", task.as_ref().map_or("all", TaskId::as_str))?;
                input.as_ref().map_or(Ok(()), |input| write!(f, ", with {input}"))
            }
            Says::Check => write!(f, "check {id}"),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, request, correlation_id, sent, signals, inner, script, pause_before, again } =
            self;
        writeln!(f, "{target}, requested as {} of {}", request.id, request.source)?;
        if let Some(correlation_id) = correlation_id {
            writeln!(f, "  correlation id {correlation_id}")?;
        }
        for Sending { at, input } in sent {
            writeln!(f, "  {:>8} ms  request {input}", at.as_millis())?;
        }
        for signal in signals {
            writeln!(f, "  {signal}")?;
        }
        for Inner { task, attempt, signal, .. } in inner {
            writeln!(f, "  {signal}, to the run of {task} #{attempt}")?;
        }
        let ids = |tasks: &BTreeSet<TaskId>| tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
        if !pause_before.is_empty() {
            writeln!(f, "  paused before {}", ids(pause_before))?;
        }
        f.write_str(&told(script))?;
        let Some(Again { from, input, script }) = again else { return Ok(()) };
        writeln!(f, "  and again, from [{}], with {input}:\n{}", ids(from), told(script))
    }
}

/// What agents do, for people.
pub(super) fn told(script: &Script) -> String {
    let told = |((task, attempt), behaviour): (&(TaskId, Attempt), &Behaviour)| {
        format!("  {:>8} #{attempt}  {behaviour}\n", task.as_str())
    };
    script.iter().map(told).collect()
}
