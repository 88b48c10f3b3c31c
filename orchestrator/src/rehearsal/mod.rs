//! Runs without a mesh: the real rules, every decision written and read back as it would be stored, and a clock that
//! is only an argument. A day of backoff takes no time.
//!
//! - [`Rehearsal`] is one run; whoever holds it plays the world around it.
//! - [`cases`] reads files of cases (input, what agents answer, what is expected) and plays them.
//! - [`replay`] plays recorded runs again, with another definition.
//!
//! Not rehearsed are the limits of a server, such as the largest message, and how late real timers and agents are.

pub mod cases;
mod child;
mod course;
pub mod replay;
mod stage;

pub use course::{Course, TaskCourse, Work, outcome_name};
pub use stage::{Asked, Begun, Opening, Rehearsal};

#[cfg(test)]
mod tests;
