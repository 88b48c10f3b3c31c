use std::collections::BTreeMap;
use std::fmt::Debug;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{
    TaskCreated, TaskError, TaskRouted, WorkflowCancelled, WorkflowCompleted, WorkflowFailed, WorkflowPaused,
};
use mesh_schemas::{Attempt, StoredMessage, TaskId, Timer};

use super::expected::{Decided, End, Ended, Expected, Pause, Route, UNTOLD, Wait, Work};
use serde_json::Value;

/// What an orchestrator has decided about a run: of each decision the id of the event that it says to follow from, and the
/// data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The attempts that were created.
    pub created: BTreeMap<(TaskId, Attempt), (String, TaskCreated)>,
    /// The timers that were set.
    pub timers: BTreeMap<Timer, (String, DateTime<Utc>)>,
    /// The attempts that were given up.
    pub given_up: BTreeMap<(TaskId, Attempt), (String, TaskError)>,
    /// The choices how many items of a loop are under way at a time.
    pub routed: BTreeMap<TaskId, (String, TaskRouted)>,
    /// The pauses, by number.
    pub paused: BTreeMap<u64, (String, WorkflowPaused)>,
    /// The ends of pauses.
    pub resumed: BTreeMap<u64, (String, ())>,
    /// How the run ended.
    pub end: Option<(String, FoundEnd)>,
}

/// How an orchestrator says that a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum FoundEnd {
    /// With an output.
    Completed(WorkflowCompleted),
    /// With an error.
    Failed(WorkflowFailed),
    /// By a cancel signal.
    Cancelled(WorkflowCancelled),
}

impl Expected {
    /// Everything in which the decisions of an orchestrator differ from what follows from the log, in words. Texts for people
    /// are not compared.
    #[must_use]
    pub fn differences(&self, log: &[StoredMessage], found: &Found) -> Vec<String> {
        let mut all = Differences { log, told: Vec::new() };
        all.compare("created", &self.created, &found.created, is_work);
        all.compare("timer", &self.timers, &found.timers, |wait: &Wait, due| wait.admits(*due));
        all.compare("given up", &self.given_up, &found.given_up, |code, error: &TaskError| {
            error.code == *code && !error.retryable && error.retry_after.is_none()
        });
        all.compare("choice", &self.routed, &found.routed, is_route);
        all.compare("pause", &self.paused, &found.paused, is_pause);
        all.compare("end of pause", &self.resumed, &found.resumed, |(), ()| true);
        let place = |end: Option<_>| end.into_iter().map(|end| ((), end)).collect();
        all.compare("end", &place(self.end.clone()), &end_of(found), is_end);
        all.told
    }
}

fn end_of(found: &Found) -> BTreeMap<(), (String, FoundEnd)> {
    found.end.iter().map(|end| ((), end.clone())).collect()
}

struct Differences<'a> {
    log: &'a [StoredMessage],
    told: Vec<String>,
}

impl Differences<'_> {
    fn compare<K: Ord + Debug, E: Debug, F: Debug>(
        &mut self,
        what: &str,
        expected: &BTreeMap<K, Decided<E>>,
        found: &BTreeMap<K, (String, F)>,
        is_right: impl Fn(&E, &F) -> bool,
    ) {
        for (key, Decided { at, what: right }) in expected {
            let cause = &self.log[*at].message.subject;
            match found.get(key) {
                None => {
                    self.told.push(format!("{what} {key:?} is missing: it follows from event {at}, {cause}"))
                }
                Some((_, other)) if !is_right(right, other) => {
                    self.told.push(format!("{what} {key:?} should be {right:?}, and is {other:?}"));
                }
                Some((other, _)) if other != cause => {
                    let told =
                        format!("{what} {key:?} follows from event {at}, {cause}, and not from {other}");
                    self.told.push(told);
                }
                Some(_) => {}
            }
        }
        for (key, (cause, other)) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
            self.told
                .push(format!("{what} {key:?} should not be: it is said to follow from {cause}: {other:?}"));
        }
    }
}

fn is_work(work: &Work, created: &TaskCreated) -> bool {
    let Work { workflow, action, input, timeout_ms, deadline, basis } = work;
    *workflow == created.workflow
        && *action == created.action
        && fits(input, &created.input)
        && *timeout_ms == created.timeout_ms
        && Some(*deadline) == created.deadline
        && *basis == created.basis
}

fn is_route(route: &Route, found: &TaskRouted) -> bool {
    let is_so = |right: f64, found: f64| (right - found).abs() < f64::EPSILON;
    is_so(route.complexity, found.complexity)
        && is_so(route.dependency, found.dependency)
        && route.width(found.free, found.capacity) == found.width as usize
}

fn is_pause(pause: &Pause, found: &WorkflowPaused) -> bool {
    let Pause { task, reason } = pause;
    *task == found.task && fits(&reason.clone().into(), &found.reason.clone().into())
}

fn is_end(ended: &Ended, found: &FoundEnd) -> bool {
    let Ended { end, tasks, duration_ms } = ended;
    let (is_right, other_tasks, other_ms) = match (end, found) {
        (End::Completed { output }, FoundEnd::Completed(data)) => {
            (fits(output, &data.output), data.tasks, data.duration_ms)
        }
        (End::Failed { code, task }, FoundEnd::Failed(data)) => {
            (*code == data.error.code && *task == data.task, data.tasks, data.duration_ms)
        }
        (End::Cancelled { reason }, FoundEnd::Cancelled(data)) => {
            (*reason == data.reason, data.tasks, data.duration_ms)
        }
        _ => return false,
    };
    is_right && *tasks == other_tasks && *duration_ms == other_ms
}

/// Whether data is as it should be, where words are left open.
fn fits(right: &Value, found: &Value) -> bool {
    match (right, found) {
        (Value::String(right), Value::String(found)) if right.contains(UNTOLD) => fits_text(right, found),
        (Value::Array(right), Value::Array(found)) => {
            right.len() == found.len() && right.iter().zip(found).all(|(right, found)| fits(right, found))
        }
        (Value::Object(right), Value::Object(found)) => {
            right.len() == found.len()
                && right
                    .iter()
                    .zip(found)
                    .all(|((key, right), (other, found))| key == other && fits(right, found))
        }
        _ => right == found,
    }
}

/// Whether a text is what it should be, with any words in some places.
fn fits_text(right: &str, found: &str) -> bool {
    let mut parts = right.split(UNTOLD);
    let mut rest = parts.next().and_then(|first| found.strip_prefix(first));
    let last = parts.next_back().unwrap_or_default();
    for part in parts {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some_and(|rest| rest.ends_with(last))
}
