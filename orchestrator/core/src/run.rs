//! A run: the fold of its events.

mod checkpoint;
mod fold;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mesh_schemas::{Attempt, Capability, Lane, RunId, TaskId, TaskKey, Timer, TraceContext, WorkflowName};
use serde_json::{Value, json};

use crate::decision::{Action, Decision};
use crate::event::{Event, Fact, Started};
use crate::expression::Scope;
use crate::plan::Plan;
pub use checkpoint::{MAX_STATE_BYTES, NotRestored};
use fold::Fold;

/// State of a run after some prefix of its log.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What every event of the run carries along.
    pub header: Header,
    plan: Arc<Plan>,
    /// What expressions see as `run`.
    variables: Value,
    input: Value,
    /// By place in the plan.
    tasks: Vec<TaskState>,
    /// How many of them have not ended.
    open: usize,
    /// Outputs of tasks that have ended and may still be asked for; null for those that were skipped or failed.
    outputs: BTreeMap<TaskId, Value>,
    /// How many may still ask for the output of each task: tasks that have not ended, and the output of the run. So
    /// a long run does not hold all that it ever made.
    readers: Vec<u32>,
    end: EndState,
    /// Sequence of the last event that was taken.
    upto: u64,
}

/// What every event of a run carries along.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The run.
    pub run: RunId,
    /// Its workflow; none for a directly requested task.
    pub workflow: Option<WorkflowName>,
    /// What the requester calls the whole piece of work; the run id if it said nothing.
    pub correlation_id: String,
    /// The trace that the work began in.
    pub trace: Option<TraceContext>,
    /// When `started` was stored.
    pub started_at: DateTime<Utc>,
    /// When the run ends whatever happens.
    pub deadline: DateTime<Utc>,
}

/// Where a task stands. Transitions: waiting → active | skipped | failed; active → done | pausing | given up | failed;
/// given up → pausing | failed; pausing → active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    /// Needs that have not ended: this many.
    Waiting(usize),
    /// An attempt is with an agent.
    Active(Attempt),
    /// The result of the attempt is lost: it fails as soon as that stands in the log.
    GivenUp(Attempt),
    /// The attempt failed; another follows when the timer has fired.
    Pausing(Attempt),
    /// The last attempt went well.
    Done(Attempt),
    /// There is no attempt after this one.
    Failed(Attempt),
    Skipped,
}

impl TaskState {
    fn has_ended(self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Skipped)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndState {
    Open,
    /// The end is decided.
    Decided,
    /// The end stands in the log.
    Stored,
}

/// How a task stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TaskView {
    /// The task.
    pub id: TaskId,
    /// The capability that it asks for.
    pub agent: Capability,
    /// `pending`, `active`, `retrying`, `done`, `failed`, `skipped`, or `cancelled` when the run ended before it.
    pub status: &'static str,
    /// The current attempt of a task that has begun and not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// What an event leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// To be stored, in this order as far as order matters to anyone who watches.
    pub decisions: Vec<Decision>,
    /// Why the event means nothing to this run, if it names something that the run does not have.
    pub stray: Option<String>,
    /// Places in the plan of the tasks that stand otherwise than before, in the order in which that came about; one
    /// may be there twice. When the run has ended, all that were open stand otherwise without being named.
    pub changed: Vec<usize>,
}

impl Run {
    /// The run that a `started` event begins, and what follows from it.
    #[must_use]
    pub fn start(event: &Event, started: &Started, plan: Arc<Plan>) -> (Self, Step) {
        let mut state = Self::new(event, started, plan);
        let mut fold = Fold::new(&mut state, &event.id, event.time);
        if let Some(error) = &started.lost {
            fold.input_lost(error);
            let step = fold.finish();
            return (state, step);
        }
        let deadline = fold.run.header.deadline;
        fold.decide(Action::SetTimer(Timer::Deadline, deadline));
        for task in 0..fold.run.tasks.len() {
            if fold.run.tasks[task] == TaskState::Waiting(0) {
                fold.begin(task);
            }
        }
        let step = fold.finish();
        (state, step)
    }

    /// The run before anything follows from its `started`.
    fn new(event: &Event, started: &Started, plan: Arc<Plan>) -> Self {
        let (run, at) = (event.run, event.time);
        let header = Header {
            run,
            workflow: started.workflow.clone(),
            correlation_id: started.correlation_id.clone().unwrap_or_else(|| run.to_string()),
            trace: started.trace.clone(),
            started_at: at,
            deadline: at + plan.timeout(),
        };
        let variables = json!({
            "id": run.to_string(),
            "workflow": header.workflow.as_ref().map_or("-", WorkflowName::as_str),
            "correlation_id": header.correlation_id,
            "started_at": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        });
        let tasks: Vec<_> = plan.tasks.iter().map(|task| TaskState::Waiting(task.needs.len())).collect();
        Self {
            header,
            variables,
            input: started.data.input.clone(),
            open: tasks.len(),
            tasks,
            outputs: BTreeMap::new(),
            readers: plan.readers(|_| true),
            plan,
            end: EndState::Open,
            upto: event.sequence,
        }
    }

    /// Takes the next event of the log. What it decides is decided for good: later events take nothing back. An
    /// event that was taken before changes nothing.
    pub fn apply(&mut self, event: &Event) -> Step {
        // A run is the same whether or not somebody wrote down how it stood.
        if event.sequence <= self.upto || event.fact == Fact::Checkpoint {
            return Step::default();
        }
        self.upto = event.sequence;
        if let Fact::Ended = event.fact {
            self.end = EndState::Stored;
            return Step::default();
        }
        if let Some(stray) = self.stray(event) {
            return Step { stray: Some(stray), ..Step::default() };
        }
        if self.end != EndState::Open {
            return Step::default();
        }
        let mut fold = Fold::new(self, &event.id, event.time);
        match &event.fact {
            Fact::Completed(key, outcome) => fold.completed(key, outcome),
            Fact::Failed(key, error) => fold.failed(key, error),
            Fact::Lost(key, error) => fold.lost(key, error),
            Fact::Fired(Timer::Retry { task, after }) => fold.retry(task, *after),
            Fact::Fired(Timer::Deadline) => fold.timed_out(),
            Fact::Cancel(signal) => fold.cancelled(signal.reason.clone()),
            Fact::Started(_) | Fact::Ended | Fact::Check | Fact::Checkpoint => {}
        }
        fold.finish()
    }

    /// The plan that it follows.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// How many tasks it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.tasks.len()
    }

    /// Sequence of the last event that was taken.
    #[must_use]
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// Whether the run's end is decided.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end != EndState::Open
    }

    /// Whether a decision made at an earlier event may still be missing from the log. A decision that is not
    /// needed any more, because its consequence is known, is not.
    #[must_use]
    pub fn may_be_missing(&self, decision: &Decision) -> bool {
        match &decision.action {
            Action::Create(key, _) => self.task(&key.task) == Some(TaskState::Active(key.attempt)),
            Action::SetTimer(Timer::Deadline, _) => !self.has_ended(),
            Action::SetTimer(Timer::Retry { task, after }, _) => {
                self.task(task) == Some(TaskState::Pausing(*after))
            }
            Action::GiveUp(..) => true,
            Action::End(_) => self.end != EndState::Stored,
        }
    }

    /// How every task stands, in the order of their ids.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        (0..self.tasks.len()).map(|place| self.view(place)).collect()
    }

    /// How the task at a place in the plan stands.
    ///
    /// # Panics
    /// If the plan has no such place.
    #[must_use]
    pub fn view(&self, place: usize) -> TaskView {
        let (task, state) = (&self.plan.tasks[place], &self.tasks[place]);
        let (status, attempt) = match *state {
            TaskState::Waiting(_) => ("pending", None),
            TaskState::Active(attempt) | TaskState::GivenUp(attempt) => ("active", Some(attempt)),
            TaskState::Pausing(attempt) => ("retrying", Some(attempt)),
            TaskState::Done(_) => ("done", None),
            TaskState::Failed(_) => ("failed", None),
            TaskState::Skipped => ("skipped", None),
        };
        let status = if !state.has_ended() && self.has_ended() { "cancelled" } else { status };
        TaskView { id: task.id.clone(), agent: task.agent.clone(), status, attempt }
    }

    /// Whether this took an attempt's result into account. If the log has it that the result is lost, the run is not what
    /// it would be for those who read all of its log.
    #[must_use]
    pub fn has_used(&self, key: &TaskKey) -> bool {
        let state = self.plan.index(&key.task).map(|index| self.tasks[index]);
        state.is_some_and(
            |state| matches!(state, TaskState::Done(of) | TaskState::Failed(of) if of == key.attempt),
        )
    }

    fn task(&self, task: &TaskId) -> Option<TaskState> {
        if self.has_ended() { None } else { self.tasks.get(self.plan.index(task)?).copied() }
    }

    /// Why an event belongs to nothing that this run has asked for so far, if so. Changes nothing, so that it can
    /// be asked about an event that was taken already.
    #[must_use]
    pub fn stray(&self, event: &Event) -> Option<String> {
        match &event.fact {
            Fact::Completed(key, _) | Fact::Failed(key, _) | Fact::Lost(key, _) => {
                self.stray_attempt(&key.task, key.attempt).or_else(|| self.misrouted(key))
            }
            Fact::Fired(Timer::Retry { task, after }) => self.stray_attempt(task, *after),
            Fact::Started(_)
            | Fact::Ended
            | Fact::Check
            | Fact::Checkpoint
            | Fact::Cancel(_)
            | Fact::Fired(Timer::Deadline) => None,
        }
    }

    fn misrouted(&self, key: &TaskKey) -> Option<String> {
        let agent = &self.plan.tasks[self.plan.index(&key.task)?].agent;
        (*agent != key.capability || key.lane != Lane::Normal).then(|| {
            format!(
                "task '{}' went to '{agent}' in the lane 'normal', not to '{}' in '{}'",
                key.task, key.capability, key.lane
            )
        })
    }

    fn stray_attempt(&self, task: &TaskId, attempt: Attempt) -> Option<String> {
        let Some(index) = self.plan.index(task) else {
            return Some(format!("the workflow has no task '{task}'"));
        };
        let last = match &self.tasks[index] {
            TaskState::Waiting(_) | TaskState::Skipped => 0,
            TaskState::Active(last)
            | TaskState::GivenUp(last)
            | TaskState::Pausing(last)
            | TaskState::Done(last)
            | TaskState::Failed(last) => last.get(),
        };
        (attempt.get() > last).then(|| format!("attempt {attempt} of task '{task}' was never created"))
    }

    fn key(&self, index: usize, attempt: Attempt) -> TaskKey {
        let task = &self.plan.tasks[index];
        TaskKey {
            capability: task.agent.clone(),
            lane: Lane::Normal,
            run: self.header.run,
            task: task.id.clone(),
            attempt,
        }
    }

    fn scope<'a>(&'a self, result: Option<&'a Value>) -> Scope<'a> {
        Scope { input: &self.input, outputs: &self.outputs, run: &self.variables, result }
    }
}
