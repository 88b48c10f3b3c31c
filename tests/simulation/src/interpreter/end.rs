use mesh_schemas::Timer;
use mesh_schemas::payload::{TaskCounts, code};

use super::block::Block;
use super::expected::{Decided, End, Ended};
use super::log::{Fact, Log};
use super::reading::{Fate, Reading};

/// What ends a run that its tasks have not ended.
pub(super) enum Outside {
    Deadline,
    Cancelled(Option<String>),
    /// The log has the end of the run although nothing in it leads there.
    Told,
}

/// The first event that ends the run whatever becomes of its tasks.
pub(super) fn from_outside(log: &Log) -> Option<(usize, Outside)> {
    log.first_behind(log.started, |fact| match fact {
        Fact::Cancel(reason) => Some(Outside::Cancelled(reason.clone())),
        Fact::Fired(Timer::Deadline) => Some(Outside::Deadline),
        Fact::Ended => Some(Outside::Told),
        _ => None,
    })
}

/// Notes that the run ends with its tasks.
pub(super) fn by_tasks(fate: Fate, at: usize, reading: &mut Reading<'_>) {
    let end = match fate {
        Fate::Done(output, _) => End::Completed { output },
        Fate::Failed(failure) => End::Failed { code: failure.code, task: failure.task },
        Fate::Skipped => return,
    };
    decide(end, at, reading);
}

/// Notes that the run ends although its tasks have not.
pub(super) fn by_outside<'a>(root: &Block<'a>, why: Outside, at: usize, reading: &mut Reading<'a>) {
    let end = match why {
        // It stands in the log already.
        Outside::Told => return,
        Outside::Cancelled(reason) => End::Cancelled { reason },
        Outside::Deadline => End::Failed { code: code::TIMEOUT.to_owned(), task: None },
    };
    reading.void(None, at);
    root.cut(at, code::RUN_ENDED, reading);
    decide(end, at, reading);
}

fn decide(end: End, at: usize, reading: &mut Reading<'_>) {
    let log = reading.log;
    let took = log.events[at].time - log.events[log.started].time;
    let duration_ms = u64::try_from(took.num_milliseconds()).unwrap_or_default();
    let tasks: TaskCounts = reading.counts;
    reading.expected.end = Some(Decided { at, what: Ended { end, tasks, duration_ms } });
}
