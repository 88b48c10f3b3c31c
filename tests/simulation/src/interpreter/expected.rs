use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{TaskCounts, code};
use mesh_schemas::{Attempt, Digest, TaskId, Timer};
use serde_json::Value;

use super::again::Kept;
use super::reading::Reading;
use crate::workload::{self, Call};

/// Stands for the words that the mesh finds for an error: nobody says which they are, so any will do.
pub const UNTOLD: char = '\u{e000}';

/// All that follows from a log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expected {
    /// The attempts that agents are asked for.
    pub created: BTreeMap<(TaskId, Attempt), Decided<Work>>,
    /// The runs that attempts are.
    pub called: BTreeMap<(TaskId, Attempt), Decided<Called>>,
    /// Those of them that are cancelled, as nobody waits for them any more.
    pub uncalled: BTreeMap<(TaskId, Attempt), Decided<()>>,
    /// What the task is told that the run was started for.
    pub report: Option<Decided<Report>>,
    /// The waits.
    pub timers: BTreeMap<Timer, Decided<Wait>>,
    /// The attempts whose failure the orchestrator itself reports, with the code of the error.
    pub given_up: BTreeMap<(TaskId, Attempt), Decided<&'static str>>,
    /// The choices how many items of a loop are under way at a time.
    pub routed: BTreeMap<TaskId, Decided<Route>>,
    /// The pauses, by number.
    pub paused: BTreeMap<u64, Decided<Pause>>,
    /// The ends of pauses.
    pub resumed: BTreeMap<u64, Decided<()>>,
    /// The end of the run.
    pub end: Option<Decided<Ended>>,
    /// What is kept of its tasks when it has ended, for a run that does it again.
    pub kept: Vec<Kept>,
    /// Groups, loops and the like, and iterations, that were over before the run was, each with the place of the event that
    /// ended it.
    pub over: BTreeMap<TaskId, usize>,
}

/// Something that follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided<T> {
    /// Place of the event in the log: the first prefix that leads to this has the length `at + 1`.
    pub at: usize,
    /// What follows.
    pub what: T,
}

/// Work for an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Name of the workflow, `-` for a directly requested task.
    pub workflow: String,
    /// What the agent is to do.
    pub action: Option<String>,
    /// The input.
    pub input: Value,
    /// Longest time of one execution, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// When the run ends whatever happens, or what is done finally.
    pub deadline: DateTime<Utc>,
    /// Store time of the event that the work follows from.
    pub basis: DateTime<Utc>,
}

/// A run of another workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// The name of the workflow.
    pub workflow: String,
    /// The input.
    pub input: Value,
    /// How many runs stand around it.
    pub depth: u64,
    /// Whether the task waits for it.
    pub wait: bool,
    /// The version that it is to follow, if it is said.
    pub version: Option<Digest>,
    /// When it ends whatever happens, if that is said.
    pub deadline: Option<DateTime<Utc>>,
}

/// What a run was for the task that it was started for.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Its output is the result.
    Completed(Value),
    /// It failed.
    Failed {
        /// The code of the error.
        code: String,
        /// Whether another run may go better.
        retryable: bool,
    },
}

/// What it is chosen from how many items of a loop are under way at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route {
    /// How complex the work is.
    pub complexity: f64,
    /// How much its parts depend on each other.
    pub dependency: f64,
    /// How many may be under way at most.
    pub most: usize,
}

impl Route {
    /// How many are under way where so many tasks more could be taken by agents that have so much room: all of these if the
    /// work is complex and most of the room is free, one if its parts depend on each other, else three, or as many as are free, and always one.
    #[must_use]
    pub fn width(&self, free: u32, capacity: u64) -> usize {
        let width = if self.complexity > 0.8 && f64::from(free) > 0.7 * capacity as f64 {
            free as usize
        } else if self.dependency > 0.6 {
            1
        } else {
            3.min(free as usize)
        };
        width.min(self.most).max(1)
    }
}

/// A pause of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    /// The task before which it stands, or that failed.
    pub task: Option<TaskId>,
    /// Why.
    pub reason: Option<String>,
}

/// When a wait is over: exactly known unless chance takes off a share of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait(pub RangeInclusive<DateTime<Utc>>);

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How it ends.
    pub end: End,
    /// How its tasks have ended.
    pub tasks: TaskCounts,
    /// Milliseconds from the store time of `started` to that of the event that ends it.
    pub duration_ms: u64,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With an output.
    Completed {
        /// The output.
        output: Value,
    },
    /// With an error.
    Failed {
        /// Its code.
        code: String,
        /// The task that failed, if it was a task.
        task: Option<TaskId>,
        /// Whether another run may go better.
        retryable: bool,
    },
    /// By a cancel signal.
    Cancelled {
        /// Why, as the canceller said.
        reason: Option<String>,
    },
}

impl Work {
    pub(super) fn new(work: &workload::Work, input: Value, reading: &Reading<'_>, at: usize) -> Self {
        let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self {
            workflow: reading.workflow.name.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            action: work.action.clone(),
            input,
            timeout_ms: work.timeout.map(millis),
            deadline: reading.deadline,
            basis: reading.log.events[at].time,
        }
    }
}

impl Called {
    pub(super) fn new(
        work: &workload::Work,
        call: &Call,
        input: Value,
        reading: &Reading<'_>,
        at: usize,
    ) -> Self {
        let own = work.timeout.map(|timeout| reading.log.events[at].time + timeout);
        let around = call.wait.then_some(reading.deadline);
        Self {
            workflow: work.agent.to_string(),
            input,
            depth: reading.log.parent.as_ref().map_or(0, |parent| parent.depth) + 1,
            wait: call.wait,
            version: call.version.clone(),
            deadline: own.into_iter().chain(around).min(),
        }
    }
}

impl Report {
    pub(super) fn of(end: &End) -> Self {
        match end {
            End::Completed { output } => Self::Completed(output.clone()),
            End::Failed { code, retryable, .. } => Self::Failed { code: code.clone(), retryable: *retryable },
            End::Cancelled { .. } => {
                Self::Failed { code: code::CHILD_CANCELLED.to_owned(), retryable: false }
            }
        }
    }
}

impl Wait {
    pub(super) fn exactly(time: DateTime<Utc>) -> Self {
        Self(time..=time)
    }

    pub(super) fn behind(time: DateTime<Utc>, pause: &RangeInclusive<Duration>) -> Self {
        Self(time + *pause.start()..=time + *pause.end())
    }

    /// Whether the wait may be over at a time.
    #[must_use]
    pub fn admits(&self, due: DateTime<Utc>) -> bool {
        self.0.contains(&due)
    }
}

impl Expected {
    /// What a prefix of the log with so many events leads to.
    #[must_use]
    pub fn upto(&self, events: usize) -> Self {
        let mut prefix = self.clone();
        prefix.created.retain(|_, decided| decided.at < events);
        prefix.called.retain(|_, decided| decided.at < events);
        prefix.uncalled.retain(|_, decided| decided.at < events);
        prefix.report.take_if(|decided| decided.at >= events);
        prefix.timers.retain(|_, decided| decided.at < events);
        prefix.given_up.retain(|_, decided| decided.at < events);
        prefix.routed.retain(|_, decided| decided.at < events);
        prefix.paused.retain(|_, decided| decided.at < events);
        prefix.resumed.retain(|_, decided| decided.at < events);
        if prefix.end.take_if(|decided| decided.at >= events).is_some() {
            prefix.kept.clear();
        }
        prefix.over.retain(|_, at| *at < events);
        prefix
    }
}
