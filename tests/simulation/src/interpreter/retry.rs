use std::ops::RangeInclusive;
use std::time::Duration;

use mesh_schemas::{Attempt, TaskId};

use super::log::Error;
use crate::workload::{Often, OnFailure, Recovery, Retry, Workflow, is_final};

/// Longest `retry_after` that an agent is granted: a day, in seconds.
const LONGEST_RETRY_AFTER: f64 = 86_400.0;

/// The least and the longest pause after a failed attempt, in whole milliseconds; none if no other follows.
///
/// After attempt n the pause is `initial` × `factor`ⁿ⁻¹, at most `max`, less up to its share `jitter`, and no shorter than
/// the agent asks for. What a task does not say is 3 attempts, 1 s, 2, 30 s and 0.2.
pub(super) fn pause(
    retry: Option<&Retry>,
    attempt: Attempt,
    error: &Error,
) -> Option<RangeInclusive<Duration>> {
    let silent = Retry::default();
    let retry = retry.unwrap_or(&silent);
    let is_last = attempt.get() >= retry.max_attempts.unwrap_or(3);
    if is_last || !error.retryable || retry.fatal_on.contains(&error.code) {
        return None;
    }
    let initial = millis(retry.initial.unwrap_or(Duration::from_secs(1)));
    let longest = millis(retry.max.unwrap_or(Duration::from_secs(30)));
    let grown = (1..attempt.get()).fold(initial, |pause, _| pause * retry.factor.unwrap_or(2.0));
    let most = grown.min(longest);
    let least = most * (1.0 - retry.jitter.unwrap_or(0.2));
    let asked = (error.retry_after.clamp(0.0, LONGEST_RETRY_AFTER) * 1_000.0).round();
    Some(duration(least.floor().max(asked))..=duration(most.ceil().max(asked)))
}

/// The pause before one more attempt that the workflow allows, beyond what the task does, of what nothing makes up for: no
/// `on_failure` of the task or of what it belongs to, and no `tolerate` of a loop around it. It is the longest of the task.
pub(super) fn recovered(
    workflow: &Workflow,
    retry: Option<&Retry>,
    path: &TaskId,
    attempt: Attempt,
) -> Option<RangeInclusive<Duration>> {
    let Recovery::Retry(more) = workflow.recovery else { return None };
    let own = retry.and_then(|retry| retry.max_attempts).unwrap_or(3);
    if is_made_up_for(workflow, path) || attempt.get() >= own + more {
        return None;
    }
    let longest = retry.and_then(|retry| retry.max).unwrap_or(Duration::from_secs(30));
    Some(longest..=longest)
}

/// Whether work that failed for good waits until somebody has it tried again.
pub(super) fn waits_for_word(workflow: &Workflow, path: &TaskId) -> bool {
    workflow.recovery == Recovery::Pause && !is_made_up_for(workflow, path)
}

/// Whether something makes up for a failure. What is done finally is not recovered.
fn is_made_up_for(workflow: &Workflow, path: &TaskId) -> bool {
    let way = workflow.way(path).tasks;
    is_final(path)
        || way.iter().any(|task| {
            let tolerates = matches!(&task.often, Often::Each(each) if each.tolerate.is_some());
            task.on_failure != OnFailure::Fail || tolerates
        })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn duration(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1_000.0)
}
