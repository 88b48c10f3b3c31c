//! What runs take over from those that they do again.

use mesh_schemas::TaskId;
use mesh_schemas::payload::WorkflowStarted;
use serde_json::Value;

use super::Observer;
use super::record::{Origin, Record, is_started, read};
use crate::interpreter::{fits, interpret, taken_over};

/// Each takes over what went well, by the log of the other, or is refused as nothing is left to do.
pub(super) fn judge(observer: &Observer) -> Result<(), String> {
    observer.records.values().try_for_each(|record| match record.origin {
        Origin::Again(place) => of_one(observer, record, place),
        _ => Ok(()),
    })
}

fn of_one(observer: &Observer, record: &Record, place: usize) -> Result<(), String> {
    let run = &observer.workload.runs[place];
    let Some((again, workflow)) = run.again.as_ref().zip(observer.workload.workflow(run)) else {
        return Ok(());
    };
    let other = &observer.records[&run.id(observer.shards)];
    let follows = interpret(&observer.namespace, &workflow, &other.log).ok_or("it never started")?;
    let from: Vec<TaskId> = again.from.iter().cloned().collect();
    let expected = taken_over(&workflow, &follows.kept, &from);
    let wrong = |why: &str| Err(format!("{why}: {expected:?}\n{}\n{}", other.told(), record.told()));
    let (tasks, skipped) = match &expected {
        None if record.is_refused => return Ok(()),
        None => return wrong("everything went well, and it is done again"),
        Some(_) if record.is_refused => return wrong("it is not done again"),
        Some(expected) => expected,
    };
    let begun = record.log.iter().find(|event| is_started(&observer.namespace, event));
    let (_, started) =
        read::<WorkflowStarted>(begun.ok_or("a run did not begin that does another one again")?)?;
    let first = other.log.iter().find(|event| is_started(&observer.namespace, event));
    let (_, before) = read::<WorkflowStarted>(first.ok_or("it never started")?)?;
    let input: &Value = if again.input.is_null() { &before.input } else { &again.input };
    let Some(taken) = &started.taken_over else { return wrong("it takes over nothing") };
    let is_right = taken.run == run.id(observer.shards)
        && taken.skipped == *skipped
        && taken.tasks.keys().eq(tasks.keys())
        && taken.tasks.values().zip(tasks.values()).all(|(taken, output)| fits(output, &taken.output));
    if is_right && started.input == *input && started.digest == before.digest {
        return Ok(());
    }
    wrong("it takes over something else")
}
