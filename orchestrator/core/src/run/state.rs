//! How the parts of a run stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mesh_schemas::{Attempt, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::nodes;
use crate::decision::End;
use crate::expression::{Ended, Measure};
use crate::plan::Block;

/// A block under way: the tasks of a run, or of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// By place in the block.
    #[serde(with = "nodes")]
    pub(super) nodes: Vec<NodeState>,
    /// How many of them have not ended and are waited for.
    #[serde(skip)]
    pub(super) open: usize,
    /// Those that have not ended and are not waited for, as every join behind them has gone on without them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) released: BTreeSet<usize>,
    /// What those that have ended came to, as long as it may still be asked for. So a long run does not hold all that it
    /// ever made.
    pub(super) ended: BTreeMap<TaskId, Ended>,
    /// How many may still ask for each: tasks that have not ended, and the output of the block.
    #[serde(skip)]
    pub(super) readers: Vec<u32>,
    /// When those began, by place, that are under way and measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) began: BTreeMap<usize, DateTime<Utc>>,
}

/// Where a task stands. Transitions: waiting → under way | recovering | done | failed | skipped; under way → recovering |
/// done | failed | skipped; recovering → failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum NodeState {
    Waiting(Waiting),
    Once(Stand),
    Each(Box<EachState>),
    Loop(Box<LoopState>),
    /// It failed, and another is done in its stead.
    Recovering(Box<Failure>, Option<Attempt>),
    /// It went well; with the last attempt of work that is done once.
    Done(Option<Attempt>),
    Failed(Option<Attempt>),
    Skipped,
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Needs that have not ended, and the task that it stands in for.
    #[serde(skip)]
    pub(super) missing: u32,
    /// Needs that went well.
    #[serde(skip)]
    pub(super) arrived: u32,
    /// There are enough of them: it waits for a further time.
    pub(super) in_grace: bool,
    /// The time for enough of them runs.
    pub(super) is_timed: bool,
}

/// How something that is done once stands. Transitions of work: active → pausing | given up; given up → pausing; pausing →
/// active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Stand {
    /// An attempt is with an agent.
    Active(Attempt),
    /// The result of the attempt is lost: it fails as soon as that stands in the log.
    GivenUp(Attempt),
    /// The attempt failed; another follows when the timer has fired.
    Pausing(Attempt),
    /// The attempt failed for good; another follows if somebody says so.
    Stuck(Attempt),
    Group(Box<Frame>),
    /// An attempt went well, and returned tasks to be done.
    Planned(Box<Planned>),
    /// The case of this number.
    Case(usize, Box<Stand>),
}

/// Tasks under way that an agent planned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Planned {
    /// The attempt that returned them.
    pub(super) attempt: Attempt,
    /// What it returned.
    pub(super) source: Value,
    /// That, compiled; always there but while a state is read.
    #[serde(skip)]
    pub(super) block: Option<Arc<Block>>,
    pub(super) frame: Frame,
}

/// A block is a function of what was returned.
impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.attempt == other.attempt && self.source == other.source && self.frame == other.frame
    }
}

impl Planned {
    pub(super) fn block(&self) -> Arc<Block> {
        self.block.clone().unwrap_or_else(|| unreachable!("a plan is compiled when it is taken or read"))
    }
}

/// What is done when it is decided how a run ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Closing {
    /// How it ends.
    pub(super) end: End,
    /// Whether another run may be worth a try, if it failed.
    pub(super) is_retryable: bool,
    /// When that is over whatever happens.
    pub(super) due: DateTime<Utc>,
    pub(super) frame: Frame,
}

/// A loop over items under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EachState {
    /// The keys of an object.
    pub(super) keys: Option<Vec<String>>,
    /// The items, as long as they are of use.
    pub(super) items: Vec<Value>,
    /// How many are under way at a time; 0 as long as that is not chosen.
    pub(super) width: usize,
    /// The first that has not begun.
    pub(super) next: usize,
    /// Those under way.
    pub(super) running: BTreeMap<usize, Stand>,
    /// What became of each.
    pub(super) ends: Vec<ItemEnd>,
    /// Their outputs.
    pub(super) outputs: Vec<Value>,
    pub(super) failed: usize,
    /// When those under way began, if they are measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) began: BTreeMap<usize, DateTime<Utc>>,
    /// The measures of those that went well, if they are measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) measures: BTreeMap<usize, Measure>,
}

/// What became of an item; with the last attempt of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ItemEnd {
    None,
    Done(Option<Attempt>),
    Failed(Option<Attempt>),
    Skipped,
}

/// A loop that repeats under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LoopState {
    /// The number of the iteration under way, from 1.
    pub(super) number: u32,
    pub(super) stand: Stand,
    /// The output of the one before.
    pub(super) previous: Value,
    /// The outputs of all before, if anybody asks for them.
    pub(super) outputs: Vec<Value>,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The task that failed first; none for the block itself.
    pub(super) task: Option<TaskId>,
    pub(super) code: String,
    pub(super) message: String,
    /// Whether the same might go well another time: what that is worth to who started the run for a task.
    pub(super) retryable: bool,
}

/// What something came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Done(Value),
    Failed(Failure),
    Skipped,
}

impl Frame {
    /// The block before anything has begun.
    pub(super) fn new(block: &Block) -> Self {
        let waiting = |place: usize| {
            let node = &block.nodes[place];
            let missing = node.needs.len() + usize::from(node.rescues.is_some());
            // No workflow has more needs than that.
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            NodeState::Waiting(Waiting { missing, ..Waiting::default() })
        };
        Self {
            nodes: (0..block.nodes.len()).map(waiting).collect(),
            open: block.nodes.len(),
            released: BTreeSet::new(),
            ended: BTreeMap::new(),
            readers: block.readers(|_| true),
            began: BTreeMap::new(),
        }
    }
}

impl NodeState {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Skipped)
    }

    /// The last attempt of work that is done once.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Once(stand) => stand.attempt(),
            Self::Recovering(_, attempt) | Self::Done(attempt) | Self::Failed(attempt) => *attempt,
            Self::Waiting(_) | Self::Each(_) | Self::Loop(_) | Self::Skipped => None,
        }
    }
}

impl Stand {
    pub(super) fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Active(attempt)
            | Self::GivenUp(attempt)
            | Self::Pausing(attempt)
            | Self::Stuck(attempt) => Some(*attempt),
            Self::Planned(planned) => Some(planned.attempt),
            Self::Group(_) | Self::Case(..) => None,
        }
    }
}
