//! Messages that a broken rule keeps from being stored.

use mesh_bus::{Bus as _, Publish};
use mesh_schemas::payload::parent_signal;
use mesh_schemas::{Message, Subject, TaskVerb, Timer};

use super::party::{Kind, Party};
use crate::sabotage::Sabotage;

/// The sequence at which a message is to be taken for stored, which it is not; none if no broken rule is about it.
pub(super) fn taken_for_stored(party: &Party, publish: &Publish) -> Option<u64> {
    let subject = Subject::parse(party.bus.namespace(), &publish.message.subject);
    let is_dropped = match (party.world.sabotage?, subject.ok()?) {
        (Sabotage::NoHistory, Subject::History { .. } | Subject::LateHistory { .. }) => return Some(1),
        (Sabotage::NoDeadline, Subject::TimerSet { timer: Timer::Deadline, .. }) => true,
        (Sabotage::NoCancelWithin, Subject::Signalled { id, .. }) => id == parent_signal(),
        (Sabotage::NoReport, _) => party.kind == Kind::Orchestrator && is_completed(party, &publish.message),
        _ => false,
    };
    is_dropped.then_some(0)
}

/// Whether a message says that an attempt went well.
pub(super) fn is_completed(party: &Party, message: &Message) -> bool {
    let subject = Subject::parse(party.bus.namespace(), &message.subject);
    matches!(subject, Ok(Subject::Task { verb: TaskVerb::Completed, .. }))
}
