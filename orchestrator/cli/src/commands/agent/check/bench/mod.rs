//! Where agents are tried: a mesh without an orchestrator, whose part the check itself plays.

mod give;
mod mesh;
mod place;
mod stage;
mod task;
mod watch;

pub(super) use mesh_bus::nats::Word;

pub(super) use place::{Bench, Place};
pub(super) use stage::{SETTLE, Stage};
pub(super) use task::{CORRELATION, TRACEPARENT, Task, Work};
pub(super) use watch::{Outcome, Seen, What, attempts, outcomes, words};
