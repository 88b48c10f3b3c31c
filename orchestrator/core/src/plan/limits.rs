use std::collections::BTreeMap;

use mesh_schemas::definition::{Body, Recovery, Task};
use mesh_schemas::document::Problem;
use mesh_schemas::{Definition, ErrorCode, TaskId};

use super::{MAX_NEEDS, MAX_TASKS, problem};

/// Longest id of a task together with what it belongs to, and with the numbers of items.
const MAX_PATH_BYTES: usize = 200;

/// What the ids of tasks that are done at the end begin with.
const FINALLY_BYTES: usize = "finally:".len();

/// Most attempts that a workflow allows its tasks beyond their own.
const MAX_RECOVERIES: u32 = 100;

/// Digits of the number of an item, with the sign before it.
const NUMBER_BYTES: usize = 7;

/// Notes where a definition is too large, and tells how many tasks it has.
pub(super) fn check(definition: &Definition, problems: &mut Vec<Problem>) -> usize {
    let mut count = Count { tasks: 0, needs: 0, longest: 0 };
    count.tasks(&definition.tasks, 0);
    let finally = definition.finally.as_ref();
    if let Some(finally) = finally {
        count.tasks(&finally.tasks, FINALLY_BYTES);
    }
    let mut refuse = |code, path: &str, message: String| problems.push(problem(code, path, message));
    if definition.tasks.is_empty() {
        refuse(ErrorCode::MissingKey, "tasks", "a workflow has at least one task".to_owned());
    }
    if count.tasks > MAX_TASKS {
        let message = format!("a workflow has at most {MAX_TASKS} tasks, this one {}", count.tasks);
        refuse(ErrorCode::WrongValue, "tasks", message);
    }
    if count.needs > MAX_NEEDS {
        let needs = count.needs;
        let message = format!("the tasks of a workflow have at most {MAX_NEEDS} needs in all, these {needs}");
        refuse(ErrorCode::WrongValue, "tasks", message);
    }
    if count.longest > MAX_PATH_BYTES {
        let message = format!(
            "the id of a task with the ids of all groups around it has at most {MAX_PATH_BYTES} characters, here {}: \
             choose shorter ids",
            count.longest
        );
        refuse(ErrorCode::WrongValue, "tasks", message);
    }
    if definition.timeout.is_some_and(|timeout| timeout.get().is_zero()) {
        refuse(ErrorCode::WrongValue, "timeout", "a timeout is longer than 0s".to_owned());
    }
    if let Some(finally) = finally {
        if finally.tasks.is_empty() {
            refuse(ErrorCode::MissingKey, "finally.tasks", "there is at least one task".to_owned());
        }
        if finally.timeout.is_some_and(|timeout| timeout.get().is_zero()) {
            refuse(ErrorCode::WrongValue, "finally.timeout", "a timeout is longer than 0s".to_owned());
        }
        if definition.tasks.keys().any(|id| id.as_str() == "finally") {
            let message = "'finally' marks what is done at the end: give this task another id".to_owned();
            refuse(ErrorCode::Duplicate, "tasks.finally", message);
        }
    }
    if let Recovery::Retry(times) = definition.recovery
        && !(1..=MAX_RECOVERIES).contains(&times)
    {
        let message = format!("must be from 1 to {MAX_RECOVERIES}, not {times}");
        refuse(ErrorCode::WrongValue, "recovery.retry", message);
    }
    count.tasks
}

/// Notes where the plan of an agent for the task at a path is too large.
pub(super) fn check_plan(
    tasks: &BTreeMap<TaskId, Task>,
    path: &str,
    max_tasks: usize,
    problems: &mut Vec<Problem>,
) {
    let mut count = Count { tasks: 0, needs: 0, longest: 0 };
    count.tasks(tasks, path.len() + 1);
    let mut refuse = |message: String| problems.push(problem(ErrorCode::WrongValue, "tasks", message));
    if tasks.is_empty() {
        refuse("a plan has at least one task".to_owned());
    }
    if count.tasks > max_tasks {
        refuse(format!("the plan may have at most {max_tasks} tasks, and has {}", count.tasks));
    }
    if count.longest > MAX_PATH_BYTES {
        let longest = count.longest;
        refuse(format!(
            "an id with all that is around it has at most {MAX_PATH_BYTES} characters, here {longest}"
        ));
    }
}

struct Count {
    tasks: usize,
    needs: usize,
    longest: usize,
}

impl Count {
    fn tasks(&mut self, tasks: &BTreeMap<TaskId, Task>, before: usize) {
        self.tasks += tasks.len();
        for (id, task) in tasks {
            self.needs += task.needs.len();
            let is_loop = task.foreach.is_some() || task.repeat.is_some();
            let length = before + 1 + id.as_str().len() + if is_loop { NUMBER_BYTES } else { 0 };
            self.longest = self.longest.max(length - 1);
            self.body(&task.body, length);
        }
    }

    fn body(&mut self, body: &Body, length: usize) {
        if let Some(tasks) = &body.tasks {
            self.tasks(tasks, length);
        }
        for case in body.switch.iter().flatten() {
            self.longest = self.longest.max(length + NUMBER_BYTES);
            self.body(&case.body, length + NUMBER_BYTES);
        }
    }
}
