//! What is said about tasks that are there, but in another group.

use std::collections::BTreeMap;

use mesh_schemas::definition::{Body, Task};
use mesh_schemas::document::Problem;
use mesh_schemas::{ErrorCode, TaskId};

use super::names::Names;

/// The tasks that stand in groups, each with the group that has it.
pub(super) fn groups(tasks: &BTreeMap<TaskId, Task>) -> BTreeMap<&TaskId, &TaskId> {
    let mut found = BTreeMap::new();
    tasks.iter().for_each(|(id, task)| collect(&task.body, id, &mut found));
    found
}

fn collect<'a>(body: &'a Body, group: &'a TaskId, found: &mut BTreeMap<&'a TaskId, &'a TaskId>) {
    for (id, task) in body.tasks.iter().flatten() {
        found.insert(id, group);
        collect(&task.body, id, found);
    }
    body.switch.iter().flatten().for_each(|case| collect(&case.body, group, found));
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
        let task = TaskId::new(id).ok().and_then(|id| tasks.get(&id));
        let number = number.strip_suffix(']').and_then(|number| number.parse::<usize>().ok());
        let need = task.zip(number).and_then(|(task, number)| task.needs.get(number));
        if let Some(need) = need.filter(|need| names.knows(need)) {
            problem.message = format!(
                "'{need}' is no task of this group: a task needs tasks of its own group, so write it in the needs of the \
                 group"
            );
        }
    }
}
