use std::collections::BTreeMap;

use mesh_schemas::definition::{OnFailure, Task};
use mesh_schemas::document::{Problem, nearest};
use mesh_schemas::{ErrorCode, TaskId};

use super::order::{Order, Precedence};
use super::{fit, problem};

/// Suggestions of a similar id compare the unknown one with every task: about this many comparisons are made for one
/// definition, so that a hundred thousand slips are told as quickly as one.
const MAX_COMPARISONS: usize = 1_000_000;

/// Most tasks of a cycle that are named.
const NAMED_OF_CYCLE: usize = 10;

/// Which task of a block needs which, by their places in the order of ids.
pub(super) struct Graph {
    pub(super) needs: Vec<Vec<usize>>,
    pub(super) dependents: Vec<Vec<usize>>,
    /// The task that is done when each failed.
    pub(super) rescuers: Vec<Option<usize>>,
    /// The task whose failure each is for.
    pub(super) rescues: Vec<Option<usize>>,
    /// The needs, and what is waited for because a task may have failed.
    waits: Vec<Vec<usize>>,
    order: Order,
}

impl Graph {
    /// Reads and checks the needs of the tasks that stand at a path.
    pub(super) fn new(
        tasks: &BTreeMap<TaskId, Task>,
        path: &str,
        ids: &[&TaskId],
        problems: &mut Vec<Problem>,
    ) -> Self {
        for id in tasks.keys() {
            if let Some(message) = fit::id(id) {
                problems.push(problem(ErrorCode::InvalidName, format!("{path}.{id}"), message));
            }
        }
        let needs = needs(tasks, path, ids, problems);
        let dependents = turned(&needs);
        let rescuers = rescuers(tasks, path, ids, problems);
        let mut rescues = vec![None; ids.len()];
        let mut waits = needs.clone();
        for (failed, rescuer) in rescuers.iter().enumerate() {
            let Some(rescuer) = *rescuer else { continue };
            rescues[rescuer] = Some(failed);
            waits[rescuer].push(failed);
            // What needs the one that failed waits for the other in its stead.
            dependents[failed].iter().for_each(|dependent| waits[*dependent].push(rescuer));
        }
        for waits in &mut waits {
            waits.sort_unstable();
            waits.dedup();
        }
        let order = order(&waits, &turned(&waits));
        let mut left: Vec<bool> = vec![true; waits.len()];
        for &task in &order {
            left[task] = false;
        }
        for cycle in cycles(&waits, left) {
            problems.push(circle(&cycle, path, ids));
        }
        let order = Order::new(&waits, &order);
        Self { needs, dependents, rescuers, rescues, waits, order }
    }

    /// Whether a task has surely ended before another begins.
    pub(super) fn precedes(&mut self, before: usize, task: usize) -> Precedence {
        self.order.precedes(&self.waits, before, task)
    }
}

/// The other way round: for each task those that have it in their lists.
fn turned(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut dependents = vec![Vec::new(); needs.len()];
    for (task, needs) in needs.iter().enumerate() {
        for &need in needs {
            dependents[need].push(task);
        }
    }
    dependents
}

/// The needs that are sound, each once and in order.
fn needs(
    tasks: &BTreeMap<TaskId, Task>,
    path: &str,
    ids: &[&TaskId],
    problems: &mut Vec<Problem>,
) -> Vec<Vec<usize>> {
    let mut all = Vec::with_capacity(ids.len());
    // The last task that needs each.
    let mut needed_by: Vec<Option<usize>> = vec![None; ids.len()];
    for (place, (id, task)) in tasks.iter().enumerate() {
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
            problems.push(problem(code, format!("{path}.{id}.needs[{at}]"), message));
        }
        needs.sort_unstable();
        all.push(needs);
    }
    all
}

/// For each task the one that is done when it failed.
fn rescuers(
    tasks: &BTreeMap<TaskId, Task>,
    path: &str,
    ids: &[&TaskId],
    problems: &mut Vec<Problem>,
) -> Vec<Option<usize>> {
    let mut rescues: BTreeMap<usize, &TaskId> = BTreeMap::new();
    let mut all = vec![None; ids.len()];
    for (place, (id, task)) in tasks.iter().enumerate() {
        let OnFailure::Task(rescuer) = &task.on_failure else { continue };
        let (code, message) = match ids.binary_search(&rescuer) {
            Err(_) => (ErrorCode::UnknownTask, unknown(rescuer, ids, problems.len())),
            Ok(other) if other == place => {
                (ErrorCode::Circle, "a task cannot stand in for itself: see 'retry'".to_owned())
            }
            Ok(_) if tasks[rescuer].needs.contains(id) => {
                let message = format!("'{rescuer}' waits for '{id}' anyway: take '{id}' out of its needs");
                (ErrorCode::Duplicate, message)
            }
            Ok(other) => match rescues.insert(other, id) {
                None => {
                    all[place] = Some(other);
                    continue;
                }
                Some(first) => {
                    let message =
                        format!("'{rescuer}' stands in for '{first}' already: give each a task of its own");
                    (ErrorCode::Duplicate, message)
                }
            },
        };
        problems.push(problem(code, format!("{path}.{id}.on_failure.task"), message));
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

fn circle(cycle: &[usize], path: &str, ids: &[&TaskId]) -> Problem {
    // Begin at the first id, so that a cycle reads the same wherever it was entered.
    let first = cycle.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(at, _)| at);
    let around = cycle[first..].iter().chain(&cycle[..first]).chain([&cycle[first]]);
    let mut names: Vec<&str> = around.map(|&task| ids[task].as_str()).collect();
    let path = format!("{path}.{}.needs", names[0]);
    let skipped = names.len().saturating_sub(NAMED_OF_CYCLE + 1);
    let more = format!("({skipped} more)");
    if skipped > 0 {
        names.splice(NAMED_OF_CYCLE / 2..NAMED_OF_CYCLE / 2 + skipped, [more.as_str()]);
    }
    let message = format!("tasks need each other in a cycle: {}", names.join(" → "));
    problem(ErrorCode::Circle, path, message)
}
