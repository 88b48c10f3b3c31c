//! Events that this orchestrator does not understand, and a newer one may.

use chrono::TimeDelta;
use mesh_bus::DeadEnd;
use mesh_bus::topology::SHARD_MAX_ACK_PENDING;
use mesh_schemas::StoredMessage;
use tracing::warn;

use super::Follower;
use crate::shard::settle::Verdict;

/// How long an event that this mesh is too old for is left to others. Who updates later than that has it among the
/// dead letters.
const LEFT_FOR: TimeDelta = TimeDelta::days(1);
/// Most events of a shard that are left to others at once: half of what may be in hand, so that runs which are
/// understood go on.
pub(super) const MOST_LEFT: usize = SHARD_MAX_ACK_PENDING as usize / 2;

impl Follower {
    /// What becomes of an event that this orchestrator may not understand.
    pub(super) fn left_or(&mut self, stored: &StoredMessage, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Beyond(why) => self.leave(stored, why),
            verdict => {
                self.left.remove(&stored.sequence);
                verdict
            }
        }
    }

    /// What becomes of an event that this orchestrator does not understand: it is left to newer ones, but not for ever,
    /// and not so many that they would be all that the shard has in hand.
    pub(super) fn leave(&mut self, stored: &StoredMessage, why: String) -> Verdict {
        self.shared.presence.does_not_understand(self.shard);
        let has_room = self.left.len() < MOST_LEFT || self.left.contains(&stored.sequence);
        if has_room && self.shared.bus.now() - stored.time < LEFT_FOR {
            warn!(subject = stored.message.subject, why, "left to newer orchestrators");
            self.left.insert(stored.sequence);
            Verdict::Later
        } else {
            self.left.remove(&stored.sequence);
            Verdict::Bury(DeadEnd::NewerEvent, why)
        }
    }
}
