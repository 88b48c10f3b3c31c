//! What runs begin with is what was asked for.

use mesh_schemas::TaskId;
use mesh_schemas::payload::WorkflowStarted;
use serde_json::Value;

use super::Observer;
use super::record::{Origin, Record, is_started, read};
use crate::interpreter::{fits_taken_over, interpret, taken_over};

/// Each run begins with what was asked for, whoever did that; one that does another one again takes over what went well there, or is
/// refused as nothing is left to do.
pub(super) fn judge(observer: &Observer) -> Result<(), String> {
    observer.records.values().try_for_each(|record| {
        let judged = match (started(observer, record)?, &record.origin) {
            (None, Origin::Again(place)) => is_refused(observer, record, *place),
            (None, _) | (_, Origin::Nowhere) => Ok(()),
            (Some(started), Origin::Asked(place)) => asked(observer, &started, *place),
            (Some(started), Origin::Called(key)) => {
                let around = &observer.records[&key.run].found.called;
                let called = around.get(&(key.task.clone(), key.attempt));
                let (_, (_, call)) = called.ok_or("a run that nobody has called")?;
                same("the task", started.parent.as_ref(), Some(&call.parent))?;
                same("the input", &started.input, &call.input)
            }
            (Some(started), Origin::Again(place)) => again(observer, &started, *place),
        };
        judged
            .and_then(|()| has_its_digest(observer, record))
            .map_err(|wrong| format!("{wrong}\n{}", record.told()))
    })
}

/// What stands in the beginning of a run, if it has begun.
fn started(observer: &Observer, record: &Record) -> Result<Option<WorkflowStarted>, String> {
    let event = record.log.iter().find(|event| is_started(&observer.namespace, event));
    event.map(|event| read(event).map(|(_, started)| started)).transpose()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should_be: T) -> Result<(), String> {
    if is == should_be {
        Ok(())
    } else {
        Err(format!("{what} of a run is {is:?}, and should be {should_be:?}"))
    }
}

fn asked(observer: &Observer, started: &WorkflowStarted, place: usize) -> Result<(), String> {
    let run = &observer.workload.runs[place];
    if !run.sent.iter().any(|sending| sending.input == started.input) {
        return Err(format!("nobody has asked for {}", started.input));
    }
    same("the task", &started.parent, &None)?;
    same("what is taken over", &started.taken_over, &None)?;
    let named: Vec<TaskId> = run.pause_before.iter().cloned().collect();
    same("what it stops before", &started.pause_before, &named)
}

fn has_its_digest(observer: &Observer, record: &Record) -> Result<(), String> {
    let named = observer.workflow(record).filter(|workflow| workflow.name.is_some());
    let Some((started, workflow)) = started(observer, record)?.zip(named) else { return Ok(()) };
    same("the version", started.digest, workflow.digest())
}

/// What a run takes over that does another one again, by the log of that one; none if nothing is to be done again.
fn expected(observer: &Observer, place: usize) -> Result<Option<crate::interpreter::Taken>, String> {
    let run = &observer.workload.runs[place];
    let workflow = observer.workload.workflow(run).ok_or("a run without a workflow")?;
    let other = &observer.records[&run.id(observer.shards)];
    let follows = interpret(&observer.namespace, &workflow, &other.log).ok_or("it never started")?;
    let from: Vec<TaskId> = run.again.iter().flat_map(|again| again.from.iter().cloned()).collect();
    Ok(taken_over(&workflow, &follows.kept, &from))
}

fn is_refused(observer: &Observer, record: &Record, place: usize) -> Result<(), String> {
    match expected(observer, place)? {
        None if record.is_refused => Ok(()),
        expected => Err(format!("a run is not done again that should take over {expected:?}")),
    }
}

fn again(observer: &Observer, started: &WorkflowStarted, place: usize) -> Result<(), String> {
    let run = &observer.workload.runs[place];
    let other = &observer.records[&run.id(observer.shards)];
    let before = self::started(observer, other)?.ok_or("it never started")?;
    let wanted = run.again.as_ref().map_or(&Value::Null, |again| &again.input);
    same("the input", &started.input, if wanted.is_null() { &before.input } else { wanted })?;
    same("the task", &started.parent, &None)?;
    let (expected, taken) = (expected(observer, place)?, &started.taken_over);
    let is_right = match (&expected, taken) {
        (Some(expected), Some(taken)) => {
            taken.run == run.id(observer.shards) && fits_taken_over(expected, taken)
        }
        _ => false,
    };
    if is_right {
        return Ok(());
    }
    Err(format!("a run takes over {taken:?}, and should take over {expected:?}\n{}", other.told()))
}
