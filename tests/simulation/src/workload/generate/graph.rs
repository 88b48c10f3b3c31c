use std::collections::BTreeSet;

use mesh_schemas::TaskId;

use super::name;
use crate::workload::choices::Choices;

/// Ids of tasks; which task has which is random, so that their order is not the order of the work.
const IDS: [&str; 12] = ["a", "b", "c", "d1", "d2", "e", "f_x", "g", "h", "i", "j", "k10"];

/// Tasks with their needs, each after all that it needs; fewer if they are more than plain work.
pub(super) fn draw(is_plain: bool, choices: &mut Choices) -> Vec<(TaskId, BTreeSet<TaskId>)> {
    let count = match choices.weighted(&[(4, 1), (8, 2), (16, 3), (22, 4), (22, 5), (22, 6), (6, 12)]) {
        12 => {
            choices.note("many tasks");
            7 + choices.below(6)
        }
        count if is_plain => count,
        count => count.min(4),
    };
    let mut ids = IDS;
    choices.shuffle(&mut ids);
    let ids: Vec<TaskId> = ids[..count].iter().map(|id| name(id)).collect();
    connect(&ids, choices)
}

/// The needs of some tasks, which are earlier ones.
pub(super) fn connect(ids: &[TaskId], choices: &mut Choices) -> Vec<(TaskId, BTreeSet<TaskId>)> {
    let needs = shape(ids.len(), choices);
    ids.iter()
        .cloned()
        .zip(needs.iter().map(|needs| needs.iter().map(|&at| ids[at].clone()).collect()))
        .collect()
}

/// For each task the earlier ones that it needs.
fn shape(count: usize, choices: &mut Choices) -> Vec<Vec<usize>> {
    let last = count - 1;
    let shape = choices.weighted(&[
        (20, "chain"),
        (20, "fan"),
        (15, "diamond"),
        (35, "random graph"),
        (10, "isolated"),
        (15, "meeting"),
    ]);
    if count > 2 {
        choices.note(shape);
    }
    (0..count)
        .map(|at| match shape {
            "chain" => at.checked_sub(1).into_iter().collect(),
            "fan" if at == 0 => Vec::new(),
            "fan" if at == last && count > 2 => (1..last).collect(),
            "fan" => vec![0],
            "meeting" if at == last => (0..last).collect(),
            // Diamonds, one after the other.
            "diamond" => match at % 3 {
                0 => (at.saturating_sub(2)..at).collect(),
                1 => vec![at - 1],
                _ => vec![at - 2],
            },
            "random graph" => (0..at).filter(|_| choices.chance("edge", 35)).collect(),
            _ => Vec::new(),
        })
        .collect()
}
