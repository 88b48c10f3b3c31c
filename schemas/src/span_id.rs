use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::id::{Attempt, RunId};
use crate::name::{TaskId, Timer};
use crate::subject::TaskVerb;

/// Id of a span of W3C Trace Context that several processes must know, or that one may write twice: worked out from what
/// the span is about, and not drawn. So whoever follows a task can name the span of each that the task waited for, and a
/// span that is written again after a crash is the same span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl SpanId {
    /// The request for a run, sent by someone who is part of no trace.
    #[must_use]
    pub fn of_request(run: &RunId) -> Self {
        Self::of(format_args!("request {run}"))
    }

    /// The root of a run.
    #[must_use]
    pub fn of_run(run: &RunId) -> Self {
        Self::of(format_args!("run {run}"))
    }

    /// The end of a run.
    #[must_use]
    pub fn of_end(run: &RunId) -> Self {
        Self::of(format_args!("end {run}"))
    }

    /// The creation of an attempt of a task.
    #[must_use]
    pub fn of_attempt(run: &RunId, task: &TaskId, attempt: Attempt) -> Self {
        Self::of(format_args!("task {run}.{task}.{attempt}"))
    }

    /// The sending of the outcome of an attempt by the execution that got this delivery of it.
    #[must_use]
    pub fn of_outcome(run: &RunId, task: &TaskId, attempt: Attempt, delivery: u64, verb: TaskVerb) -> Self {
        Self::of(format_args!("{verb} {run}.{task}.{attempt}.{delivery}"))
    }

    /// What an agent does that was given an attempt: each delivery of it is another span.
    #[must_use]
    pub fn of_work(run: &RunId, task: &TaskId, attempt: Attempt, delivery: u64) -> Self {
        Self::of(format_args!("work {run}.{task}.{attempt}.{delivery}"))
    }

    /// The setting of a timer.
    #[must_use]
    pub fn of_timer(run: &RunId, timer: &Timer) -> Self {
        Self::of(format_args!("timer {run}.{timer}"))
    }

    fn of(what: fmt::Arguments<'_>) -> Self {
        let hash = Sha256::digest(what.to_string());
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        // Only zeros would be no id.
        id[7] |= u8::from(id == [0; 8]);
        Self(id)
    }
}

/// As in a `traceparent`: 16 hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_same_id_wherever_it_is_worked_out() {
        let run: RunId = "3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11".parse().expect("a run");
        let task = TaskId::new("charge").expect("a task");
        let first = SpanId::of_attempt(&run, &task, Attempt::FIRST);
        assert_eq!(first, SpanId::of_attempt(&run, &task, Attempt::FIRST));
        let others = [
            SpanId::of_run(&run),
            SpanId::of_end(&run),
            SpanId::of_timer(&run, &Timer::Deadline),
            SpanId::of_work(&run, &task, Attempt::FIRST, 1),
        ];
        assert!(others.iter().all(|other| *other != first));
        assert_eq!(SpanId([0, 1, 2, 3, 0xff, 5, 6, 7]).to_string(), "00010203ff050607");
    }
}
