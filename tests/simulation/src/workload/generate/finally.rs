use std::time::Duration;

use mesh_schemas::TaskId;

use super::block::Draft;
use super::body::Maker;
use super::view::View;
use super::{graph, name};
use crate::workload::choices::Choices;
use crate::workload::workflow::Finally;

/// Ids of the tasks that are done finally.
const IDS: [&str; 3] = ["tell", "tidy", "last"];

/// What is done when it is decided how a run ends: little, as deep as in a group.
pub(super) fn finally(maker: &Maker<'_>, seen: &View, choices: &mut Choices) -> Finally {
    let mut draft = Draft::new(maker, seen, 1);
    let mut ids: Vec<TaskId> = IDS.iter().map(|id| name(id)).collect();
    choices.shuffle(&mut ids);
    ids.truncate(choices.weighted(&[(50, 1), (35, 2), (15, 3)]));
    for (id, needs) in graph::connect(&ids, choices) {
        draft.task(id, needs, choices);
    }
    let timeout = choices.chance("finally with a timeout", 50).then(|| {
        if choices.chance("short time for the end", 50) {
            Duration::from_millis(choices.among(100..=8_000))
        } else {
            Duration::from_secs(50)
        }
    });
    Finally { tasks: draft.tasks, timeout }
}
