//! What a plan is made of.

use mesh_schemas::definition::{Join, OnFailure, OnMax, OnSkipped, Quota, Retry, Span};
use mesh_schemas::{Capability, TaskId};

use crate::expression::{Condition, Template};
use crate::schema::Schema;

/// Tasks that need each other, and an output: those of a workflow, or of a group.
#[derive(Debug)]
pub(crate) struct Block {
    /// The tasks in the order of their ids; places in this list name tasks elsewhere in the block.
    pub(crate) nodes: Vec<Node>,
    /// The output.
    pub(crate) output: Box<Template>,
    /// What the output must follow.
    pub(crate) schema: Option<Box<Schema>>,
    /// Places of the tasks that the output uses, each once, in order.
    pub(crate) uses: Vec<usize>,
}

/// A task of a plan.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its id, without what it belongs to.
    pub(crate) id: TaskId,
    /// Places of the tasks that must have ended first, each once, in order.
    pub(crate) needs: Vec<usize>,
    /// Places of the tasks that need this one, each once, in order.
    pub(crate) dependents: Vec<usize>,
    /// Places of the tasks of the same block that expressions in it use, each once, in order.
    pub(crate) uses: Vec<usize>,
    /// How many of the needs must have ended.
    pub(crate) join: Join,
    /// Condition; without one, the task runs.
    pub(crate) when: Option<Condition>,
    /// What becomes of it when one of its needs was skipped.
    pub(crate) on_skipped: OnSkipped,
    /// What becomes of the block when it failed for good.
    pub(crate) on_failure: OnFailure,
    /// Place of the task that is done when it failed.
    pub(crate) rescuer: Option<usize>,
    /// Place of the task whose failure this one is for.
    pub(crate) rescues: Option<usize>,
    /// How often it is done.
    pub(crate) recurring: Recurring,
    /// What is done each time.
    pub(crate) step: Step,
    /// Whether expressions ask for the outputs of all iterations.
    pub(crate) keeps_iterations: bool,
}

/// How often a task is done.
#[derive(Debug)]
pub(crate) enum Recurring {
    /// Once.
    Once,
    /// For each item.
    Each(Each),
    /// Again and again.
    Loop(Loop),
}

/// For each item of a list or an object.
#[derive(Debug)]
pub(crate) struct Each {
    /// The list or object.
    pub(crate) items: Template,
    /// How many are under way at a time at most.
    pub(crate) max_parallel: usize,
    /// How many items there may be.
    pub(crate) max_items: usize,
    /// How many may fail.
    pub(crate) tolerate: Quota,
}

/// Again and again.
#[derive(Debug)]
pub(crate) struct Loop {
    /// The condition to end.
    pub(crate) until: Condition,
    /// How many iterations there are at most.
    pub(crate) max: u32,
    /// What follows if the condition never holds.
    pub(crate) on_max: OnMax,
}

/// What is done.
#[derive(Debug)]
pub(crate) enum Step {
    /// Work for an agent.
    Work(Box<Work>),
    /// A group of tasks.
    Group(Block),
    /// The first case whose condition holds.
    Switch(Vec<Case>),
}

/// Work for an agent.
#[derive(Debug)]
pub(crate) struct Work {
    /// The capability that an agent must have to do it.
    pub(crate) agent: Capability,
    /// What the agent is to do.
    pub(crate) action: Option<String>,
    /// How failed attempts are repeated.
    pub(crate) retry: Retry,
    /// Longest time that one execution may take.
    pub(crate) timeout: Option<Span>,
    /// Input; without one, the item of the loop around, or else the input of the run.
    pub(crate) with: Option<Template>,
    /// Output; without one, what the agent returned.
    pub(crate) output: Option<Template>,
    /// What the agent must return.
    pub(crate) schema: Option<Schema>,
}

/// One case of a switch.
#[derive(Debug)]
pub(crate) struct Case {
    /// Condition; the last case may have none.
    pub(crate) when: Option<Condition>,
    /// What is done.
    pub(crate) step: Step,
}

impl Step {
    /// The capability that it asks for, if it is work.
    #[must_use]
    pub(crate) fn agent(&self) -> Option<&Capability> {
        match self {
            Self::Work(work) => Some(&work.agent),
            Self::Group(_) | Self::Switch(_) => None,
        }
    }
}

impl Block {
    /// The place of a task by its id, without what it belongs to.
    #[must_use]
    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok()
    }

    /// How many may ask for the output of each task: the tasks, by their places, that are `open`, and the output of
    /// the block.
    pub(crate) fn readers(&self, open: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut readers = vec![0; self.nodes.len()];
        let open = self.nodes.iter().enumerate().filter(|(place, _)| open(*place));
        for &used in open.flat_map(|(_, node)| &node.uses).chain(&self.uses) {
            readers[used] += 1;
        }
        readers
    }
}
