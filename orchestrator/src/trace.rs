//! The spans of what an orchestrator decides. Each is exported when what it tells of is stored: a run that hangs shows up to
//! where it got, and what is stored again after a crash is told once.

use std::collections::BTreeMap;
use std::time::SystemTime;

use mesh_bus::Publish;
use mesh_core::{Action, Decision, End, Event, Header, Origin, Run};
use mesh_schemas::generate::catalogue;
use mesh_schemas::{RunId, SpanId, Subject, TaskKey, TraceContext, WorkflowName};
use mesh_telemetry::{Moment, is_sampled, names, propagation, span};
use tracing::Span;

/// Most spans that one is linked to: what the OpenTelemetry specification keeps.
const MAX_LINKS: usize = 128;

/// What attempts that are created have waited for, by task and attempt; nothing where nobody is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Origins(BTreeMap<Origin, Vec<Origin>>);

impl Origins {
    /// What the attempts that are created by these decisions have waited for, beside those that were `gathered`.
    pub(crate) fn of(run: &Run, decisions: &[Decision], gathered: &[Origin]) -> Self {
        if !is_sampled(run.header.trace.as_ref()) {
            return Self::default();
        }
        let created = decisions.iter().filter_map(|decision| match &decision.action {
            Action::Create(key, _) | Action::StartChild(key, _) => Some((key.task.clone(), key.attempt)),
            _ => None,
        });
        let with_origins = created.map(|(task, attempt)| {
            let mut origins = run.origins(&task, attempt);
            if attempt.before().is_none() {
                origins.extend_from_slice(gathered);
                origins.sort();
                origins.dedup();
            }
            origins.truncate(MAX_LINKS);
            ((task, attempt), origins)
        });
        Self(with_origins.collect())
    }

    fn of_attempt(&self, key: &TaskKey) -> &[Origin] {
        self.0.get(&(key.task.clone(), key.attempt)).map_or(&[], Vec::as_slice)
    }
}

/// The items that a loop has gathered when it takes this event; to be asked before the run takes it.
pub(crate) fn gathered(run: &Run, event: &Event) -> Vec<Origin> {
    if is_sampled(run.header.trace.as_ref()) { run.gathered(event) } else { Vec::new() }
}

/// Notes of which run, and of which attempt, an event is, by its subject.
pub(crate) fn record_subject(span: &Span, subject: &str, run: Option<RunId>) {
    if let Some(run) = run {
        span.record(names::RUN_ID, tracing::field::display(run));
    }
    let namespace = subject.split('.').next().and_then(|first| first.parse().ok());
    if let Some(Ok(Subject::Task { key, .. })) =
        namespace.map(|namespace| Subject::parse(&namespace, subject))
    {
        span.record(names::TASK_ID, tracing::field::display(&key.task))
            .record(names::ATTEMPT, i64::from(key.attempt.get()))
            .record(names::CAPABILITY, tracing::field::display(&key.capability));
    }
}

/// The trace that what is stored for a decision carries on: that of the span which [`decided`] exports or, of what has none
/// that others could name, that of the processing.
pub(crate) fn hop(
    header: &Header,
    decision: &Decision,
    processing: Option<&TraceContext>,
) -> Option<TraceContext> {
    let run = header.trace.as_ref().filter(|_| mesh_telemetry::is_exporting());
    let own = run.and_then(|run| Some(propagation::within(run, id(header, decision)?)));
    own.or_else(|| processing.cloned())
}

fn id(header: &Header, decision: &Decision) -> Option<SpanId> {
    let run = &header.run;
    match &decision.action {
        Action::Create(key, _) | Action::StartChild(key, _) => {
            Some(SpanId::of_attempt(run, &key.task, key.attempt))
        }
        Action::SetTimer(timer, _) => Some(SpanId::of_timer(run, timer)),
        Action::End(_) => Some(SpanId::of_end(run)),
        Action::Route(..)
        | Action::GiveUp(..)
        | Action::Pause(..)
        | Action::Resume(_)
        | Action::CancelChild(..)
        | Action::Report(..) => None,
    }
}

/// Tells that a run began: its root, which everything else of it stands below.
pub(crate) fn began(
    root: &TraceContext,
    requester: Option<&TraceContext>,
    run: &RunId,
    workflow: Option<&WorkflowName>,
    correlation_id: &str,
    since: SystemTime,
) {
    if !is_sampled(Some(root)) {
        return;
    }
    let name = workflow.map_or("-", WorkflowName::as_str);
    Moment::new(format!("run {name}"))
        .since(since)
        .with(names::RUN_ID, run.to_string())
        .with(names::SHARD, i64::from(run.shard()))
        .with(names::WORKFLOW_NAME, name.to_owned())
        .with(names::MESSAGING_CONVERSATION_ID, correlation_id.to_owned())
        .tell_first(root, SpanId::of_run(run), requester);
}

/// Tells that what was decided is stored, which was begun at this time.
pub(crate) fn decided(
    header: &Header,
    decision: &Decision,
    origins: &Origins,
    stored: &Publish,
    since: SystemTime,
    processing: Option<&TraceContext>,
) {
    let Some(run) = header.trace.as_ref().filter(|_| mesh_telemetry::is_exporting()) else { return };
    // What is not told in the end is not made either.
    if !is_sampled(Some(run)) && !matches!(decision.action, Action::GiveUp(..) | Action::End(End::Failed(_)))
    {
        return;
    }
    let moment = || message(header, stored).since(since);
    let attempt =
        |key: &TaskKey| propagation::within(run, SpanId::of_attempt(&header.run, &key.task, key.attempt));
    match &decision.action {
        Action::Create(key, _) | Action::StartChild(key, _) => {
            let mut moment = of_attempt(moment(), key);
            for (task, attempt) in origins.of_attempt(key) {
                moment =
                    moment.linked(&propagation::within(run, SpanId::of_attempt(&header.run, task, *attempt)));
            }
            if let Some(processing) = processing {
                moment = moment.linked(processing);
            }
            moment.tell(run, id(header, decision));
        }
        Action::GiveUp(key, error) => {
            of_attempt(moment(), key).failed(&error.code, &error.message).tell(&attempt(key), None);
        }
        Action::SetTimer(timer, due) => {
            moment()
                .with(names::TIMER, timer.to_string())
                .with(names::DUE, due.to_rfc3339())
                .tell(run, id(header, decision));
        }
        Action::Pause(..) | Action::Resume(_) => moment().tell(run, None),
        Action::End(end) => ended(header, decision, end, run),
        // What other runs are told is part of their traces: it carries that of the processing.
        Action::Route(..) | Action::CancelChild(..) | Action::Report(..) => {}
    }
}

fn ended(header: &Header, decision: &Decision, end: &End, run: &TraceContext) {
    let (outcome, duration_ms, tasks, error) = match end {
        End::Completed(end) => ("completed", end.duration_ms, &end.tasks, None),
        End::Failed(end) => ("failed", end.duration_ms, &end.tasks, Some(&end.error)),
        End::Cancelled(end) => ("cancelled", end.duration_ms, &end.tasks, None),
    };
    let name = header.workflow.as_ref().map_or("-", WorkflowName::as_str);
    let moment = Moment::new(format!("run {name} {outcome}"))
        .with(names::RUN_ID, header.run.to_string())
        .with(names::WORKFLOW_NAME, name.to_owned())
        .with(names::MESSAGING_CONVERSATION_ID, header.correlation_id.clone())
        .with(names::OUTCOME, outcome)
        .with(names::DURATION, duration_ms as f64 / 1_000.0)
        .with(names::TASKS_DONE, i64::from(tasks.done))
        .with(names::TASKS_FAILED, i64::from(tasks.failed))
        .with(names::TASKS_SKIPPED, i64::from(tasks.skipped));
    let moment = match error {
        Some(error) => moment.failed(&error.code, &error.message),
        None => moment,
    };
    moment.tell(run, id(header, decision));
}

fn of_attempt(moment: Moment, key: &TaskKey) -> Moment {
    moment
        .with(names::TASK_ID, key.task.to_string())
        .with(names::ATTEMPT, i64::from(key.attempt.get()))
        .with(names::CAPABILITY, key.capability.to_string())
        .with(names::LANE, key.lane.to_string())
}

/// The making of a message that was stored.
fn message(header: &Header, stored: &Publish) -> Moment {
    let message = &stored.message;
    let type_ = catalogue::event_type(&message.subject);
    Moment::messaging(names::OPERATION_CREATE, &message.subject)
        .with(names::MESSAGING_OPERATION_NAME, "publish")
        .with(names::MESSAGING_MESSAGE_ID, message.subject.clone())
        .with(names::MESSAGING_CONVERSATION_ID, header.correlation_id.clone())
        .with(names::MESSAGING_BODY_SIZE, span::number(message.payload.len() as u64))
        .with(names::CLOUDEVENTS_ID, message.subject.clone())
        .with(names::CLOUDEVENTS_SPEC_VERSION, "1.0")
        .with(names::CLOUDEVENTS_TYPE, type_)
        .with(names::RUN_ID, header.run.to_string())
        .with_some(names::WORKFLOW_NAME, header.workflow.as_ref().map(ToString::to_string))
}
