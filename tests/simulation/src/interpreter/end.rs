use chrono::{DateTime, Utc};
use mesh_schemas::Timer;
use mesh_schemas::payload::{TaskCounts, code};
use serde_json::{Value, json};

use super::block::Block;
use super::expected::{Decided, End, Ended, Report, UNTOLD, Wait};
use super::log::{Fact, Log};
use super::reading::{Fate, Reading, part};
use crate::workload::{Around, FINALLY, Finally};

/// Longest time of what is done finally when its definition says nothing: 5 minutes.
const DEFAULT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// What ends what is done, although the tasks have not ended.
pub(super) enum Outside {
    OutOfTime,
    Cancelled(Option<String>),
    /// The log has the end of the run although nothing in it leads there.
    Told,
}

/// The first event behind a place that ends what is done then, whatever becomes of its tasks.
pub(super) fn from_outside(log: &Log, place: usize, limit: &Timer) -> Option<(usize, Outside)> {
    log.first_behind(place, |fact| match fact {
        Fact::Cancel(reason) => Some(Outside::Cancelled(reason.clone())),
        Fact::Fired(timer) if timer == limit => Some(Outside::OutOfTime),
        Fact::Ended => Some(Outside::Told),
        _ => None,
    })
}

/// How tasks come to an end, and where; none if the log does not have that, or has only the end of the run.
pub(super) fn through<'a>(
    block: &mut Block<'a>,
    begins: usize,
    limit: &Timer,
    around: Option<&Around<'_>>,
    reading: &mut Reading<'a>,
) -> Option<(usize, Result<Fate, Outside>)> {
    let outside = from_outside(reading.log, begins, limit);
    let mut at = begins;
    let mut fate = block.begin(at, reading, around);
    // An event from outside is for no task, so the two are never the same.
    let ends = outside.as_ref().map_or(usize::MAX, |(end, _)| *end);
    let mut heard = begins;
    while fate.is_none() {
        let is_told =
            |fact: &Fact| matches!(fact, Fact::Pause(_) | Fact::Resume | Fact::Retry(..)).then_some(());
        let told = reading.log.first_behind(heard, is_told).map(|(told, ())| told);
        let Some(next) = block.next().into_iter().chain(told).min().filter(|next| *next < ends) else {
            break;
        };
        at = next;
        if told == Some(next) {
            heard = next;
            fate = reading.told(block, at, around);
        } else {
            fate = block.go_on(at, reading, around);
        }
    }
    match (fate, outside) {
        (Some(fate), _) => Some((at, Ok(fate))),
        (None, Some((end, why))) if !matches!(why, Outside::Told) => {
            reading.void(block.path.as_ref(), end);
            block.cut(end, code::RUN_ENDED, reading);
            Some((end, Err(why)))
        }
        (None, _) => None,
    }
}

/// How a run ends by what became of its tasks.
pub(super) fn of_run(became: Result<Fate, Outside>) -> End {
    match became {
        Ok(Fate::Done(output, _)) => End::Completed { output },
        Ok(Fate::Failed(failure)) => {
            End::Failed { code: failure.code, task: failure.task, retryable: failure.retryable }
        }
        // Nothing skips a run.
        Ok(Fate::Skipped) | Err(Outside::Told) => End::Cancelled { reason: None },
        Err(Outside::Cancelled(reason)) => End::Cancelled { reason },
        Err(Outside::OutOfTime) => {
            End::Failed { code: code::TIMEOUT.to_owned(), task: None, retryable: true }
        }
    }
}

/// What is done finally, from the event that decides how the run would end: how it ends then, and where.
pub(super) fn closed<'a>(
    finally: &'a Finally,
    root: &Block<'a>,
    end: End,
    at: usize,
    reading: &mut Reading<'a>,
) -> Option<(usize, End)> {
    reading.deadline = due(finally, at, reading);
    reading.outcome = outcome(&end);
    reading.hold.is_paused = false;
    let what = Wait::exactly(reading.deadline);
    reading.expected.timers.insert(Timer::Finally, Decided { at, what });
    let mut block = Block::new(&finally.tasks, None, Some(part(None, FINALLY)));
    let around = Around::tasks(&root.seen);
    let (at, became) = through(&mut block, at, &Timer::Finally, Some(&around), reading)?;
    let end = match (end, became) {
        (_, Err(Outside::Cancelled(reason))) => End::Cancelled { reason },
        (End::Completed { .. }, became @ (Ok(Fate::Failed(_)) | Err(Outside::OutOfTime))) => of_run(became),
        (end, _) => end,
    };
    Some((at, end))
}

fn due(finally: &Finally, at: usize, reading: &Reading<'_>) -> DateTime<Utc> {
    reading.log.events[at].time + finally.timeout.unwrap_or(DEFAULT_TIMEOUT)
}

/// What expressions see as `run.outcome`; the words of an error are those of the mesh.
fn outcome(end: &End) -> Value {
    match end {
        End::Completed { .. } => json!({ "status": "completed", "error": null }),
        End::Failed { code, .. } => {
            json!({ "status": "failed", "error": { "code": code, "message": UNTOLD.to_string() } })
        }
        End::Cancelled { reason } => {
            json!({ "status": "cancelled", "error": { "code": "cancelled", "message": reason } })
        }
    }
}

pub(super) fn decide(end: End, at: usize, reading: &mut Reading<'_>) {
    let log = reading.log;
    let took = log.events[at].time - log.events[log.started].time;
    let duration_ms = u64::try_from(took.num_milliseconds()).unwrap_or_default();
    let tasks: TaskCounts = reading.counts;
    if log.parent.as_ref().is_some_and(|parent| parent.wait) {
        reading.expected.report = Some(Decided { at, what: Report::of(&end) });
    }
    reading.expected.end = Some(Decided { at, what: Ended { end, tasks, duration_ms } });
}
