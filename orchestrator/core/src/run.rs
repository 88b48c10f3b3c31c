//! A run: the fold of its events.

mod checkpoint;
mod fold;
mod hold;
mod look;
mod origin;
mod progress;
mod rerun;
mod state;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{Parent, TakenOver, TaskCounts};
use mesh_schemas::{Lane, RunId, TaskId, TaskKey, Timer, TraceContext, WorkflowName};
use serde_json::{Value, json};

use crate::config::merged_config;
use crate::decision::{Action, Decision};
use crate::event::{Event, Fact, Started};
use crate::expression::Ended;
use crate::plan::Plan;
pub use checkpoint::{MAX_STATE_BYTES, NotRestored};
use fold::Hit;
use hold::Hold;
use look::Found;
pub use origin::Origin;
pub use rerun::NotRerun;
use state::{Closing, Frame, Stand};
pub use view::TaskView;
use view::Views;

/// State of a run after some prefix of its log.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What every event of the run carries along.
    pub header: Header,
    plan: Arc<Plan>,
    /// What expressions see as `run`.
    variables: Value,
    input: Value,
    /// The values of the definition, with what the request put in their place.
    config: Value,
    /// How its tasks stand.
    root: Frame,
    /// What it keeps back.
    hold: Hold,
    /// How many of them have ended how.
    counts: TaskCounts,
    end: EndState,
    /// What it takes over from another run.
    taken: Option<Box<TakenOver>>,
    /// Tasks before which it is paused, beside those of which the definition says so.
    pause_before: BTreeSet<TaskId>,
    /// What became of every task of the workflow itself, if that is kept.
    kept: Option<BTreeMap<TaskId, Ended>>,
    /// What is done at the end, once that is decided.
    closing: Option<Box<Closing>>,
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
    /// The task of another run that it was started for, if it was.
    pub parent: Option<Parent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndState {
    Open,
    /// The end is decided.
    Decided,
    /// The end stands in the log.
    Stored,
}

/// What an event leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// To be stored, in this order as far as order matters to anyone who watches.
    pub decisions: Vec<Decision>,
    /// Why the event means nothing to this run, if it names something that the run does not have.
    pub stray: Option<String>,
    /// The tasks that stand otherwise than before, in the order in which that came about; one may be there twice.
    pub changed: Vec<TaskView>,
}

impl Run {
    /// The run that a `started` event begins, and what follows from it.
    #[must_use]
    pub fn start(event: &Event, started: &Started, plan: Arc<Plan>) -> (Self, Step) {
        Self::new(event, started, plan).begin(event, started)
    }

    /// [`Run::start`], for a run that keeps what became of every task of the workflow itself.
    pub(crate) fn start_keeping(event: &Event, started: &Started, plan: Arc<Plan>) -> (Self, Step) {
        let mut run = Self::new(event, started, plan);
        run.kept = Some(BTreeMap::new());
        run.begin(event, started)
    }

    fn begin(mut self, event: &Event, started: &Started) -> (Self, Step) {
        let run = &mut self;
        let deadline = run.header.deadline;
        let step = run.step(event, |fold, at, root| match &started.lost {
            Some(lost) => fold.beginning_lost(at, root, lost),
            None => {
                fold.decide(Action::SetTimer(Timer::Deadline, deadline));
                fold.start(at, root);
            }
        });
        (self, step)
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
            deadline: deadline(at, &plan, started.data.parent.as_ref()),
            parent: started.data.parent.clone(),
        };
        let variables = json!({
            "id": run.to_string(),
            "workflow": header.workflow.as_ref().map_or("-", WorkflowName::as_str),
            "correlation_id": header.correlation_id,
            "started_at": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "outcome": null,
        });
        Self {
            header,
            variables,
            input: started.data.input.clone(),
            config: merged_config(plan.definition.config.as_ref(), started.data.config.as_ref()),
            root: Frame::new(&plan.root),
            hold: Hold::default(),
            counts: TaskCounts::default(),
            plan,
            end: EndState::Open,
            taken: started.data.taken_over.clone().map(Box::new),
            pause_before: started.data.pause_before.iter().cloned().collect(),
            kept: None,
            closing: None,
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
        let is_closing = self.closing.is_some();
        if let Some((task, hit)) = hit(&event.fact) {
            return self.step(event, |fold, at, root| {
                if is_closing {
                    fold.hit_at_the_end(root, task, &hit)
                } else {
                    fold.hit(at, root, task, &hit)
                }
            });
        }
        self.step(event, |fold, at, root| match &event.fact {
            Fact::Fired(Timer::Finally) if is_closing => fold.end_timed_out(root),
            Fact::Fired(Timer::Deadline) if !is_closing => fold.timed_out(at, root),
            Fact::Cancel(signal) if is_closing => fold.cancelled_at_the_end(root, signal.reason.clone()),
            Fact::Cancel(signal) => fold.cancelled(at, root, signal.reason.clone()),
            Fact::Pause(signal) => fold.pause(signal.reason.clone(), None),
            Fact::Resume => fold.resumed(at, root),
            Fact::Retry(signal) => fold.retry(at, root, signal),
            _ => {}
        })
    }

    fn find(&self, task: &TaskId) -> Found<'_> {
        look::find(&self.plan, &self.root, self.closing.as_deref(), task)
    }

    /// The plan that it follows.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// How many tasks its workflow has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.plan.size
    }

    /// Whether it is paused: nothing new is begun.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.hold.is_paused && !self.has_ended()
    }

    /// The work that failed for good and that somebody may have tried again.
    #[must_use]
    pub fn stuck(&self) -> Vec<TaskId> {
        if self.has_ended() { Vec::new() } else { self.hold.stuck.iter().cloned().collect() }
    }

    /// Whether its end is decided but for what is done then.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() && !self.has_ended()
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
        let find = |task| if self.has_ended() { Found::Nothing } else { self.find(task) };
        match &decision.action {
            Action::Create(key, _) | Action::StartChild(key, _) => {
                matches!(find(&key.task), Found::Open(_, Stand::Active(attempt)) if *attempt == key.attempt)
            }
            Action::SetTimer(Timer::Deadline | Timer::Finally, _) => !self.has_ended(),
            Action::SetTimer(Timer::Grace(task), _) => {
                matches!(find(task), Found::Waiting(_, waiting) if waiting.in_grace)
            }
            Action::SetTimer(Timer::Join(task), _) => {
                matches!(find(task), Found::Waiting(_, waiting) if waiting.is_timed)
            }
            Action::SetTimer(Timer::Retry { task, after }, _) => {
                matches!(find(task), Found::Open(_, Stand::Pausing(attempt)) if attempt == after)
            }
            Action::Route(task, _) => matches!(find(task), Found::Unrouted),
            Action::Pause(number, _) => self.is_paused() && self.hold.pauses == *number,
            Action::Resume(number) => {
                !self.has_ended() && !self.hold.is_paused && self.hold.pauses == *number
            }
            Action::GiveUp(..) => true,
            // The end is stored after what others are told.
            Action::CancelChild(..) | Action::Report(..) | Action::End(_) => self.end != EndState::Stored,
        }
    }

    /// How every task stands, in the order of their ids, each before what belongs to it.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        let is_over = self.has_ended();
        let mut views = Views { all: Vec::new(), is_over: is_over || self.closing.is_some() };
        views.frame(&self.plan.root, &self.root, "");
        if let Some(finally) = &self.plan.finally {
            views.is_over = is_over;
            let unborn = || Frame::new(&finally.block);
            let frame = self.closing.as_ref().map_or_else(unborn, |closing| closing.frame.clone());
            views.frame(&finally.block, &frame, fold::FINALLY);
        }
        self.hold.mark(&mut views.all);
        views.all
    }

    /// Whether this took an attempt's result into account. If the log has it that the result is lost, the run is not what
    /// it would be for those who read all of its log.
    #[must_use]
    pub fn has_used(&self, key: &TaskKey) -> bool {
        match self.find(&key.task) {
            Found::Ended(_, attempt) => attempt == Some(key.attempt),
            Found::Open(_, Stand::Planned(planned)) => planned.attempt == key.attempt,
            Found::Over => true,
            Found::Nothing | Found::Unrouted | Found::Waiting(..) | Found::Unborn(_) | Found::Open(..) => {
                false
            }
        }
    }

    /// Why an event belongs to nothing that this run has asked for so far, if so. Changes nothing, so that it can
    /// be asked about an event that was taken already. What comes for a part of something that is over is only late.
    #[must_use]
    pub fn stray(&self, event: &Event) -> Option<String> {
        let (task, attempt, key) = match &event.fact {
            Fact::Completed(key, _) | Fact::Failed(key, _) | Fact::Lost(key, _) => {
                (&key.task, key.attempt, Some(key))
            }
            Fact::Fired(Timer::Retry { task, after }) => (task, *after, None),
            Fact::Started(_)
            | Fact::Ended
            | Fact::Check
            | Fact::Checkpoint
            | Fact::Cancel(_)
            | Fact::Pause(_)
            | Fact::Resume
            | Fact::Retry(_)
            | Fact::Told
            | Fact::Routed(..)
            | Fact::Fired(Timer::Deadline | Timer::Finally | Timer::Grace(_) | Timer::Join(_)) => {
                return None;
            }
        };
        let (work, last) = match self.find(task) {
            Found::Nothing | Found::Unrouted | Found::Waiting(None, _) => {
                return Some(format!("the workflow has no task '{task}'"));
            }
            Found::Over => return None,
            Found::Waiting(Some(work), _) | Found::Unborn(work) => (work, None),
            Found::Open(work, stand) => (work, stand.attempt()),
            Found::Ended(work, last) => (work, last),
        };
        if last.is_none_or(|last| attempt > last) {
            return Some(format!("attempt {attempt} of task '{task}' was never created"));
        }
        let agent = &work.agent;
        key.filter(|key| key.capability != *agent || key.lane != Lane::Normal).map(|key| {
            format!(
                "task '{task}' went to '{agent}' in the lane 'normal', not to '{}' in '{}'",
                key.capability, key.lane
            )
        })
    }
}

/// What happened to a task.
fn hit(fact: &Fact) -> Option<(&TaskId, Hit<'_>)> {
    Some(match fact {
        Fact::Completed(key, outcome) => (&key.task, Hit::Completed(key, outcome)),
        Fact::Failed(key, error) => (&key.task, Hit::Failed(key, error)),
        Fact::Lost(key, error) => (&key.task, Hit::Lost(key, error)),
        Fact::Fired(Timer::Retry { task, after }) => (task, Hit::Retry(*after)),
        Fact::Fired(Timer::Grace(task)) => (task, Hit::Grace),
        Fact::Fired(Timer::Join(task)) => (task, Hit::Join),
        Fact::Routed(task, width) => (task, Hit::Routed(*width)),
        _ => return None,
    })
}

/// When a run ends whatever happens: when its own timeout is over, or before that, when the time is over that the task has
/// for which it was started. Both are by the server's clock.
fn deadline(started: DateTime<Utc>, plan: &Plan, parent: Option<&Parent>) -> DateTime<Utc> {
    let own = started + plan.timeout();
    let given = parent.and_then(|parent| parent.deadline);
    given.map_or(own, |given| own.min(given).max(started))
}
