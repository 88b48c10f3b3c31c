use std::collections::BTreeMap;

use mesh_schemas::TaskId;
use serde_json::Value;

use super::measure::Measures;

/// What an expression can see.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Input of the run.
    pub input: &'a Value,
    /// `run`, an object.
    pub run: &'a Value,
    /// `run.outcome`; null as long as it is not decided.
    pub outcome: &'a Value,
    /// What the agent or the iteration has just given; null elsewhere.
    pub result: &'a Value,
    /// The blocks and loops around.
    pub around: &'a Around<'a>,
}

/// A block or a loop around an expression.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// What stands around it.
    pub parent: Option<&'a Self>,
    /// What it brings along.
    pub brings: Brings<'a>,
}

/// What a block or a loop brings along.
#[derive(Debug, Clone, Copy)]
pub enum Brings<'a> {
    /// The tasks that have ended. All is null of those that have not.
    Tasks(&'a BTreeMap<TaskId, Seen>),
    /// An item.
    Item {
        /// The item.
        item: &'a Value,
        /// Its place, a number.
        index: &'a Value,
        /// Its key, a text or null.
        key: &'a Value,
    },
    /// An iteration.
    Iteration {
        /// Its number.
        number: &'a Value,
        /// Output of the one before, or null.
        previous: &'a Value,
    },
}

/// What expressions see of a task that has ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// `output`
    pub output: Value,
    /// `status`
    pub status: Value,
    /// `error`
    pub error: Value,
    /// `iterations`
    pub iterations: Value,
    /// `quality`
    pub quality: Value,
    /// What merges know of it.
    pub measures: Measures,
}

impl<'a> Around<'a> {
    /// A block that nothing stands around.
    #[must_use]
    pub fn tasks(seen: &'a BTreeMap<TaskId, Seen>) -> Self {
        Self { parent: None, brings: Brings::Tasks(seen) }
    }

    /// What the nearest one knows of what is asked for.
    fn nearest<T>(&self, find: impl Fn(Brings<'a>) -> Option<T>) -> Option<T> {
        find(self.brings).or_else(|| self.parent.and_then(|parent| parent.nearest(find)))
    }

    /// What is seen of a task that has ended.
    pub(crate) fn task(&self, id: &TaskId) -> Option<&'a Seen> {
        self.nearest(|brings| match brings {
            Brings::Tasks(seen) => seen.get(id),
            _ => None,
        })
    }

    /// The item of the nearest loop over items, its place and its key.
    #[must_use]
    pub fn item(&self) -> Option<(&'a Value, &'a Value, &'a Value)> {
        self.nearest(|brings| match brings {
            Brings::Item { item, index, key } => Some((item, index, key)),
            _ => None,
        })
    }

    pub(super) fn iteration(&self) -> Option<(&'a Value, &'a Value)> {
        self.nearest(|brings| match brings {
            Brings::Iteration { number, previous } => Some((number, previous)),
            _ => None,
        })
    }
}
