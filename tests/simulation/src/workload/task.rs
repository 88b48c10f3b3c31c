use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_schemas::{Capability, Digest, TaskId};

use super::expression::Expression;
use super::merge::Merge;
use super::planner::Planner;
use super::template::Template;

/// A task of a workflow or of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What is done.
    pub body: Body,
    /// How often.
    pub often: Often,
    /// Tasks of the same block that must have ended first.
    pub needs: BTreeSet<TaskId>,
    /// How many of them.
    pub join: Join,
    /// Condition.
    pub when: Option<Expression>,
    /// Whether it says `on_skipped: run`.
    pub runs_when_skipped: bool,
    /// What follows if it fails for good.
    pub on_failure: OnFailure,
    /// Whether the run is paused when everything is there for it.
    pub pause_before: bool,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Work for an agent.
    Work(Work),
    /// Tasks in place of one.
    Group(Group),
    /// The first case that holds.
    Switch(Vec<Case>),
    /// One output of those of others.
    Merge(Merge),
}

/// Work for an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The capability that does it, or the workflow.
    pub agent: Capability,
    /// What the agent is to do.
    pub action: Option<String>,
    /// Input.
    pub with: Option<Template>,
    /// Output.
    pub output: Option<Template>,
    /// How failed attempts are repeated.
    pub retry: Option<Retry>,
    /// Longest time of one execution.
    pub timeout: Option<Duration>,
    /// Whether the agent plans.
    pub plan: Option<Box<Planner>>,
    /// Whether it is a run of another workflow, which has the name of the capability.
    pub call: Option<Box<Call>>,
}

/// A run of another workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whether the task waits for its end.
    pub wait: bool,
    /// The version of the workflow, if it is said.
    pub version: Option<Digest>,
}

/// Tasks in place of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Output of the group.
    pub output: Option<Template>,
}

/// One case of a switch.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Condition; only the last case may have none.
    pub when: Option<Expression>,
    /// What is done.
    pub body: Body,
}

/// How often a task is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Often {
    /// Once.
    Once,
    /// For each item.
    Each(Each),
    /// Until a condition holds.
    Repeat(Repeat),
}

/// For each item of a list or an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Each {
    /// The list or object.
    pub items: Template,
    /// How many are under way at a time at most.
    pub max_parallel: Option<u32>,
    /// How many items there may be.
    pub max_items: Option<u32>,
    /// How many of them may fail.
    pub tolerate: Option<Quota>,
    /// What it is chosen from how many are under way at a time, if it is.
    pub adaptive: Option<Adaptive>,
}

/// What it is chosen from how many items are under way at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Adaptive {
    /// How complex the work is.
    pub complexity: Template,
    /// How much its parts depend on each other.
    pub dependency: Option<Template>,
}

/// Again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// Condition to end.
    pub until: Expression,
    /// How many iterations there are at most.
    pub max: u32,
    /// Whether it says `on_max: continue`.
    pub goes_on: bool,
}

/// How many of the needs must have ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Join {
    /// All.
    All,
    /// One that went well.
    Any,
    /// Enough that went well.
    Quorum {
        /// How many.
        quorum: Quota,
        /// How long it waits for the others then.
        grace: Option<Duration>,
        /// How long it waits for enough of them.
        deadline: Option<Duration>,
    },
}

/// A number of things, or a share of them in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

/// What follows if a task fails for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// What it belongs to fails.
    Fail,
    /// All goes on.
    Continue,
    /// Another task is done in its stead.
    Task(TaskId),
}

/// What follows when a task failed for good and nothing makes up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// The run fails.
    Fail,
    /// It goes on without.
    Continue,
    /// It is paused until somebody has the task tried again.
    Pause,
    /// The task is tried again, so often at most.
    Retry(u32),
}

/// What a task says about repeated attempts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: Option<u32>,
    /// Pause after the first failed attempt, in whole milliseconds.
    pub initial: Option<Duration>,
    /// How much longer each further pause is.
    pub factor: Option<f64>,
    /// Longest pause, in whole milliseconds.
    pub max: Option<Duration>,
    /// Share of a pause that is taken off by chance.
    pub jitter: Option<f64>,
    /// Codes that are not worth another attempt.
    pub fatal_on: Vec<String>,
}

impl Task {
    /// A task that says nothing but which agents do it.
    #[must_use]
    pub fn new(agent: Capability) -> Self {
        Self::of(Body::Work(Work::new(agent)))
    }

    /// A task that says nothing but what is done.
    #[must_use]
    pub fn of(body: Body) -> Self {
        Self {
            body,
            often: Often::Once,
            needs: BTreeSet::new(),
            join: Join::All,
            when: None,
            runs_when_skipped: false,
            on_failure: OnFailure::Fail,
            pause_before: false,
        }
    }
}

impl Work {
    /// Work that says nothing but which agents do it.
    #[must_use]
    pub fn new(agent: Capability) -> Self {
        Self {
            agent,
            action: None,
            with: None,
            output: None,
            retry: None,
            timeout: None,
            plan: None,
            call: None,
        }
    }
}

impl Body {
    /// The work, if it is work.
    #[must_use]
    pub fn work(&self) -> Option<&Work> {
        match self {
            Self::Work(work) => Some(work),
            Self::Group(_) | Self::Switch(_) | Self::Merge(_) => None,
        }
    }

    /// Whether it is work that has no parts: nobody plans.
    #[must_use]
    pub fn is_plain_work(&self) -> bool {
        self.work().is_some_and(|work| work.plan.is_none())
    }
}

impl Quota {
    /// The least number that is as much as this of so many.
    #[must_use]
    pub fn at_least(self, of: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (percent as usize * of).div_ceil(100),
        }
    }

    /// The greatest number that is not more than this of so many.
    #[must_use]
    pub fn at_most(self, of: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => percent as usize * of / 100,
        }
    }
}
