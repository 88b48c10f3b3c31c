use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Capability;

/// What a plan of an agent may have in it. Written `true` where nothing of it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The capabilities that its tasks may ask for; those that tasks of the workflow ask for, or for a plan within a plan those
    /// of the outer one, if nothing is said.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capabilities: BTreeSet<Capability>,
    /// How many tasks it may have, those in groups and cases included: 1 to 1 000. 100 if nothing is said.
    #[serde(default = "max_tasks")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_tasks: u32,
    /// How deep plans may stand in each other: 1 to 4, where 1 means that no task of the plan plans. 2 if nothing is said.
    #[serde(default = "max_depth")]
    #[schemars(range(min = 1, max = 4))]
    pub max_depth: u32,
}

/// The agent of the task plans: what it returns are tasks to be done, as in a group, and perhaps an `output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Planner {
    /// `true`, or `false` for no plan.
    Plain(bool),
    /// Within these limits.
    Limited(Limits),
}

impl Default for Limits {
    fn default() -> Self {
        Self { capabilities: BTreeSet::new(), max_tasks: max_tasks(), max_depth: max_depth() }
    }
}

impl Planner {
    /// The limits, if there is to be a plan.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        match self {
            Self::Plain(false) => None,
            Self::Plain(true) => Some(Limits::default()),
            Self::Limited(limits) => Some(limits.clone()),
        }
    }
}

fn max_tasks() -> u32 {
    100
}

fn max_depth() -> u32 {
    2
}
