use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an orchestrator tells of itself to whoever looks at the services of the namespace (`nats micro stats`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrchestratorReport {
    /// The newest rules by which it can follow runs.
    pub rules: u32,
    /// The shards whose events it asks for, each with the pinning by which it was given the last one, if any.
    pub shards: BTreeMap<u32, Option<String>>,
    /// Shards that it would rather leave to others: it does not understand all that is in them, or cannot have them.
    pub leaves: BTreeSet<u32>,
    /// Whether it is about to stop.
    pub stopping: bool,
    /// Ended runs that it cannot archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unarchived: Option<Untidy>,
    /// Archived runs that it cannot forget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unforgotten: Option<Untidy>,
    /// Whether requests wait, as those before them have taken their part of the room that is left in the log.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub slowing: bool,
    /// What is wrong with it, in words, one thing each.
    pub problems: Vec<String>,
}

/// Runs that could not be tidied up when it was tried last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Untidy {
    /// How many.
    pub runs: usize,
    /// What was in the way of one of them.
    pub error: String,
}

impl OrchestratorReport {
    /// Reads what an instance of the service reports; of one that says it in another way, nothing is known.
    #[must_use]
    pub fn read(report: Value) -> Self {
        serde_json::from_value(report).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_others_are_of_nobody() {
        let report = OrchestratorReport {
            rules: 3,
            shards: [(0, Some("p".to_owned())), (11, None)].into(),
            leaves: [4].into(),
            stopping: true,
            unarchived: Some(Untidy { runs: 2, error: "no".to_owned() }),
            unforgotten: None,
            slowing: true,
            problems: vec!["something".to_owned()],
        };
        let written = serde_json::to_value(&report).expect("JSON");
        assert_eq!(OrchestratorReport::read(written), report);
        assert_eq!(OrchestratorReport::read(Value::Null), OrchestratorReport::default());
    }
}
