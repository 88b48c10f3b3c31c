//! The rules of a workflow run: a pure fold of its events into decisions.
//!
//! [`Run::apply`] takes the events of a run in the order of the log and returns what follows from each. The same
//! log leads to the same decisions on every machine, and a longer log never takes back what a shorter one decided.
//! So orchestrators that have read different parts of a log never contradict each other.
//!
//! What is absent is the point: no clock, no randomness, no environment, no input or output, no iteration in an
//! order that may differ. Time comes with the events.

mod backoff;
mod config;
mod decision;
mod event;
mod expression;
mod plan;
mod replay;
mod run;
mod schema;

pub use config::{MAX_CONFIG_BYTES, config_errors, merged_config};
pub use decision::{Action, Child, Decision, End, Route};
pub use event::{Content, Event, Fact, Lost, Started, Unreadable};
pub use expression::{
    Around, Brings, Condition, Ended, ExpressionError, MAX_EXPRESSION_BYTES, Measure, Measures, References,
    Scope, Status, Template,
};
pub use plan::{MAX_DEPTH, MAX_NEEDS, MAX_TASKS, Plan, check};
pub use replay::{Replay, given_up_as_lost, replay};
pub use run::{Header, MAX_STATE_BYTES, NotRerun, NotRestored, Origin, Run, Step, TaskView};
