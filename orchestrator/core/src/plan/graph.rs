use mesh_schemas::document::{Problem, nearest};
use mesh_schemas::{Definition, ErrorCode, TaskId};

use super::{MAX_DEPTH, problem};

/// Which task needs which, by their places in the order of ids.
pub(super) struct Graph {
    pub(super) needs: Vec<Vec<usize>>,
    pub(super) dependents: Vec<Vec<usize>>,
    /// For each task, which tasks it needs directly or through others; `None` if a cycle stands before it.
    ancestors: Vec<Option<Vec<bool>>>,
}

impl Graph {
    /// Reads and checks the needs.
    pub(super) fn new(definition: &Definition, ids: &[&TaskId], problems: &mut Vec<Problem>) -> Self {
        let needs = needs(definition, ids, problems);
        let mut dependents = vec![Vec::new(); needs.len()];
        for (task, needs) in needs.iter().enumerate() {
            for &need in needs {
                dependents[need].push(task);
            }
        }
        let order = order(&needs, &dependents);
        let mut left: Vec<bool> = vec![true; needs.len()];
        for &task in &order {
            left[task] = false;
        }
        for cycle in cycles(&needs, left) {
            problems.push(circle(&cycle, ids));
        }
        let mut ancestors: Vec<Option<Vec<bool>>> = vec![None; needs.len()];
        let mut depths = vec![0_usize; needs.len()];
        for &task in &order {
            let mut before = vec![false; needs.len()];
            for &need in &needs[task] {
                depths[task] = depths[task].max(depths[need] + 1);
                before[need] = true;
                for (mark, &further) in before.iter_mut().zip(ancestors[need].iter().flatten()) {
                    *mark |= further;
                }
            }
            ancestors[task] = Some(before);
            // Only the first one of a chain is told; all after it are too deep as well.
            if depths[task] == MAX_DEPTH {
                let message = format!("a chain of tasks that need each other has more than {MAX_DEPTH}");
                problems.push(problem(ErrorCode::WrongValue, format!("tasks.{}.needs", ids[task]), message));
            }
        }
        Self { needs, dependents, ancestors }
    }

    /// Whether a task has surely ended before another begins. True also if a cycle hides the answer.
    pub(super) fn precedes(&self, before: usize, task: usize) -> bool {
        self.ancestors[task].as_ref().is_none_or(|ancestors| ancestors[before])
    }
}

/// The needs that are sound, each once and in order.
fn needs(definition: &Definition, ids: &[&TaskId], problems: &mut Vec<Problem>) -> Vec<Vec<usize>> {
    let mut all = Vec::with_capacity(ids.len());
    for (place, (id, task)) in definition.tasks.iter().enumerate() {
        let mut needs: Vec<usize> = Vec::with_capacity(task.needs.len());
        for (at, need) in task.needs.iter().enumerate() {
            let (code, message) = match ids.binary_search(&need) {
                Err(_) => (ErrorCode::UnknownTask, unknown(need, ids)),
                Ok(other) if other == place => (ErrorCode::Circle, "a task cannot need itself".to_owned()),
                Ok(other) if needs.contains(&other) => {
                    (ErrorCode::Duplicate, format!("'{need}' is already in the list"))
                }
                Ok(other) => {
                    needs.push(other);
                    continue;
                }
            };
            problems.push(problem(code, format!("tasks.{id}.needs[{at}]"), message));
        }
        needs.sort_unstable();
        all.push(needs);
    }
    all
}

/// What to say about a task that is not there.
pub(super) fn unknown(task: &TaskId, ids: &[&TaskId]) -> String {
    match nearest(task.as_str(), ids.iter().map(|id| id.as_str())) {
        Some(near) => format!("there is no task '{task}': did you mean '{near}'?"),
        None => format!("there is no task '{task}'"),
    }
}

/// The tasks, each after all that it needs; without those in or after a cycle.
fn order(needs: &[Vec<usize>], dependents: &[Vec<usize>]) -> Vec<usize> {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..needs.len()).filter(|&task| open[task] == 0).collect();
    let mut next = 0;
    while let Some(&task) = order.get(next) {
        next += 1;
        for &dependent in &dependents[task] {
            open[dependent] -= 1;
            if open[dependent] == 0 {
                order.push(dependent);
            }
        }
    }
    order
}

/// Cycles among the tasks that are left, so that each has at least one cycle found before it.
fn cycles(needs: &[Vec<usize>], mut left: Vec<bool>) -> Vec<Vec<usize>> {
    let mut cycles = Vec::new();
    for start in 0..needs.len() {
        // Walk along needs; every task that is left has one that is left or was in a cycle already found.
        let mut path: Vec<usize> = Vec::new();
        let mut at = Some(start).filter(|&start| left[start]);
        while let Some(task) = at {
            if let Some(begin) = path.iter().position(|&other| other == task) {
                cycles.push(path[begin..].to_vec());
                break;
            }
            path.push(task);
            at = needs[task].iter().copied().find(|&need| left[need]);
        }
        for task in path {
            left[task] = false;
        }
    }
    cycles
}

fn circle(cycle: &[usize], ids: &[&TaskId]) -> Problem {
    // Begin at the first id, so that a cycle reads the same wherever it was entered.
    let first = cycle.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(at, _)| at);
    let names: Vec<&str> =
        cycle[first..].iter().chain(&cycle[..=first]).map(|&task| ids[task].as_str()).collect();
    let message = format!("tasks need each other in a cycle: {}", names.join(" → "));
    problem(ErrorCode::Circle, format!("tasks.{}.needs", names[0]), message)
}
