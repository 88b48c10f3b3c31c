//! Tasks that a run takes over from another, which it does again in part.

use mesh_schemas::payload::Taken;

use super::{At, Fold};
use crate::expression::Status;
use crate::plan::Node;

impl<'a> Fold<'a> {
    /// What a task that is about to begin came to in the other run, if that still holds: nothing that it needs goes otherwise.
    pub(super) fn taken_for(&self, at: At<'_>, node: &Node) -> Option<&'a Taken> {
        let taken = self.taken.filter(|_| at.is_run())?.tasks.get(&node.id)?;
        (!self.needs_go_otherwise(at, node)).then_some(taken)
    }

    /// Notes whether a task that has ended, and was not taken over, went otherwise than in the other run.
    pub(super) fn compare(&mut self, at: At<'_>, place: usize, status: Status) {
        let Some(taken) = self.taken.filter(|_| at.is_run()) else { return };
        let node = &at.block.nodes[place];
        let was_skipped = taken.skipped.contains(&node.id);
        let differs = taken.tasks.contains_key(&node.id) || was_skipped && status != Status::Skipped;
        if differs || self.needs_go_otherwise(at, node) {
            self.hold.otherwise.insert(node.id.clone());
        }
    }

    fn needs_go_otherwise(&self, at: At<'_>, node: &Node) -> bool {
        let otherwise = &self.hold.otherwise;
        !otherwise.is_empty() && node.needs.iter().any(|need| otherwise.contains(&at.block.nodes[*need].id))
    }
}
