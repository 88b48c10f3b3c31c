//! What can be said of an outcome by reading it.

use mesh_schemas::payload::{TaskCompleted, TaskFailed};
use mesh_schemas::{Decoded, Envelope, TaskVerb, TraceContext};
use serde::Deserialize as _;

use crate::commands::agent::check::bench::{self, CORRELATION, Outcome, SETTLE, Stage, TRACEPARENT, Task};
use crate::commands::agent::check::report::{Findings, Verdict};
use crate::commands::agent::check::rule::Rule;

/// Judges everything about an outcome but what it says of the work.
pub(super) fn form(findings: &mut Findings, task: &Task, outcome: &Outcome) {
    let decoded = match outcome.decoded() {
        Ok(decoded) => decoded,
        Err(error) => {
            findings.broken(Rule::OutcomeReadable, error);
            return;
        }
    };
    findings.judge(Rule::OutcomeReadable, data(outcome.verb, &decoded));
    match decoded.envelope() {
        Some(event) => {
            findings.judge(Rule::OutcomeIdentity, identity(outcome, event));
            findings.judge(Rule::OutcomeLinked, links(task, outcome, event));
        }
        None => {
            let bare = "the outcome is bare JSON: all this comes from its subject";
            findings.note(Rule::OutcomeIdentity, Verdict::Untried(bare.to_owned()));
            findings.note(Rule::OutcomeLinked, Verdict::Untried(bare.to_owned()));
        }
    }
}

/// Judges the data of an outcome.
fn data(verb: TaskVerb, decoded: &Decoded) -> Result<(), String> {
    let read = match verb {
        TaskVerb::Completed => TaskCompleted::deserialize(decoded.data()).map(drop),
        _ => TaskFailed::deserialize(decoded.data()).map(drop),
    };
    read.map_err(|error| format!("the data of task.{verb} is wrong: {error}"))
}

fn identity(outcome: &Outcome, event: &Envelope) -> Result<(), String> {
    let (subject, type_) = (&outcome.stored.message.subject, format!("task.{}", outcome.verb));
    if event.id != *subject {
        return Err(format!("its id is {:?}", event.id));
    }
    if event.type_ != type_ {
        return Err(format!("its type is {:?}, not {type_:?}", event.type_));
    }
    Ok(())
}

fn links(task: &Task, outcome: &Outcome, event: &Envelope) -> Result<(), String> {
    let created = task.subject(TaskVerb::Created);
    let header = outcome.stored.message.headers.get(TraceContext::TRACEPARENT);
    let mut wrong = Vec::new();
    let mut expect = |what: &str, found: Option<&str>, expected: &str| {
        if found != Some(expected) {
            wrong.push(match found {
                Some(found) => format!("{what} is {found:?}, not {expected:?}"),
                None => format!("{what} is missing"),
            });
        }
    };
    expect("correlationid", event.correlationid.as_deref(), CORRELATION);
    expect("causationid", event.causationid.as_deref(), &created);
    expect("traceparent", event.traceparent.as_deref(), TRACEPARENT);
    // The header is that of the sending hop: another span of the same trace.
    expect(
        "the trace of the header traceparent",
        header.and_then(trace_id),
        trace_id(TRACEPARENT).unwrap_or_default(),
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// The code of a failure that can be read.
pub(super) fn failure(outcome: &Outcome) -> Result<TaskFailed, String> {
    let decoded = outcome.decoded()?;
    TaskFailed::deserialize(decoded.data())
        .map_err(|error| format!("the data of task.failed is wrong: {error}"))
}

/// What an outcome says, for people.
pub(super) fn tell(outcome: &Outcome) -> String {
    match (outcome.verb, failure(outcome)) {
        (TaskVerb::Failed, Ok(failed)) => {
            format!("it failed: {}: {}", failed.error.code, failed.error.message)
        }
        (verb, _) => format!("task.{verb} was stored"),
    }
}

/// Whether a task whose outcome is known is acknowledged, without another, and the agent goes on.
pub(super) async fn accepted(stage: &Stage<'_>, task: &Task) -> anyhow::Result<Result<(), String>> {
    if !stage.is_settled(task, SETTLE.max(stage.settings.timeout)).await {
        let found =
            if stage.has_ended() { stage.how_it_ended() } else { "it was not acknowledged".to_owned() };
        return Ok(Err(found));
    }
    // One that acknowledges first finds out afterwards that the outcome is there.
    let gone_on = stage.goes_on().await?;
    Ok(match stage.watch.look(|seen| bench::outcomes(seen, task)).first() {
        Some(outcome) => Err(format!("a second outcome was stored: {}", tell(outcome))),
        None => gone_on,
    })
}
