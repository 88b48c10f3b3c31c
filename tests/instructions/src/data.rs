//! What the scenarios share: names of a run, and data of a size.

use chrono::{DateTime, Utc};
use mesh_core::{Event, Fact};
use mesh_schemas::payload::TaskCompleted;
use mesh_schemas::{Attempt, Capability, Lane, RequestId, RunId, Shards, TaskId, TaskKey};
use serde_json::{Value, json};

/// Whom all tasks are for.
pub(crate) const AGENT: &str = "worker";
/// The workflow of all runs.
pub(crate) const WORKFLOW: &str = "counted";

/// The request that the run began with.
pub(crate) fn request() -> RequestId {
    RequestId { source: "/instructions".to_owned(), id: "1".to_owned() }
}

/// The run.
pub(crate) fn run() -> RunId {
    RunId::for_request(&format!("workflow.{WORKFLOW}"), &request(), Shards::default())
}

/// The first attempt of a task.
pub(crate) fn key(task: &str) -> TaskKey {
    TaskKey {
        capability: Capability::new(AGENT).expect("a capability"),
        lane: Lane::Normal,
        run: run(),
        task: TaskId::new(task).expect("a task"),
        attempt: Attempt::FIRST,
    }
}

/// When everything happens.
pub(crate) fn time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_750_000_000, 0).expect("a time")
}

/// An event of the run.
pub(crate) fn event(sequence: usize, fact: Fact) -> Event {
    let id = format!("mesh.event.{sequence}");
    Event { run: run(), id, sequence: sequence as u64, time: time(), fact, defect: None }
}

/// The outcome of a task.
pub(crate) fn completed(sequence: usize, key: TaskKey, output: Value) -> Event {
    let outcome = TaskCompleted { output, quality: None, usage: None, agent: None };
    event(sequence, Fact::Completed(key, Box::new(outcome)))
}

/// A list of records, whose JSON has this many bytes.
pub(crate) fn records(bytes: usize) -> Value {
    let mut records = Vec::new();
    let mut used = "[]".len();
    loop {
        let number = records.len();
        let record = json!({
            "id": format!("order-{number:05}"),
            "amount": f64::from(u16::try_from(number).expect("few records")) + 0.25,
            "paid": number % 2 == 0,
            "tags": ["new", "a \"quoted\" word", number],
        });
        let more = record.to_string().len() + ",".len();
        // What is left is filled with a text: its quotes count.
        if used + more + 2 > bytes {
            records.push(Value::from("x".repeat(bytes - used - 2)));
            let records = Value::Array(records);
            assert_eq!(records.to_string().len(), bytes);
            return records;
        }
        used += more;
        records.push(record);
    }
}
