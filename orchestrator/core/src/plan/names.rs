//! What expressions can see at a place of a definition.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::definition::Task;
use mesh_schemas::{Definition, ErrorCode, TaskId};
use serde_json::{Map, Value};

use super::graph::{self, Graph};
use super::order::Precedence;
use super::{config, inside};
use crate::expression::References;

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where a task begins: its condition, its input, the items of its loop.
    Task,
    /// Where something has just given a result: the output of a task for an agent, the condition to end a loop.
    Result,
    /// Where all tasks of a block have ended: its output.
    Output,
}

/// The blocks around a place, the innermost last, and the loops.
#[derive(Default)]
pub(super) struct Names<'a> {
    /// All tasks of the definition.
    tasks: Option<&'a BTreeMap<TaskId, Task>>,
    /// Those of them that stand in groups, each with its group; made when it is asked for.
    groups: Option<BTreeMap<&'a TaskId, &'a TaskId>>,
    /// The values of the definition's configuration.
    config: Option<&'a Map<String, Value>>,
    levels: Vec<Level<'a>>,
    /// How many loops over items stand around.
    items: usize,
    /// How many loops that repeat stand around.
    iterations: usize,
}

/// One block.
pub(super) struct Level<'a> {
    ids: Vec<&'a TaskId>,
    pub(super) graph: Graph,
    /// The task in it that the place belongs to; none for the output of the block.
    node: Option<usize>,
    /// Tasks that were used so far by the task in hand.
    uses: BTreeSet<usize>,
    /// Tasks of which all iterations are used.
    pub(super) iterations: BTreeSet<usize>,
    /// Tasks of which it is used how good or how fast they were.
    pub(super) measures: BTreeSet<usize>,
}

impl<'a> Level<'a> {
    pub(super) fn new(ids: Vec<&'a TaskId>, graph: Graph) -> Self {
        Self {
            ids,
            graph,
            node: None,
            uses: BTreeSet::new(),
            iterations: BTreeSet::new(),
            measures: BTreeSet::new(),
        }
    }
}

impl<'a> Names<'a> {
    pub(super) fn new(definition: &'a Definition) -> Self {
        let (tasks, config) = (Some(&definition.tasks), definition.config.as_ref());
        Self { tasks, config, ..Self::default() }
    }

    pub(super) fn enter(&mut self, level: Level<'a>) {
        self.levels.push(level);
    }

    pub(super) fn leave(&mut self) -> Level<'a> {
        self.levels.pop().unwrap_or_else(|| unreachable!("a block is left that was entered"))
    }

    pub(super) fn level(&self) -> Option<&Level<'a>> {
        self.levels.last()
    }

    /// Goes to a task of the innermost block, or behind all of them.
    pub(super) fn stand_at(&mut self, node: Option<usize>) {
        if let Some(level) = self.levels.last_mut() {
            level.node = node;
        }
    }

    /// The tasks of the innermost block that were used since this was asked last.
    pub(super) fn take_uses(&mut self) -> BTreeSet<usize> {
        self.levels.last_mut().map(|level| std::mem::take(&mut level.uses)).unwrap_or_default()
    }

    pub(super) fn in_loop(&mut self, items: bool, iterations: bool) {
        self.items += usize::from(items);
        self.iterations += usize::from(iterations);
    }

    pub(super) fn out_of_loop(&mut self, items: bool, iterations: bool) {
        self.items -= usize::from(items);
        self.iterations -= usize::from(iterations);
    }

    /// Whether a block around has a task of this id.
    pub(super) fn knows(&self, id: &TaskId) -> bool {
        self.levels.iter().any(|level| level.ids.binary_search(&id).is_ok())
    }

    /// The output of a block that says nothing of it: an object with the outputs of the tasks that nobody needs.
    pub(super) fn last_outputs(&self, tasks: &BTreeMap<TaskId, Task>) -> Value {
        let Some(Level { graph, .. }) = self.levels.last() else { return Value::Null };
        let last = tasks.keys().enumerate().filter(|(place, id)| {
            graph.dependents[*place].is_empty()
                && graph.rescues[*place].is_none()
                && !id.as_str().contains(':')
        });
        last.map(|(_, id)| (id.to_string(), Value::from(format!("${{tasks.{id}.output}}")))).collect()
    }

    /// Notes what an expression uses, and tells what of it is not there. So many problems were told before.
    pub(super) fn check(
        &mut self,
        references: &References,
        place: Place,
        told: usize,
    ) -> Vec<(ErrorCode, String)> {
        let mut problems = Vec::new();
        if references.result && place != Place::Result {
            let message = "'result' is what the agent returned: only 'output' of its task and 'until' of a repeat can use it";
            problems.push((ErrorCode::Expression, message.to_owned()));
        }
        if references.item && self.items == 0 {
            let message =
                "there is no loop over items around: 'item', 'index' and 'key' are those of a foreach";
            problems.push((ErrorCode::Expression, message.to_owned()));
        }
        if references.iteration && self.iterations == 0 {
            let message =
                "there is no loop that repeats around: 'iteration' and 'previous' are those of a repeat";
            problems.push((ErrorCode::Expression, message.to_owned()));
        }
        problems
            .extend(config::unknown(self.config, references).map(|message| (ErrorCode::Expression, message)));
        for used in &references.tasks {
            problems.extend(self.task(used, references, told + problems.len()));
        }
        problems
    }

    /// Looks for a task from the inside out.
    fn task(&mut self, used: &TaskId, references: &References, told: usize) -> Option<(ErrorCode, String)> {
        for level in self.levels.iter_mut().rev() {
            let Ok(other) = level.ids.binary_search(&used) else { continue };
            if level.node == Some(other) {
                let message = "a task cannot use its own output: use 'result' in its output".to_owned();
                return Some((ErrorCode::Expression, message));
            }
            level.uses.insert(other);
            if references.iterations.contains(used) {
                level.iterations.insert(other);
            }
            if references.measures.contains(used) {
                level.measures.insert(other);
            }
            let why = match level.node.map(|node| level.graph.precedes(other, node)) {
                None | Some(Precedence::Before) => return None,
                Some(Precedence::Unsure) => "which may not have ended",
                Some(Precedence::TooFar) => "and it would take too long to see that it has ended",
            };
            let node = level.node.map_or_else(String::new, |node| format!(" of '{}'", level.ids[node]));
            // The task in hand needs no name; one around it does.
            let of = if self.levels.len() > 1 { node } else { String::new() };
            let message = format!("uses the output of '{used}', {why}: add '{used}' to needs{of}");
            return Some((ErrorCode::MissingNeed, message));
        }
        let tasks = self.tasks;
        let groups = self.groups.get_or_insert_with(|| tasks.map(inside::groups).unwrap_or_default());
        if let Some(group) = groups.get(used) {
            let message = format!(
                "'{used}' is a task of '{group}', and what is in there is not seen here: give '{group}' an output with it, \
                 and use that one's"
            );
            return Some((ErrorCode::UnknownTask, message));
        }
        let ids: Vec<&TaskId> = self.levels.iter().flat_map(|level| level.ids.iter().copied()).collect();
        Some((ErrorCode::UnknownTask, graph::unknown(used, &ids, told)))
    }
}
