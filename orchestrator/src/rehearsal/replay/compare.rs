//! What is otherwise in one course of a run than in another.

use std::collections::BTreeSet;
use std::fmt;

use mesh_bus::RunOutcome;
use mesh_schemas::TaskId;
use mesh_schemas::difference::{Difference, Exactness, differences};
use serde::Serialize;
use serde_json::{Value, json};

use crate::rehearsal::{Course, TaskCourse, Work, outcome_name};

/// Characters of data that a sentence shows.
const SHOWN: usize = 80;

/// Something that would be otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What it is about.
    pub what: Aspect,
    /// The task, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Where in the data, for an input or output: `.status`; empty for the whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// What it was; absent if there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<Value>,
    /// What it would be; absent if there would be nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<Value>,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// How a task ends, or whether there is such a task at all.
    Status,
    /// How many times an agent is asked.
    Attempts,
    /// Which capability is asked for.
    Agent,
    /// What the agent is to do.
    Action,
    /// What the agent is given.
    Input,
    /// How the run ends.
    Outcome,
    /// The code of the error that the run fails with.
    ErrorCode,
    /// The task that the run fails with.
    FailedTask,
    /// What the run returns.
    Output,
    /// Why the run would not even begin.
    Rejection,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.task {
            write!(f, "task '{task}'")?;
        } else {
            f.write_str("the run")?;
        }
        let what = match self.what {
            Aspect::Rejection => {
                let reasons = self.would_be.as_ref().and_then(Value::as_str).unwrap_or_default();
                return write!(f, " would be rejected: {reasons}");
            }
            Aspect::Status | Aspect::Outcome => "",
            Aspect::Attempts => ": attempts",
            Aspect::Agent => ": agent",
            Aspect::Action => ": action",
            Aspect::Input => ": input",
            Aspect::ErrorCode => ": error code",
            Aspect::FailedTask => ": task that failed",
            Aspect::Output => ": output",
        };
        let (was, would_be) = (told(self.was.as_ref()), told(self.would_be.as_ref()));
        write!(f, "{what}{} was {was}, would be {would_be}", self.place)
    }
}

/// Data in a sentence; words stand without quotes.
fn told(value: Option<&Value>) -> String {
    let text = match value {
        None => return "not there".to_owned(),
        Some(Value::String(text))
            if text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) && !text.is_empty() =>
        {
            text.clone()
        }
        Some(value) => value.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What would be otherwise, as far as the second course is known.
pub(super) fn courses(was: &Course, would_be: &Course) -> Vec<Change> {
    let mut changes = Vec::new();
    let ids: BTreeSet<&TaskId> = was.tasks.keys().chain(would_be.tasks.keys()).collect();
    for id in ids {
        let of = |course: &Course| course.tasks.get(id).cloned();
        task(id, of(was).as_ref(), of(would_be).as_ref(), &mut changes);
    }
    if let Some(end) = &would_be.outcome {
        changes.extend(outcome(was, end));
    }
    changes
}

/// What would be otherwise about the end of a run.
pub(super) fn outcome(was: &Course, would_be: &RunOutcome) -> Vec<Change> {
    let change = |what, was: Value, would_be: Value| {
        let there = |value: Value| Some(value).filter(|value| !value.is_null());
        Change { what, task: None, place: String::new(), was: there(was), would_be: there(would_be) }
    };
    let changes = match (&was.outcome, would_be) {
        (Some(RunOutcome::Completed(was)), RunOutcome::Completed(would_be)) => {
            let differences = differences(&was.output, &would_be.output, Exactness::Equal).into_iter();
            let output = |difference: Difference| Change {
                what: Aspect::Output,
                task: None,
                place: difference.place,
                was: difference.expected,
                would_be: difference.found,
            };
            return differences.map(output).collect();
        }
        // Messages may name a time limit that was changed; code and task say what it is.
        (Some(RunOutcome::Failed(was)), RunOutcome::Failed(would_be)) => vec![
            change(Aspect::ErrorCode, json!(was.error.code), json!(would_be.error.code)),
            change(Aspect::FailedTask, json!(was.task), json!(would_be.task)),
        ],
        (was, RunOutcome::Rejected(rejected)) => vec![
            change(Aspect::Outcome, ended(was.as_ref()), json!("rejected")),
            change(Aspect::Rejection, Value::Null, json!(rejected.reasons.join("; "))),
        ],
        (was, would_be) => vec![change(Aspect::Outcome, ended(was.as_ref()), ended(Some(would_be)))],
    };
    changes.into_iter().filter(|change| change.was != change.would_be).collect()
}

fn ended(outcome: Option<&RunOutcome>) -> Value {
    outcome.map_or(Value::Null, |outcome| json!(outcome_name(outcome)))
}

fn task(id: &TaskId, was: Option<&TaskCourse>, would_be: Option<&TaskCourse>, changes: &mut Vec<Change>) {
    let mut change = |what, place: String, was: Option<Value>, would_be: Option<Value>| {
        changes.push(Change { what, task: Some(id.clone()), place, was, would_be });
    };
    let status = |task: &TaskCourse| Some(json!(task.status));
    match (was, would_be) {
        (Some(was), Some(would_be)) => {
            // Of a task that goes on when the replay stops, only that it began is known.
            let is_known = would_be.has_ended() || (!was.is_run() && would_be.is_run());
            if is_known && was.status != would_be.status {
                change(Aspect::Status, String::new(), status(was), status(would_be));
            }
            if let (Some(first), Some(other)) = (was.attempts.first(), would_be.attempts.first()) {
                let (before, now) = (was.attempts.len(), would_be.attempts.len());
                if now > before || (would_be.has_ended() && now != before) {
                    change(Aspect::Attempts, String::new(), Some(json!(before)), Some(json!(now)));
                }
                given(first, other, change);
            }
        }
        // A task that is only in one definition makes no difference to a run that goes past it.
        (Some(was), None) if was.is_run() => change(Aspect::Status, String::new(), status(was), None),
        (None, Some(would_be)) if would_be.is_run() => {
            change(Aspect::Status, String::new(), None, status(would_be));
        }
        _ => {}
    }
}

/// What is otherwise in what an agent is given.
fn given(was: &Work, would_be: &Work, mut change: impl FnMut(Aspect, String, Option<Value>, Option<Value>)) {
    if was.key.capability != would_be.key.capability {
        let agent = |work: &Work| Some(json!(work.key.capability));
        change(Aspect::Agent, String::new(), agent(was), agent(would_be));
    }
    if was.created.action != would_be.created.action {
        let action = |work: &Work| work.created.action.clone().map(Value::from);
        change(Aspect::Action, String::new(), action(was), action(would_be));
    }
    for difference in differences(&was.created.input, &would_be.created.input, Exactness::Equal) {
        change(Aspect::Input, difference.place, difference.expected, difference.found);
    }
}

impl TaskCourse {
    /// Whether an agent was asked, or could not be because what it is to be given cannot be made.
    fn is_run(&self) -> bool {
        !self.attempts.is_empty() || self.status == "failed"
    }
}
