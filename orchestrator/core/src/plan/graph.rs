use mesh_schemas::document::{Problem, nearest};
use mesh_schemas::{Definition, ErrorCode, TaskId};

use super::order::{Order, Precedence};
use super::problem;

/// Suggestions of a similar id compare the unknown one with every task: about this many comparisons are made for one
/// definition, so that a hundred thousand slips are told as quickly as one.
const MAX_COMPARISONS: usize = 1_000_000;

/// Most tasks of a cycle that are named.
const NAMED_OF_CYCLE: usize = 10;

/// Which task needs which, by their places in the order of ids.
pub(super) struct Graph {
    pub(super) needs: Vec<Vec<usize>>,
    pub(super) dependents: Vec<Vec<usize>>,
    order: Order,
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
        let order = Order::new(&needs, &order);
        Self { needs, dependents, order }
    }

    /// Whether a task has surely ended before another begins.
    pub(super) fn precedes(&mut self, before: usize, task: usize) -> Precedence {
        self.order.precedes(&self.needs, before, task)
    }
}

/// The needs that are sound, each once and in order.
fn needs(definition: &Definition, ids: &[&TaskId], problems: &mut Vec<Problem>) -> Vec<Vec<usize>> {
    let mut all = Vec::with_capacity(ids.len());
    // The last task that needs each.
    let mut needed_by: Vec<Option<usize>> = vec![None; ids.len()];
    for (place, (id, task)) in definition.tasks.iter().enumerate() {
        let mut needs: Vec<usize> = Vec::with_capacity(task.needs.len());
        for (at, need) in task.needs.iter().enumerate() {
            let (code, message) = match ids.binary_search(&need) {
                Err(_) => (ErrorCode::UnknownTask, unknown(need, ids, problems.len())),
                Ok(other) if other == place => (ErrorCode::Circle, "a task cannot need itself".to_owned()),
                Ok(other) if needed_by[other] == Some(place) => {
                    (ErrorCode::Duplicate, format!("'{need}' is already in the list"))
                }
                Ok(other) => {
                    needed_by[other] = Some(place);
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

/// What to say about a task that is not there, behind so many other problems.
pub(super) fn unknown(task: &TaskId, ids: &[&TaskId], told: usize) -> String {
    let near = (told.saturating_mul(ids.len()) <= MAX_COMPARISONS)
        .then(|| nearest(task.as_str(), ids.iter().map(|id| id.as_str())));
    match near.flatten() {
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
    // Where each task stands in the path that is being walked.
    let mut places: Vec<Option<usize>> = vec![None; needs.len()];
    for start in 0..needs.len() {
        // Walk along needs; every task that is left has one that is left or was in a cycle already found.
        let mut path: Vec<usize> = Vec::new();
        let mut at = Some(start).filter(|&start| left[start]);
        while let Some(task) = at {
            if let Some(begin) = places[task] {
                cycles.push(path[begin..].to_vec());
                break;
            }
            places[task] = Some(path.len());
            path.push(task);
            at = needs[task].iter().copied().find(|&need| left[need]);
        }
        for task in path {
            left[task] = false;
            places[task] = None;
        }
    }
    cycles
}

fn circle(cycle: &[usize], ids: &[&TaskId]) -> Problem {
    // Begin at the first id, so that a cycle reads the same wherever it was entered.
    let first = cycle.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(at, _)| at);
    let around = cycle[first..].iter().chain(&cycle[..first]).chain([&cycle[first]]);
    let mut names: Vec<&str> = around.map(|&task| ids[task].as_str()).collect();
    let path = format!("tasks.{}.needs", names[0]);
    let skipped = names.len().saturating_sub(NAMED_OF_CYCLE + 1);
    let more = format!("({skipped} more)");
    if skipped > 0 {
        names.splice(NAMED_OF_CYCLE / 2..NAMED_OF_CYCLE / 2 + skipped, [more.as_str()]);
    }
    let message = format!("tasks need each other in a cycle: {}", names.join(" → "));
    problem(ErrorCode::Circle, path, message)
}
