//! Recorded runs played again, with another definition.
//!
//! What is recorded is what came from outside: the input, the outcomes of attempts, the signals. The rest (tasks,
//! retries, time limits, the end) follows anew. What is assumed:
//!
//! - An agent answers as it did, also when the changed definition gives it other work: the outcome that was recorded
//!   for an attempt of a task is the outcome of that attempt.
//! - Whatever was waited for takes as long as it took: an outcome comes as long after its attempt was asked for as it
//!   did then, and a timer is as late as it was then. A signal comes when it came.
//! - The `timeout` of a task is kept by its agent and does not change what was recorded.
//!
//! An attempt that was never asked for has no outcome, and one whose outcome did not come before the run ended has none
//! up to then: what depends on it cannot be told. The replay goes on with what does not, as long as agents answered; it
//! stops before the next signal or time limit, for the run might have ended before.

mod compare;
mod play;
mod recorded;

pub use compare::{Aspect, Change};
pub use play::{Replayed, replay};
pub use recorded::{Recorded, RecordedError};

#[cfg(test)]
mod tests;
