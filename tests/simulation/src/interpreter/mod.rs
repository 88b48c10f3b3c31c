//! What follows from the log of a run, by the documented rules alone.
//!
//! Nothing here is handed events, as an orchestrator is. Instead, whatever begins asks the log what becomes of it: an attempt
//! is answered by the first outcome behind the event by which it was created; a pause is over at the first `timer.fired`
//! behind the event that it follows from. So every task, item and iteration has a life, from the event that begins it to
//! the one that ends it or all around it; a group, a loop and a run are lives made of lives, which go on where the first of
//! these does. A run ends at the first event that ends it, and what would have followed from that event or a later one is
//! void. Every decision so belongs to the event that enables it, and what stands behind that event cannot change it: what a
//! prefix of the log leads to is what the whole log leads to, up to the prefix's last event.
//!
//! The rules are those of the README, of `schemas/README.md` and of the types in `mesh_schemas::definition` and
//! `mesh_schemas::payload`. Only names, subjects and payloads are shared with the mesh, for those are the contract.

mod block;
mod each;
mod end;
mod expected;
mod found;
mod life;
mod log;
mod merge;
mod reading;
mod repeat;
mod retry;
mod wait;
mod work;

use mesh_schemas::payload::TaskCounts;
use mesh_schemas::{Namespace, StoredMessage, Timer};

use crate::workload::Workflow;

pub use expected::{Decided, End, Ended, Expected, UNTOLD, Wait, Work};
pub use found::{Found, FoundEnd};

use block::Block;
use log::Log;
use reading::Reading;

/// What follows from the log of a run: all events of `MESH_EVENTS` that belong to it, or the first of them, in the order of
/// the stream. None as long as there is no readable `started` among them; what stands before it is not part of the run.
#[must_use]
pub fn interpret(namespace: &Namespace, workflow: &Workflow, log: &[StoredMessage]) -> Option<Expected> {
    let log = Log::read(namespace, log)?;
    let (mut expected, mut at) = (Expected::default(), log.started);
    let what = Wait::exactly(log.deadline(workflow));
    expected.timers.insert(Timer::Deadline, Decided { at, what });
    let mut reading = Reading { workflow, log: &log, expected, counts: TaskCounts::default() };
    let outside = end::from_outside(&log);
    let mut root = Block::new(&workflow.tasks, workflow.output.as_ref(), None);
    let mut fate = root.begin(at, &mut reading, None);
    // An event from outside is for no task, so the two are never the same.
    let ends = outside.as_ref().map_or(usize::MAX, |(end, _)| *end);
    while fate.is_none()
        && let Some(next) = root.next().filter(|next| *next < ends)
    {
        at = next;
        fate = root.go_on(at, &mut reading, None);
    }
    match (fate, outside) {
        (Some(fate), _) => end::by_tasks(fate, at, &mut reading),
        (None, Some((end, why))) => end::by_outside(&root, why, end, &mut reading),
        (None, None) => {}
    }
    Some(reading.expected)
}
