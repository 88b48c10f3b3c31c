//! What follows from the log of a run, by the documented rules alone.
//!
//! Nothing here steps through the log and keeps a state, as an orchestrator does. Instead, each question is asked of the
//! whole log: the attempt of a task begins at the event by which the last of its needs has ended; it is answered by the
//! first outcome behind that event; a pause is over at the first `timer.fired` behind the event that it follows from; a
//! run ends at the first event that ends it, and what would have followed from that event or a later one is void. Every
//! decision so belongs to the event that enables it, and what stands behind that event cannot change it: what a prefix
//! of the log leads to is what the whole log leads to, up to the prefix's last event.
//!
//! The rules are those of the README, of `schemas/README.md` and of the types in `mesh_schemas::definition` and
//! `mesh_schemas::payload`. Only names, subjects and payloads are shared with the mesh, for those are the contract.

mod end;
mod expected;
mod found;
mod life;
mod log;
mod retry;

use mesh_schemas::{Namespace, StoredMessage, Timer};

use crate::workload::Workflow;

pub use expected::{Decided, End, Ended, Expected, Wait, Work};
pub use found::{Found, FoundEnd};

use life::Lives;
use log::Log;

/// What follows from the log of a run: all events of `MESH_EVENTS` that belong to it, or the first of them, in the order of
/// the stream. None as long as there is no readable `started` among them; what stands before it is not part of the run.
#[must_use]
pub fn interpret(namespace: &Namespace, workflow: &Workflow, log: &[StoredMessage]) -> Option<Expected> {
    let log = Log::read(namespace, log)?;
    let lives = Lives::of(workflow, &log);
    let end = end::find(workflow, &log, &lives);
    let mut expected = Expected::default();
    // What would follow from the event that ends the run, or from a later one, does not.
    let last = end.as_ref().map_or(log.events.len(), |end| end.at);
    let decided = |at: usize| (at < last).then_some(at);
    if let Some(at) = decided(log.started) {
        expected.timers.insert(Timer::Deadline, Decided { at, what: Wait::exactly(log.deadline(workflow)) });
    }
    for (id, life) in &lives.all {
        for tried in &life.tries {
            let key = (id.clone(), tried.attempt);
            if let Some(at) = decided(tried.created) {
                let work = Work::new(workflow, id, &life.input, &log, at);
                expected.created.insert(key.clone(), Decided { at, what: work });
            }
            if let Some((at, pause)) = tried.pause.clone()
                && let Some(at) = decided(at)
            {
                let timer = Timer::Retry { task: id.clone(), after: tried.attempt };
                expected
                    .timers
                    .insert(timer, Decided { at, what: Wait::behind(log.events[at].time, &pause) });
            }
        }
    }
    expected.given_up = end::given_up(&lives, end.as_ref());
    expected.end = end.and_then(|end| end.decided(workflow, &log, &lives));
    Some(expected)
}
