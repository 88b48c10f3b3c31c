use mesh_schemas::definition::{Retry, Span};
use mesh_schemas::document::Problem;
use mesh_schemas::{Definition, ErrorCode};

use super::{MAX_NEEDS, MAX_TASKS, problem};

/// What is out of its documented range.
pub(super) fn check(definition: &Definition, problems: &mut Vec<Problem>) {
    match definition.tasks.len() {
        0 => problems.push(problem(ErrorCode::MissingKey, "tasks", "a workflow has at least one task")),
        count if count > MAX_TASKS => {
            problems.push(problem(
                ErrorCode::WrongValue,
                "tasks",
                format!("a workflow has at most {MAX_TASKS} tasks, this one {count}"),
            ));
        }
        _ => {}
    }
    let needs: usize = definition.tasks.values().map(|task| task.needs.len()).sum();
    if needs > MAX_NEEDS {
        let message = format!("the tasks of a workflow have at most {MAX_NEEDS} needs in all, these {needs}");
        problems.push(problem(ErrorCode::WrongValue, "tasks", message));
    }
    not_zero("timeout", definition.timeout, problems);
    for (id, task) in &definition.tasks {
        let path = format!("tasks.{id}");
        if id.as_str().contains(':') {
            problems.push(problem(
                ErrorCode::InvalidName,
                &path,
                "a task id has no ':': that marks the items of a task",
            ));
        }
        not_zero(&format!("{path}.timeout"), task.timeout, problems);
        retry(&format!("{path}.retry"), &task.retry, problems);
    }
}

fn not_zero(path: &str, timeout: Option<Span>, problems: &mut Vec<Problem>) {
    if timeout.is_some_and(|timeout| timeout.get().is_zero()) {
        problems.push(problem(ErrorCode::WrongValue, path, "a timeout is longer than 0s"));
    }
}

fn retry(path: &str, retry: &Retry, problems: &mut Vec<Problem>) {
    let mut refuse = |key: &str, message: String| {
        problems.push(problem(ErrorCode::WrongValue, format!("{path}.{key}"), message))
    };
    if !(1..=1_000).contains(&retry.max_attempts) {
        refuse("max_attempts", format!("must be from 1 to 1000, not {}", retry.max_attempts));
    }
    if !(1.0..=100.0).contains(&retry.factor) {
        refuse("factor", format!("must be from 1 to 100, not {}", retry.factor));
    }
    if !(0.0..=1.0).contains(&retry.jitter) {
        refuse("jitter", format!("must be from 0 to 1, not {}", retry.jitter));
    }
    if retry.initial > retry.max {
        refuse(
            "initial",
            format!("the first pause ({}) is longer than the longest ({})", retry.initial, retry.max),
        );
    }
}
