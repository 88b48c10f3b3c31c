use std::collections::BTreeMap;
use std::fmt::Debug;

use chrono::{DateTime, Utc};
use mesh_schemas::payload::{
    Parent, TaskCreated, TaskError, TaskRouted, WorkflowCalled, WorkflowCancelled, WorkflowCompleted,
    WorkflowFailed, WorkflowPaused,
};
use mesh_schemas::{Attempt, StoredMessage, TaskId, Timer, WorkflowName};

use super::expected::{Called, Decided, End, Ended, Expected, Pause, Report, Route, UNTOLD, Wait, Work};
use serde_json::Value;

/// What an orchestrator has decided about a run: of each decision the id of the event that it says to follow from, and the
/// data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The attempts that were created.
    pub created: BTreeMap<(TaskId, Attempt), (String, TaskCreated)>,
    /// The runs that were asked for.
    pub called: BTreeMap<(TaskId, Attempt), (String, (WorkflowName, WorkflowCalled))>,
    /// Those of them that were cancelled.
    pub uncalled: BTreeMap<(TaskId, Attempt), (String, ())>,
    /// What the task was told that the run was started for.
    pub report: Option<(String, Result<Value, TaskError>)>,
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
        all.compare("called", &self.called, &found.called, is_call);
        all.compare("uncalled", &self.uncalled, &found.uncalled, |(), ()| true);
        all.compare("report", &place(self.report.clone()), &place(found.report.clone()), is_report);
        all.compare("timer", &self.timers, &found.timers, |wait: &Wait, due| wait.admits(*due));
        all.compare("given up", &self.given_up, &found.given_up, |code, error: &TaskError| {
            error.code == *code && !error.retryable && error.retry_after.is_none()
        });
        all.compare("choice", &self.routed, &found.routed, is_route);
        all.compare("pause", &self.paused, &found.paused, is_pause);
        all.compare("end of pause", &self.resumed, &found.resumed, |(), ()| true);
        all.compare("end", &place(self.end.clone()), &place(found.end.clone()), is_end);
        all.told
    }
}

/// What there is one of at most, as something that there may be several of.
fn place<T>(one: Option<T>) -> BTreeMap<(), T> {
    one.into_iter().map(|one| ((), one)).collect()
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

fn is_call(call: &Called, (name, found): &(WorkflowName, WorkflowCalled)) -> bool {
    let Called { workflow, input, depth, wait, version, deadline } = call;
    let Parent {
        depth: found_depth, wait: found_wait, version: found_version, deadline: found_deadline, ..
    } = &found.parent;
    workflow == name.as_str()
        && fits(input, &found.input)
        && *depth == u64::from(*found_depth)
        && wait == found_wait
        && version == found_version
        && deadline == found_deadline
}

fn is_report(report: &Report, found: &Result<Value, TaskError>) -> bool {
    match (report, found) {
        (Report::Completed(output), Ok(found)) => fits(output, found),
        (Report::Failed { code, retryable }, Err(error)) => {
            *code == error.code && *retryable == error.retryable && error.retry_after.is_none()
        }
        _ => false,
    }
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
        (End::Failed { code, task, .. }, FoundEnd::Failed(data)) => {
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
pub(super) fn fits(right: &Value, found: &Value) -> bool {
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
