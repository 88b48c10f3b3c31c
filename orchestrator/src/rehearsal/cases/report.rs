use std::collections::BTreeMap;

use mesh_bus::RunOutcome;
use mesh_schemas::TaskId;
use mesh_schemas::document::Position;
use mesh_schemas::payload::RunError;
use serde::Serialize;
use serde_json::Value;

use crate::rehearsal::{Course, outcome_name};

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// The line of the file, from 1, that it begins in.
    pub line: Option<usize>,
    /// Whether everything was as expected.
    pub passed: bool,
    /// What was not.
    pub findings: Vec<Finding>,
    /// How the run went.
    pub run: Summary,
}

/// Something that was not as expected, or is missing in the case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Line of the expectation, from 1.
    pub line: Option<usize>,
    /// Its column, from 1.
    pub column: Option<usize>,
    /// Where in the case: `expect.tasks.risk.status`.
    pub path: String,
    /// What was expected and what was there, or how to mend the case.
    pub message: String,
    /// What was expected; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// What was there; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Value>,
}

/// How the run of a case went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// `completed`, `failed`, `cancelled`, `rejected`; `unfinished` if the case does not say how it goes on.
    pub outcome: &'static str,
    /// What it returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The task that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Milliseconds from start to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Its tasks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<TaskId, TaskSummary>,
}

/// How a task of a case went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskSummary {
    /// How it stands in the end.
    pub status: &'static str,
    /// How many times an agent was asked.
    pub attempts: usize,
}

impl Finding {
    pub(super) fn new(position: Option<Position>, path: &str, message: impl Into<String>) -> Self {
        Self {
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            path: path.to_owned(),
            message: message.into(),
            expected: None,
            found: None,
        }
    }

    pub(super) fn with(mut self, expected: Option<Value>, found: Option<Value>) -> Self {
        (self.expected, self.found) = (expected, found);
        self
    }
}

impl Summary {
    /// How a run went, or that its request was rejected.
    pub(super) fn new(outcome: Option<&RunOutcome>, course: Option<&Course>) -> Self {
        let tasks = course.into_iter().flat_map(|course| &course.tasks);
        let tasks = tasks.map(|(id, task)| {
            (id.clone(), TaskSummary { status: task.status, attempts: task.attempts.len() })
        });
        let took = course.and_then(|course| course.took);
        let mut summary = Self {
            outcome: outcome.map_or("unfinished", outcome_name),
            output: None,
            error: None,
            task: None,
            reason: None,
            reasons: Vec::new(),
            took_ms: took.map(|took| u64::try_from(took.num_milliseconds()).unwrap_or_default()),
            tasks: tasks.collect(),
        };
        match outcome {
            Some(RunOutcome::Completed(completed)) => summary.output = Some(completed.output.clone()),
            Some(RunOutcome::Failed(failed)) => {
                (summary.error, summary.task) = (Some(failed.error.clone()), failed.task.clone());
            }
            Some(RunOutcome::Cancelled(cancelled)) => summary.reason.clone_from(&cancelled.reason),
            Some(RunOutcome::Rejected(rejected)) => {
                let (code, message) = (rejected.code.clone(), rejected.reasons.join("; "));
                summary.error = Some(RunError { code, message });
                summary.reasons.clone_from(&rejected.reasons);
            }
            None => {}
        }
        summary
    }
}
