//! What runs and those that they have started tell each other.

use mesh_schemas::payload::{TaskCompleted, TaskError, TaskFailed, child_run, rejection};
use mesh_schemas::{Lane, Namespace, RunId, StoredMessage, Subject, TaskKey, TaskVerb, WorkflowVerb};
use serde_json::{Value, json};

use super::Observer;
use super::record::{Origin, Record, read};

/// The cause of an outcome, and what it says.
type Told = (String, Result<Value, TaskError>);

/// Gives to each run what is stored about it elsewhere: the cancels of runs that it has started, and what the task was told
/// that it was started for.
pub(super) fn connect(observer: &mut Observer) -> Result<(), String> {
    let mut cancelled = std::mem::take(&mut observer.cancelled);
    let runs: Vec<RunId> = observer.records.keys().copied().collect();
    for run in &runs {
        for key in calls(observer, *run) {
            let called = child_run(&observer.namespace, observer.shards, &key);
            if let (Some(cause), Some(record)) = (cancelled.remove(&called), observer.records.get_mut(run)) {
                record.found.uncalled.insert((key.task, key.attempt), (cause, ()));
            }
        }
    }
    if let Some((run, cause)) = cancelled.pop_first() {
        return Err(format!("run {run} was cancelled as by one that had started it, because of {cause}"));
    }
    runs.into_iter().try_for_each(|run| hear(observer, run))
}

/// The attempts of a run that are runs, or would have been.
fn calls(observer: &Observer, run: RunId) -> Vec<TaskKey> {
    let record = &observer.records[&run];
    let Some(workflow) = observer.workflow(record) else { return Vec::new() };
    let attempts = record.found.called.keys().chain(record.found.given_up.keys());
    let key = |(task, attempt): &(_, _)| {
        let work = workflow.work(task).filter(|work| work.call.is_some())?;
        let (task, capability) = (task.clone(), work.agent.clone());
        Some(TaskKey { capability, lane: Lane::Normal, run, task, attempt: *attempt })
    };
    attempts.filter_map(key).collect()
}

/// Finds what a run has told the task that it was started for.
fn hear(observer: &mut Observer, run: RunId) -> Result<(), String> {
    let record = &observer.records[&run];
    let Origin::Called(key) = record.origin.clone() else { return Ok(()) };
    let around = &observer.records[&key.run];
    let attempt = (key.task.clone(), key.attempt);
    let is_given_up = around.found.given_up.contains_key(&attempt);
    let waits = around.found.called.get(&attempt).is_some_and(|(_, (_, call))| call.parent.wait);
    let is_known = observer.workflow(record).is_some();
    let has_begun = record.has_begun(&observer.namespace);
    let (mut report, mut of_runs, mut is_told_beginning, mut is_over) = (None, Vec::new(), false, false);
    for event in around.outcomes(&observer.namespace, &key) {
        is_over = true;
        let Some((cause, outcome)) = told(&observer.namespace, event)? else { continue };
        let is_right = match &outcome {
            Err(_) if is_given_up => continue,
            Err(error) if !has_begun => {
                let called = around.found.called.get(&attempt).map(|(cause, _)| cause);
                !is_known && error.code == rejection::UNKNOWN_WORKFLOW && called == Some(&cause)
            }
            Ok(output) if has_begun && !waits => {
                is_told_beginning = true;
                is_beginning(observer, &cause, run) && *output == json!({ "run": run })
            }
            _ => has_begun && waits && record.log.iter().any(|event| event.message.subject == cause),
        };
        if !is_right {
            return Err(format!("{} follows from {cause}: {outcome:?}", event.message.subject));
        }
        of_runs.push(event.message.subject.clone());
        if waits
            && has_begun
            && let Some((_, other)) = report.replace((cause, outcome))
        {
            return Err(format!("run {run} has told its task something else, too: {other:?}"));
        }
    }
    if has_begun && !waits && !is_told_beginning || !has_begun && !is_over {
        return Err(format!("nobody says what became of run {run}"));
    }
    if let Some(record) = observer.records.get_mut(&run) {
        (record.found.report, record.is_given_up) = (report, is_given_up);
    }
    observer
        .records
        .get_mut(&key.run)
        .into_iter()
        .for_each(|around: &mut Record| around.of_runs.extend(of_runs.iter().cloned()));
    Ok(())
}

fn is_beginning(observer: &Observer, id: &str, of: RunId) -> bool {
    let subject = Subject::parse(&observer.namespace, id);
    matches!(subject, Ok(Subject::Workflow { verb: WorkflowVerb::Started, run, .. }) if run == of)
}

/// What an outcome says; none if an agent says it, who can only be one that contradicts.
fn told(namespace: &Namespace, event: &StoredMessage) -> Result<Option<Told>, String> {
    Ok(match Subject::parse(namespace, &event.message.subject) {
        Ok(Subject::Task { verb: TaskVerb::Completed, .. }) => {
            let (cause, data) = read::<TaskCompleted>(event)?;
            data.agent.is_none().then_some((cause, Ok(data.output)))
        }
        _ => {
            let (cause, data) = read::<TaskFailed>(event)?;
            data.agent.is_none().then_some((cause, Err(data.error)))
        }
    })
}
