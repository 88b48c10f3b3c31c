use std::collections::BTreeMap;

use mesh_schemas::TaskId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::measure::Measures;

/// What an expression can see.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Input of the run, `input`.
    pub input: &'a Value,
    /// The configuration of the run, `config`.
    pub config: &'a Value,
    /// The run itself, `run`: `id`, `workflow`, `correlation_id`, `started_at`.
    pub run: &'a Value,
    /// The tasks and loops around.
    pub around: &'a Around<'a>,
    /// What the agent returned, `result`; only where something has just given a result. Null elsewhere.
    pub result: Option<&'a Value>,
}

/// A block or a loop around an expression.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// What stands around this one.
    pub parent: Option<&'a Self>,
    /// What this one brings along.
    pub brings: Brings<'a>,
}

/// What a block or a loop brings along.
#[derive(Debug, Clone, Copy)]
pub enum Brings<'a> {
    /// The tasks that have ended, `tasks.<id>`. A task that is not here has the output null.
    Tasks(&'a BTreeMap<TaskId, Ended>),
    /// `item`, `index` and `key`.
    Item {
        /// The item.
        item: &'a Value,
        /// Its place, from 0.
        index: usize,
        /// Its key, for an object.
        key: Option<&'a str>,
    },
    /// `iteration` and `previous`.
    Iteration {
        /// The number, from 1.
        number: u32,
        /// The output of the iteration before.
        previous: &'a Value,
    },
}

/// What expressions see of a task that has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// `output`; null if the task failed or was skipped.
    pub output: Value,
    /// `status`.
    pub status: Status,
    /// `error`: `{code, message}` of a task that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<Value>>,
    /// `iterations`: the outputs of all of them, if anybody asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<Box<Value>>,
    /// How good and how fast it was, if anybody asks for that: `quality`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measures: Option<Box<Measures>>,
}

/// How a task has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It went well.
    #[default]
    Done,
    /// It failed for good.
    Failed,
    /// It was not run.
    Skipped,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What an expression can ask about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Output,
    Status,
    Error,
    Iterations,
    Quality,
}

impl Member {
    pub(super) const NAMES: [&'static str; 5] = ["output", "status", "error", "iterations", "quality"];

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "output" => Self::Output,
            "status" => Self::Status,
            "error" => Self::Error,
            "iterations" => Self::Iterations,
            "quality" => Self::Quality,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Status => "status",
            Self::Error => "error",
            Self::Iterations => "iterations",
            Self::Quality => "quality",
        }
    }
}

/// What a loop around brings along, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    Item,
    Index,
    Key,
    Iteration,
    Previous,
}

impl Local {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "item" => Self::Item,
            "index" => Self::Index,
            "key" => Self::Key,
            "iteration" => Self::Iteration,
            "previous" => Self::Previous,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Index => "index",
            Self::Key => "key",
            Self::Iteration => "iteration",
            Self::Previous => "previous",
        }
    }
}

impl<'a> Around<'a> {
    /// What a block brings along that nothing stands around.
    #[must_use]
    pub fn tasks(ended: &'a BTreeMap<TaskId, Ended>) -> Self {
        Self { parent: None, brings: Brings::Tasks(ended) }
    }

    /// This one and all around it, from the inside out.
    fn all(&'a self) -> impl Iterator<Item = Brings<'a>> {
        std::iter::successors(Some(self), |around| around.parent).map(|around| around.brings)
    }

    /// A task that has ended. No two blocks around have a task of the same id.
    pub(crate) fn ended(&'a self, task: &TaskId) -> Option<&'a Ended> {
        self.all().find_map(|brings| match brings {
            Brings::Tasks(ended) => ended.get(task),
            Brings::Item { .. } | Brings::Iteration { .. } => None,
        })
    }

    /// The item of the nearest loop over items.
    pub(crate) fn item(&'a self) -> Option<(&'a Value, usize, Option<&'a str>)> {
        self.all().find_map(|brings| match brings {
            Brings::Item { item, index, key } => Some((item, index, key)),
            Brings::Tasks(_) | Brings::Iteration { .. } => None,
        })
    }

    /// The iteration of the nearest loop that repeats.
    pub(super) fn iteration(&'a self) -> Option<(u32, &'a Value)> {
        self.all().find_map(|brings| match brings {
            Brings::Iteration { number, previous } => Some((number, previous)),
            Brings::Tasks(_) | Brings::Item { .. } => None,
        })
    }
}
