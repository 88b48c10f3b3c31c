use mesh_schemas::TaskId;

use super::body::Made;
use super::view::{Shape, Source};
use crate::workload::choices::Choices;
use crate::workload::merge::{Merge, MergeBy};
use crate::workload::task::{Body, Often};

/// One output of some of the tasks that are needed, in any order, or of all.
pub(super) fn merge(sources: &[&Source], choices: &mut Choices) -> Made {
    let by = choices.pick(&MergeBy::ALL);
    choices.note(match by {
        MergeBy::Quality => "merge by quality",
        MergeBy::Collect => "merge as a list",
        MergeBy::First => "merge of the first",
        MergeBy::Object => "merge by task",
    });
    let mut of: Vec<TaskId> = sources.iter().map(|source| source.task.clone()).collect();
    let names_them = choices.chance("merge that says of what", 35);
    if names_them {
        choices.shuffle(&mut of);
        of.truncate(1 + choices.below(of.len()));
    }
    let mut merge = Merge { names_them, ..Merge::by(by, of) };
    if by == MergeBy::Quality {
        merge.weights =
            choices.chance("weights", 40).then(|| choices.pick(&[(10, 0), (0, 10), (5, 5), (1, 9), (30, 1)]));
        merge.default_quality =
            choices.chance("default quality", 40).then(|| choices.pick(&[0, 10, 90, 100]));
    }
    let shape = match by {
        MergeBy::Collect => Shape::Items,
        MergeBy::First if sources.iter().all(|source| source.shape == Shape::Usual) => Shape::Usual,
        _ => Shape::Other,
    };
    Made { body: Body::Merge(merge), often: Often::Once, shape, nullable: false }
}
