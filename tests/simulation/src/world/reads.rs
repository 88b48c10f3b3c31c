//! What a party is told that reads from a server which is behind, and what it is told in spite of the rules.

use std::collections::BTreeSet;

use mesh_bus::RunLog;
use mesh_schemas::{StoredMessage, Subject, TaskVerb, WorkflowVerb};

use super::party::{Kind, Party};
use crate::sabotage::Sabotage;

/// How many messages a server may be behind.
const BEHIND: u64 = 12;

/// A run as this party is told of it.
pub(super) fn run(party: &Party, mut log: RunLog) -> RunLog {
    if party.happens(party.world.storm.behind) {
        let end = log.end.saturating_sub(1 + party.number(BEHIND));
        log.events.retain(|event| event.sequence <= end);
        log.end = if party.world.sabotage == Some(Sabotage::NoEndCheck) { log.end } else { end };
    }
    if party.kind == Kind::Orchestrator {
        match party.world.sabotage {
            Some(Sabotage::LastOutcomeWins) => keep_last_outcomes(party, &mut log),
            Some(Sabotage::UnlatchedCancel) => move_cancels(party, &mut log),
            _ => {}
        }
    }
    log
}

/// The last message on a subject as this party is told of it.
pub(super) fn last(party: &Party, subject: &str, last: Option<StoredMessage>) -> Option<StoredMessage> {
    let is_outcome = matches!(
        Subject::parse(party.world.server.namespace(), subject),
        Ok(Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, .. })
    );
    let is_blind = party.kind == Kind::Agent && party.world.sabotage == Some(Sabotage::NoLook);
    let is_hidden = is_outcome && (is_blind || party.happens(party.world.storm.behind));
    last.filter(|_| !is_hidden)
}

fn keep_last_outcomes(party: &Party, log: &mut RunLog) {
    let task = |event: &StoredMessage| match Subject::parse(
        party.world.server.namespace(),
        &event.message.subject,
    ) {
        Ok(Subject::Task { key, .. }) => Some(key),
        _ => None,
    };
    let mut seen = BTreeSet::new();
    log.events.reverse();
    log.events.retain(|event| task(event).is_none_or(|key| seen.insert(key)));
    log.events.reverse();
}

fn move_cancels(party: &Party, log: &mut RunLog) {
    let namespace = party.world.server.namespace();
    let parse = |event: &StoredMessage| Subject::parse(namespace, &event.message.subject);
    let is_started = |event: &StoredMessage| {
        matches!(parse(event), Ok(Subject::Workflow { verb: WorkflowVerb::Started, .. }))
    };
    let is_cancel = |event: &StoredMessage| matches!(parse(event), Ok(Subject::Signalled { signal, .. }) if signal.as_str() == "cancel");
    let Some(started) = log.events.iter().position(is_started) else { return };
    let sequences: Vec<u64> = log.events.iter().map(|event| event.sequence).collect();
    // Stable, so that the rest stays in its order.
    log.events[started + 1..].sort_by_key(|event| !is_cancel(event));
    for (event, sequence) in log.events.iter_mut().zip(sequences) {
        event.sequence = sequence;
    }
}
