//! What is said about tasks that are there, but in another group.

use std::collections::BTreeMap;

use mesh_schemas::definition::{Body, Task};
use mesh_schemas::document::Problem;
use mesh_schemas::{ErrorCode, TaskId};

use super::names::Names;

/// The group that has a task of this id in it, if one has.
pub(super) fn group_of<'a>(tasks: &'a BTreeMap<TaskId, Task>, id: &TaskId) -> Option<&'a TaskId> {
    tasks.iter().find_map(|(group, task)| has(&task.body, id).map(|inner| inner.unwrap_or(group)))
}

/// Whether something has a task of this id in it; the innermost group that has, if that is not itself.
fn has<'a>(body: &'a Body, id: &TaskId) -> Option<Option<&'a TaskId>> {
    if let Some(tasks) = &body.tasks {
        if tasks.contains_key(id) {
            return Some(None);
        }
        return group_of(tasks, id).map(Some);
    }
    body.switch.iter().flatten().find_map(|case| has(&case.body, id))
}

/// A need of a task around the group is not one that does not exist.
pub(super) fn explain_needs(
    tasks: &BTreeMap<TaskId, Task>,
    path: &str,
    names: &Names<'_>,
    problems: &mut [Problem],
) {
    for problem in problems.iter_mut().filter(|problem| problem.code == ErrorCode::UnknownTask) {
        let place = problem.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'));
        let Some((id, number)) = place.and_then(|place| place.split_once(".needs[")) else { continue };
        let need = tasks.iter().find(|(task, _)| task.as_str() == id).and_then(|(_, task)| {
            let number: usize = number.strip_suffix(']')?.parse().ok()?;
            task.needs.get(number)
        });
        if let Some(need) = need.filter(|need| names.knows(need)) {
            problem.message = format!(
                "'{need}' is no task of this group: a task needs tasks of its own group, so write it in the needs of the \
                 group"
            );
        }
    }
}
