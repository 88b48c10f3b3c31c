//! Decisions as messages. Everything in a message but the trace of its hop is a function of the log, so that
//! orchestrators that decide the same write the same.

use chrono::{DateTime, Utc};
use mesh_bus::Publish;
use mesh_core::{Action, Child, Decision, End, Header};
use mesh_schemas::payload::{
    CancelSignal, TaskCompleted, TaskError, TaskFailed, TaskRouted, TimerFired, WorkflowCalled,
    WorkflowCheckpointed, WorkflowResumed, WorkflowStarted, child_run, parent_signal,
};
use mesh_schemas::{
    Attempt, Frame, Message, Namespace, PauseVerb, RunId, Shards, SignalId, Subject, TaskId, TaskKey,
    TaskVerb, Timer, TraceContext, WorkflowName, WorkflowVerb,
};
use serde::Serialize;
use serde_json::Value;

/// `source` of every event that an orchestrator writes.
#[must_use]
pub fn source(namespace: &Namespace) -> String {
    format!("/{namespace}/orchestrator")
}

/// The message that stores a decision, in a namespace with so many shards.
pub(crate) fn decision(
    namespace: &Namespace,
    shards: Shards,
    header: &Header,
    decision: &Decision,
    hop: Option<&TraceContext>,
) -> Publish {
    let run = header.run;
    let frame = frame(namespace, header, decision, hop);
    let life = |verb| Subject::Workflow { verb, workflow: header.workflow.clone(), run };
    match &decision.action {
        Action::Create(key, data) => Publish::once(message(&frame, &key.subject(TaskVerb::Created), data)),
        Action::Route(..) => unreachable!("a choice is made before it is written: see `routed`"),
        Action::GiveUp(key, error) => {
            let data = TaskFailed { error: error.clone(), agent: None };
            Publish::once(message(&frame, &key.subject(TaskVerb::Failed), &data))
        }
        Action::StartChild(key, child) => {
            let Child { workflow, input, parent } = (**child).clone();
            let subject = Subject::Called { workflow, run, task: key.task.clone(), attempt: key.attempt };
            Publish::plain(message(&frame, &subject, &WorkflowCalled { input, parent }))
        }
        Action::CancelChild(key, reason) => {
            let run = child_run(namespace, shards, key);
            let workflow = key.capability.as_str().parse().ok();
            let signal = SignalId::new("cancel").unwrap_or_else(|_| unreachable!("a valid signal"));
            let subject = Subject::Signalled { workflow, run, signal, id: parent_signal() };
            Publish::once(message(&frame, &subject, &CancelSignal { reason: Some(reason.clone()) }))
        }
        Action::Report(key, result) => Publish::once(report(&frame, key, result)),
        Action::SetTimer(timer, due) => {
            let set = Subject::TimerSet { run, timer: timer.clone() };
            let target = Subject::TimerDue { run, timer: timer.clone() }.render(namespace);
            Publish::at(message(&frame, &set, &TimerFired { due: *due }), *due, target)
        }
        Action::Pause(number, data) => {
            Publish::once(message(&frame, &pause(header, PauseVerb::Paused, *number), data))
        }
        Action::Resume(number) => {
            let data = WorkflowResumed::default();
            Publish::once(message(&frame, &pause(header, PauseVerb::Resumed, *number), &data))
        }
        Action::End(End::Completed(data)) => {
            Publish::once(message(&frame, &life(WorkflowVerb::Completed), data))
        }
        Action::End(End::Failed(data)) => Publish::once(message(&frame, &life(WorkflowVerb::Failed), data)),
        Action::End(End::Cancelled(data)) => {
            Publish::once(message(&frame, &life(WorkflowVerb::Cancelled), data))
        }
    }
}

fn pause(header: &Header, verb: PauseVerb, number: u64) -> Subject {
    Subject::Pause { verb, workflow: header.workflow.clone(), run: header.run, number }
}

/// The message that stores how many items of a loop are under way at a time.
pub(crate) fn routed(
    namespace: &Namespace,
    header: &Header,
    decision: &Decision,
    task: &TaskId,
    routed: &TaskRouted,
    hop: Option<&TraceContext>,
) -> Publish {
    let subject = Subject::TaskRouted { run: header.run, task: task.clone(), attempt: Attempt::FIRST };
    Publish::once(message(&frame(namespace, header, decision, hop), &subject, routed))
}

/// Tells the agent at work on an attempt that nobody waits for it any more.
pub(crate) fn cancelled(
    namespace: &Namespace,
    header: &Header,
    decision: &Decision,
    key: &TaskKey,
    error: &TaskError,
) -> Message {
    let data = TaskFailed { error: error.clone(), agent: None };
    message(&frame(namespace, header, decision, None), &key.subject(TaskVerb::Cancelled), &data)
}

/// How a run stood after an event that has this id and time. It belongs to no hop: nobody waits for it.
pub(crate) fn checkpoint(
    namespace: &Namespace,
    header: &Header,
    cause: &str,
    time: DateTime<Utc>,
    data: &WorkflowCheckpointed,
) -> Publish {
    let (correlation_id, trace) = (header.correlation_id.as_str(), header.trace.as_ref());
    let frame = Frame { namespace, correlation_id, cause, time, trace, hop: None };
    let (workflow, run) = (header.workflow.clone(), header.run);
    Publish::once(message(&frame, &Subject::Checkpointed { workflow, run, upto: data.upto }, data))
}

fn frame<'a>(
    namespace: &'a Namespace,
    header: &'a Header,
    decision: &'a Decision,
    hop: Option<&'a TraceContext>,
) -> Frame<'a> {
    Frame {
        namespace,
        correlation_id: &header.correlation_id,
        cause: &decision.cause,
        time: decision.at,
        trace: header.trace.as_ref(),
        hop: hop.or(header.trace.as_ref()),
    }
}

/// Where the schedule of a run's deadline stands.
pub(crate) fn deadline_subject(namespace: &Namespace, header: &Header) -> String {
    Subject::TimerSet { run: header.run, timer: Timer::Deadline }.render(namespace)
}

/// The first event of a run.
pub(crate) fn started(
    frame: &Frame<'_>,
    workflow: Option<WorkflowName>,
    run: RunId,
    data: &WorkflowStarted,
) -> Publish {
    Publish::once(message(frame, &Subject::Workflow { verb: WorkflowVerb::Started, workflow, run }, data))
}

/// An event of the orchestrator on a subject.
pub(crate) fn message(frame: &Frame<'_>, subject: &Subject, data: &impl Serialize) -> Message {
    frame.message(&source(frame.namespace), subject, data)
}

/// The outcome of an attempt that a run was started for.
pub(crate) fn report(frame: &Frame<'_>, key: &TaskKey, result: &Result<Value, TaskError>) -> Message {
    match result {
        Ok(output) => {
            let data = TaskCompleted { output: output.clone(), quality: None, usage: None, agent: None };
            message(frame, &key.subject(TaskVerb::Completed), &data)
        }
        Err(error) => {
            let data = TaskFailed { error: error.clone(), agent: None };
            message(frame, &key.subject(TaskVerb::Failed), &data)
        }
    }
}
