//! What a plan is made of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesh_schemas::definition::{
    Join, MergeBy, OnFailure, OnMax, OnSkipped, Quota, Recovery, Retry, Span, Weights,
};
use mesh_schemas::{Capability, Digest, TaskId, WorkflowName};

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

/// What is done when it is decided how a run ends.
#[derive(Debug)]
pub(crate) struct Finally {
    /// The tasks.
    pub(crate) block: Block,
    /// How long they may take in all.
    pub(crate) timeout: Duration,
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
    /// Whether anybody asks how good or how fast it was.
    pub(crate) is_measured: bool,
    /// Whether the run is paused when everything is there for it.
    pub(crate) pause_before: bool,
}

/// How often a task is done.
#[derive(Debug)]
pub(crate) enum Recurring {
    /// Once.
    Once,
    /// For each item.
    Each(Box<Each>),
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
    /// What says how many of them are under way, if that is chosen when the loop begins.
    pub(crate) adaptive: Option<Adaptive>,
    /// How many may fail.
    pub(crate) tolerate: Quota,
    /// Whether anybody asks how good or how fast each was.
    pub(crate) is_measured: bool,
}

/// What it is chosen from how many items are under way at a time.
#[derive(Debug)]
pub(crate) struct Adaptive {
    /// How complex the work is.
    pub(crate) complexity: Template,
    /// How much its parts depend on each other.
    pub(crate) dependency: Template,
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
    /// Work for an agent, or for a run that is started for it.
    Work(Box<Work>),
    /// A group of tasks.
    Group(Block),
    /// The first case whose condition holds.
    Switch(Vec<Case>),
    /// One output of those of others.
    Merge(Box<Merge>),
}

/// Work for an agent, or for a run that is started for it and that acts like one.
#[derive(Debug)]
pub(crate) struct Work {
    /// The capability that an agent must have to do it; of a run, the name of its workflow.
    pub(crate) agent: Capability,
    /// The run that does it, if it is no agent.
    pub(crate) child: Option<Child>,
    /// What the agent is to do.
    pub(crate) action: Option<String>,
    /// How failed attempts are repeated.
    pub(crate) retry: Retry,
    /// Longest time that one execution may take.
    pub(crate) timeout: Option<Span>,
    /// What the agent returns are tasks to be done.
    pub(crate) planner: Option<Planner>,
    /// What follows when it failed for good; to fail, if something around it makes up for that.
    pub(crate) recovery: Recovery,
    /// Input; without one, the item of the loop around, or else the input of the run.
    pub(crate) with: Option<Template>,
    /// Output; without one, what the agent returned.
    pub(crate) output: Option<Template>,
    /// What the agent must return.
    pub(crate) schema: Option<Schema>,
}

/// What a plan of an agent may have in it.
#[derive(Debug)]
pub(crate) struct Planner {
    /// What its tasks may ask for.
    pub(crate) capabilities: Arc<BTreeSet<Capability>>,
    /// How many there may be.
    pub(crate) max_tasks: usize,
    /// How deep plans may stand in each other, this one included.
    pub(crate) max_depth: u32,
    /// What follows when one of them failed for good.
    pub(crate) recovery: Recovery,
    /// How deep the task that plans stands in groups and cases.
    pub(crate) depth: usize,
}

/// One output of those of others.
#[derive(Debug)]
pub(crate) struct Merge {
    /// How.
    pub(crate) by: MergeBy,
    /// Whose outputs.
    pub(crate) from: Vec<TaskId>,
    /// What counts for how much.
    pub(crate) weights: Weights,
    /// Quality of what nobody said anything of.
    pub(crate) default_quality: f64,
}

/// A run that is started for a task.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its workflow.
    pub(crate) workflow: WorkflowName,
    /// The definition that it follows; without one, that which is applied when it starts.
    pub(crate) version: Option<Digest>,
    /// Whether its end is waited for.
    pub(crate) wait: bool,
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
    /// The capabilities that it asks for.
    pub(crate) fn capabilities<'a>(&'a self, found: &mut BTreeSet<&'a Capability>) {
        match self {
            Self::Work(work) => found.extend(work.capability()),
            Self::Group(block) => block.nodes.iter().for_each(|node| node.step.capabilities(found)),
            Self::Switch(cases) => cases.iter().for_each(|case| case.step.capabilities(found)),
            Self::Merge(_) => {}
        }
    }

    /// The capability that it asks for, if it is work.
    #[must_use]
    pub(crate) fn agent(&self) -> Option<&Capability> {
        match self {
            Self::Work(work) => work.capability(),
            Self::Group(_) | Self::Switch(_) | Self::Merge(_) => None,
        }
    }

    /// The workflow of which it starts a run, if it does.
    #[must_use]
    pub(crate) fn workflow(&self) -> Option<&WorkflowName> {
        match self {
            Self::Work(work) => work.workflow(),
            Self::Group(_) | Self::Switch(_) | Self::Merge(_) => None,
        }
    }
}

impl Work {
    /// The capability that it asks for, if it is work for an agent.
    #[must_use]
    pub(crate) fn capability(&self) -> Option<&Capability> {
        self.child.is_none().then_some(&self.agent)
    }

    /// The workflow of which it starts a run, if it does.
    #[must_use]
    pub(crate) fn workflow(&self) -> Option<&WorkflowName> {
        self.child.as_ref().map(|child| &child.workflow)
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
