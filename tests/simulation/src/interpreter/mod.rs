//! What follows from the log of a run, by the documented rules alone.
//!
//! Nothing here is handed events, as an orchestrator is. Instead, whatever begins asks the log what becomes of it: an attempt
//! is answered by the first outcome behind the event by which it was created; a pause is over at the first `timer.fired`
//! behind the event that it follows from. So every task, item and iteration has a life, from the event that begins it to
//! the one that ends it or all around it; a group, a loop and a run are lives made of lives, which go on where the first of
//! these does. A run ends at the first event that ends it, and what would have followed from that event or a later one is
//! void; what is done finally is a life of its own from there. Every decision so belongs to the event that enables it, and what stands behind that event cannot change it: what a
//! prefix of the log leads to is what the whole log leads to, up to the prefix's last event.
//!
//! The rules are those of the README, of `schemas/README.md` and of the types in `mesh_schemas::definition` and
//! `mesh_schemas::payload`. Only names, subjects and payloads are shared with the mesh, for those are the contract.

mod again;
mod block;
mod each;
mod end;
mod expected;
mod found;
mod hold;
mod life;
mod log;
mod merge;
mod plan;
mod reading;
mod repeat;
mod retry;
mod wait;
mod work;

use std::collections::BTreeSet;

use mesh_schemas::payload::TaskCounts;
use mesh_schemas::{Namespace, StoredMessage, Timer};
use serde_json::Value;

use crate::workload::Workflow;

pub use again::{Kept, Taken, Went, fits_taken_over, taken_over};
pub use expected::{Called, Decided, End, Ended, Expected, Pause, Report, Route, UNTOLD, Wait, Work};
pub use found::{Found, FoundEnd};

use block::Block;
use hold::Hold;
use log::Log;
use reading::Reading;

/// What follows from the log of a run: all events of `MESH_EVENTS` that belong to it, or the first of them, in the order of
/// the stream. None as long as there is no readable `started` among them; what stands before it is not part of the run.
#[must_use]
pub fn interpret(namespace: &Namespace, workflow: &Workflow, log: &[StoredMessage]) -> Option<Expected> {
    let log = Log::read(namespace, log)?;
    let deadline = log.deadline(workflow);
    let mut expected = Expected::default();
    expected.timers.insert(Timer::Deadline, Decided { at: log.started, what: Wait::exactly(deadline) });
    let (counts, outcome) = (TaskCounts::default(), Value::Null);
    let hold = Hold::default();
    let mut reading = Reading {
        workflow,
        log: &log,
        expected,
        deadline,
        outcome,
        counts,
        hold,
        otherwise: BTreeSet::new(),
        is_spare: false,
    };
    let mut root = Block::new(&workflow.tasks, workflow.output.as_ref(), None);
    root.finally = workflow.finally.as_ref();
    let became = end::through(&mut root, log.started, &Timer::Deadline, None, &mut reading);
    let ends = became.map(|(at, became)| (at, end::of_run(became)));
    let ends = ends.and_then(|(at, end)| match &workflow.finally {
        Some(finally) => end::closed(finally, &root, end, at, &mut reading),
        None => Some((at, end)),
    });
    if let Some((at, end)) = ends {
        end::decide(end, at, &mut reading);
        reading.expected.kept = again::kept(&root);
    }
    Some(reading.expected)
}
