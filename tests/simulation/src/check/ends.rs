//! What was decided is what follows from the log, by the independent interpreter.

use std::time::Duration;

use mesh_schemas::{Namespace, Subject, TaskId, TaskVerb, Timer};

use super::record::{Record, is_started};
use crate::interpreter::{Expected, Report, interpret};
use crate::storm::Storm;
use crate::workload::Workflow;

/// What follows from the log; an error if anything else was decided.
pub(super) fn judge(
    namespace: &Namespace,
    workflow: &Workflow,
    record: &Record,
    storm: &Storm,
) -> Result<Expected, String> {
    let follows = interpret(namespace, workflow, &record.log).ok_or_else(|| "it never started".to_owned())?;
    let mut expected = follows.clone();
    // Where an agent or a run was quicker to report a failure, there is nothing to give up any more.
    expected.given_up.retain(|(task, attempt), _| {
        record.found.given_up.contains_key(&(task.clone(), *attempt))
            || !record.log.iter().any(|event| {
                matches!(
                    Subject::parse(namespace, &event.message.subject),
                    Ok(Subject::Task { verb: TaskVerb::Failed, key }) if key.task == *task && key.attempt == *attempt
                )
            })
    });
    // Nor is there anything to report where the failure is there already.
    expected.report.take_if(|report| record.is_given_up && matches!(report.what, Report::Failed { .. }));
    // Whoever read the run only when it was over had no use for what was open then. Where nothing goes wrong, nobody does;
    // but several who begin at once may each take another for the one who follows a shard, and notice late, and where ended
    // runs have no grace, a run is read when it begins, as it may have been archived. A signal that came before its run has it
    // read when it comes again, too.
    let none_reads = storm.is_calm()
        && storm.orchestrators == 1
        && storm.grace > Duration::from_secs(1)
        && record.log.first().is_some_and(|first| is_started(namespace, first));
    if expected.end.is_some() && !none_reads {
        let (found, given_up) = (&record.found, &expected.given_up);
        expected.created.retain(|key, _| found.created.contains_key(key) || !given_up.contains_key(key));
        expected.called.retain(|key, _| found.called.contains_key(key) || !given_up.contains_key(key));
        expected.timers.retain(|timer, _| found.timers.contains_key(timer));
        expected.routed.retain(|task, _| found.routed.contains_key(task));
        // Nor for a pause that was over.
        expected.paused.retain(|number, _| found.paused.contains_key(number));
        expected.resumed.retain(|number, _| found.resumed.contains_key(number));
    }
    // A deadline is set when a run goes on for a while.
    if expected.end.is_some() {
        expected
            .timers
            .retain(|timer, _| *timer != Timer::Deadline || record.found.timers.contains_key(timer));
    }
    let differences = expected.differences(&record.log, &record.found);
    if !differences.is_empty() {
        return Err(differences.join("\n"));
    }
    nothing_came_early(&expected, record)?;
    early_signals_count(namespace, record)?;
    strays_are_told(namespace, record, &expected)?;
    Ok(follows)
}

/// An outcome of an attempt that the run never had was put aside; one that came after the end of the run may be in its
/// history instead, among what came late. What comes for a part of a task that is over, or soon will be, may be no more than
/// late, too.
fn strays_are_told(namespace: &Namespace, record: &Record, expected: &Expected) -> Result<(), String> {
    let is_part = |task: &TaskId| {
        let mut over = expected.over.keys().map(TaskId::as_str);
        over.any(|over| {
            task.as_str().strip_prefix(over).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
    };
    let upto = if record.found.end.is_some() { record.when.end } else { record.log.len() };
    record.log.iter().take(upto).try_for_each(|event| {
        let subject = &event.message.subject;
        match Subject::parse(namespace, subject) {
            Ok(Subject::Task { key, .. })
                if !record.has(&key) && !record.put_aside.contains(subject) && !is_part(&key.task) =>
            {
                Err(format!("{subject} is of an attempt that never was, and nobody is told"))
            }
            _ => Ok(()),
        }
    })
}

/// Each decision was stored after the event that it follows from.
fn nothing_came_early(expected: &Expected, record: &Record) -> Result<(), String> {
    let when = &record.when;
    let early = |what: String, at: usize, stored: Option<&usize>| match stored {
        Some(stored) if *stored <= at => {
            Err(format!("{what} was stored after {stored} events, and follows from event {at}"))
        }
        _ => Ok(()),
    };
    for (key, decided) in &expected.created {
        early(format!("task {key:?}"), decided.at, when.created.get(key))?;
    }
    for (key, decided) in &expected.called {
        early(format!("the run of {key:?}"), decided.at, when.called.get(key))?;
    }
    for (timer, decided) in &expected.timers {
        early(format!("timer {timer}"), decided.at, when.timers.get(timer))?;
    }
    for (key, decided) in &expected.given_up {
        early(format!("giving up {key:?}"), decided.at, when.given_up.get(key))?;
    }
    expected.end.as_ref().map_or(Ok(()), |end| early("the end".to_owned(), end.at, Some(&when.end)))
}

/// A signal that came before its run began was sent again, or put aside.
fn early_signals_count(namespace: &Namespace, record: &Record) -> Result<(), String> {
    let early = record.log.iter().take_while(|event| !is_started(namespace, event));
    for signal in early {
        let again = format!(".resent-{}", signal.sequence);
        let subject = &signal.message.subject;
        let is_there = record.put_aside.contains(subject)
            || record.log.iter().any(|event| event.message.subject.ends_with(&again));
        if !is_there {
            return Err(format!("{subject} came before the run began, and is lost"));
        }
    }
    Ok(())
}
