//! Cases of a workflow: what goes in, what agents answer, and what is expected. `mesh workflow test` plays them.

mod expect;
mod judge;
mod mock;
mod play;
mod read;
mod report;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_schemas::TaskId;
use mesh_schemas::definition::Span;
use mesh_schemas::document::{Position, Positions};
use serde_json::{Map, Value};

pub use expect::{Ending, Expectation, ExpectedTask, ExpectedValue, Took};
pub use mock::{Answers, Mock};
pub use play::test;
pub use report::{CaseReport, Finding, Summary, TaskSummary};

/// The cases of a file, and where their parts stand in it.
#[derive(Debug, Clone)]
pub struct Cases {
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
    positions: Positions,
}

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name; no other case of the file has it.
    pub name: String,
    /// Input of the run.
    pub input: Value,
    /// What takes the place of values of the workflow's `config`.
    pub config: Option<Map<String, Value>>,
    /// What agents answer, by task: those of the case and, for other tasks, those of the file.
    pub mocks: BTreeMap<TaskId, Answers>,
    /// What happens from outside.
    pub events: Vec<Signal>,
    /// When the run starts; expressions see it as `run.started_at`.
    pub started_at: DateTime<Utc>,
    /// What the requester calls the whole piece of work.
    pub correlation_id: Option<String>,
    /// What is expected.
    pub expect: Expectation,
    /// Its path in the document: `cases[0]`.
    path: String,
}

/// A signal that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// How long after the start of the run.
    pub after: Span,
    /// Which.
    pub kind: SignalKind,
}

/// Which signal a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalKind {
    /// The run is to end, with or without a reason.
    Cancel(Option<String>),
    /// The run is to be looked at again.
    Check,
}

impl Case {
    /// The path of a part of the case.
    fn at(&self, part: &str) -> String {
        format!("{}.{part}", self.path)
    }
}

impl Cases {
    /// Where a case stands in the text.
    #[must_use]
    pub fn position(&self, case: &Case) -> Option<Position> {
        self.positions.of(&case.path)
    }
}

#[cfg(test)]
mod tests;
