//! Runs that do others again in part.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::TaskId;
use mesh_schemas::payload::{Taken, TakenOver};

use super::Run;
use crate::expression::{Ended, Status};
use crate::plan::Block;

/// Why nothing can be taken over for a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRerun {
    /// The workflow itself has no such task.
    #[error("the workflow has no task '{0}'")]
    NoTask(TaskId),
    /// All went well, and no task was named that is to be done again.
    #[error("everything in it went well")]
    NothingToDo,
}

impl Run {
    /// What a run takes over that does this one again from these tasks on. What did not go well is done again in any case, and
    /// so is all that follows from what is; what was skipped is decided anew.
    ///
    /// Only for a run that was made by [`Replay::keeping`](crate::Replay::keeping).
    ///
    /// # Errors
    /// [`NotRerun`].
    pub fn taken_over(&self, from: &[TaskId]) -> Result<TakenOver, NotRerun> {
        let (block, none) = (&self.plan.root, BTreeMap::new());
        let kept = self.kept.as_ref().unwrap_or(&none);
        let mut again = BTreeSet::new();
        for task in from {
            again.insert(block.index(task.as_str()).ok_or_else(|| NotRerun::NoTask(task.clone()))?);
        }
        let kept_of = |place: usize| kept.get(&block.nodes[place].id);
        let went_wrong = |place: &usize| match kept_of(*place) {
            Some(ended) => ended.status == Status::Failed,
            // Where all went on without it, nothing was wrong with that, nor where it had nothing to stand in for.
            None => {
                let rescues = block.nodes[*place].rescues.and_then(kept_of);
                !self.root.released.contains(place) && rescues.is_none_or(|it| it.status == Status::Failed)
            }
        };
        again.extend((0..block.nodes.len()).filter(went_wrong));
        if again.is_empty() {
            return Err(NotRerun::NothingToDo);
        }
        let again = with_all_behind(block, again);
        let is_taken = |(id, ended): &(&TaskId, &Ended)| {
            ended.status == Status::Done
                && block.index(id.as_str()).is_some_and(|place| !again.contains(&place))
        };
        let taken = |(id, ended): (&TaskId, &Ended)| {
            let measures = ended.measures.as_ref().and_then(|measures| serde_json::to_value(measures).ok());
            let iterations = ended.iterations.as_deref().cloned();
            (id.clone(), Taken { output: ended.output.clone(), iterations, measures })
        };
        let tasks = kept.iter().filter(is_taken).map(taken).collect();
        let skipped = kept.iter().filter(|(_, ended)| ended.status == Status::Skipped);
        let skipped = skipped.map(|(id, _)| id.clone()).collect();
        Ok(TakenOver { run: self.header.run, tasks, skipped })
    }
}

/// These tasks, and all that follow from them.
fn with_all_behind(block: &Block, mut places: BTreeSet<usize>) -> BTreeSet<usize> {
    let mut queue: Vec<usize> = places.iter().copied().collect();
    while let Some(place) = queue.pop() {
        let node = &block.nodes[place];
        for behind in node.dependents.iter().copied().chain(node.rescuer).chain(node.rescues) {
            if places.insert(behind) {
                queue.push(behind);
            }
        }
    }
    places
}

/// What expressions see of a task that was taken over.
pub(super) fn ended(taken: &Taken) -> Ended {
    Ended {
        output: taken.output.clone(),
        status: Status::Done,
        error: None,
        iterations: taken.iterations.clone().map(Box::new),
        measures: taken
            .measures
            .clone()
            .and_then(|measures| serde_json::from_value(measures).ok())
            .map(Box::new),
    }
}
