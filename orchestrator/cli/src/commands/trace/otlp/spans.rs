//! Which spans a run has. Their ids are those that the processes of the mesh give them, so that what is exported from the log and
//! what was exported live is the same trace.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_schemas::generate::catalogue;
use mesh_schemas::{Attempt, Namespace, RunId, SpanId, Subject, TaskId, TaskVerb, Timer, TraceContext};
use mesh_telemetry::names;

use super::span::{Attribute, Link, Span, SpanEvent, SpanKind, number, text};
use crate::commands::runs::RunStatus;
use crate::commands::trace::story::{AttemptStory, Fact, Outcome, Story, TaskStory};

/// Most links of a span that programs take in if nothing else is said (OpenTelemetry: `LinkCountLimit`).
const MOST_LINKS: usize = 128;

pub(super) fn of(namespace: &Namespace, story: &Story, now: DateTime<Utc>) -> Vec<Span> {
    let mut writer = Writer { namespace, now, spans: Vec::new() };
    writer.story(story, trace_id(story), parent(story));
    writer.spans
}

/// That of the request, or the run's own.
fn trace_id(story: &Story) -> String {
    let given = story.trace.as_ref().and_then(|trace| field(trace, 1));
    given.unwrap_or_else(|| story.run.trace_id())
}

/// The span that the request was sent in, if that is another one than the run's own.
fn parent(story: &Story) -> Option<String> {
    let sent_in = field(story.trace.as_ref()?, 2)?;
    (sent_in != SpanId::of_run(&story.run).to_string()).then_some(sent_in)
}

fn field(trace: &TraceContext, place: usize) -> Option<String> {
    trace.traceparent.split('-').nth(place).map(ToOwned::to_owned)
}

struct Writer<'a> {
    namespace: &'a Namespace,
    now: DateTime<Utc>,
    spans: Vec<Span>,
}

impl Writer<'_> {
    fn story(&mut self, story: &Story, trace_id: String, parent: Option<String>) {
        let root = Root::new(story, trace_id, story.until(self.now));
        self.run(&root, parent);
        for task in &story.tasks {
            for attempt in &task.attempts {
                self.attempt(&root, task, attempt);
            }
        }
        for timer in &story.timers {
            self.timer(&root, &timer.timer, timer.set, timer.fired);
        }
        self.end(&root);
    }

    fn run(&mut self, root: &Root<'_>, parent: Option<String>) {
        let story = root.story;
        let name = format!("run {}", story.workflow());
        let mut span = self.span(root, root.id, parent, (story.started, root.until), name);
        span.trace_state = story.trace.as_ref().and_then(|trace| trace.tracestate.clone());
        span.attributes.extend(story.digest.as_ref().map(|digest| text(names::WORKFLOW_DIGEST, digest)));
        span.attributes.push(text("mesh.run.status", story.status.as_str()));
        let moments = story.pauses.iter().flat_map(|pause| {
            let until = pause.until.map(|until| (until, "run resumed".to_owned()));
            std::iter::once((pause.from, "run paused".to_owned())).chain(until)
        });
        let signals = story.signals.iter().map(|signal| (signal.at, format!("signal {}", signal.signal)));
        span.events = moments
            .chain(signals)
            .map(|(time_unix_nano, name)| SpanEvent { time_unix_nano, name, attributes: Vec::new() })
            .collect();
        if let Some(error) = &story.error {
            span.fail(root.until, &error.code, &error.message);
        }
        self.spans.push(span);
    }

    fn attempt(&mut self, root: &Root<'_>, task: &TaskStory, attempt: &AttemptStory) {
        let run = root.story.run;
        let id = SpanId::of_attempt(&run, &task.id, attempt.attempt);
        let end = attempt.ended.unwrap_or(root.until);
        let parent = Some(root.id.to_string());
        let subject = self.subject_of_work(root, task, attempt);
        let operation = names::OPERATION_CREATE;
        let mut span = self.messaging(root, id, parent, (attempt.created, end), (operation, &subject));
        let created = root.created.get(&(&task.id, attempt.attempt)).copied();
        span.attributes.extend(created.map(event_attributes).into_iter().flatten());
        span.attributes.extend(attempt_attributes(task, attempt));
        span.links = root.links(task, attempt);
        if let Some(error) = &attempt.error {
            span.fail(end, &error.code, &error.message);
        }
        self.spans.push(span);
        for (place, delivery) in attempt.deliveries.iter().enumerate() {
            let next = attempt.deliveries.get(place + 1).map(|next| next.assigned);
            let end = delivery.released.or(next).unwrap_or(end);
            let work = SpanId::of_work(&run, &task.id, attempt.attempt, delivery.delivery);
            let times = (delivery.assigned, end.max(delivery.assigned));
            let operation = (names::OPERATION_PROCESS, subject.as_str());
            let mut span = self.messaging(root, work, Some(id.to_string()), times, operation);
            span.attributes.extend(created.map(event_attributes).into_iter().flatten());
            span.attributes.extend(attempt_attributes(task, attempt));
            span.attributes.push(number(names::DELIVERY, delivery.delivery));
            span.attributes.extend(delivery.agent.as_ref().map(|agent| text(names::AGENT_ID, agent)));
            let is_last = place + 1 == attempt.deliveries.len();
            match &attempt.error {
                Some(error) if is_last && attempt.outcome == Outcome::Failed => {
                    span.fail(end, &error.code, &error.message);
                }
                _ => {}
            }
            self.spans.push(span);
        }
        if let Some(backoff) = attempt.backoff_ms {
            let timer = Timer::Retry { task: task.id.clone(), after: attempt.attempt };
            let backoff = TimeDelta::milliseconds(i64::try_from(backoff).unwrap_or(i64::MAX));
            self.timer(root, &timer, end, end.checked_add_signed(backoff).unwrap_or(end));
        }
        if let Some(child) = &attempt.story {
            self.story(child, root.trace_id.clone(), Some(id.to_string()));
        }
    }

    fn timer(&mut self, root: &Root<'_>, timer: &Timer, set: DateTime<Utc>, fired: DateTime<Utc>) {
        let id = SpanId::of_timer(&root.story.run, timer);
        let subject = Subject::TimerSet { run: root.story.run, timer: timer.clone() }.render(self.namespace);
        let parent = Some(root.id.to_string());
        let operation = (names::OPERATION_CREATE, subject.as_str());
        let mut span = self.messaging(root, id, parent, (set, fired), operation);
        span.attributes.push(text(names::TIMER, timer));
        self.spans.push(span);
    }

    fn end(&mut self, root: &Root<'_>) {
        let story = root.story;
        let is_end =
            |fact: &&Fact| Some(fact.time) == story.ended && matches!(fact.subject, Subject::Workflow { .. });
        let Some(end) = story.facts.iter().rev().find(is_end) else { return };
        let caused = end
            .cause
            .as_deref()
            .and_then(|cause| root.events.get(cause))
            .map_or(end.time, |cause| cause.time);
        let (id, parent) = (SpanId::of_end(&story.run), Some(root.id.to_string()));
        let times = (caused.min(end.time), end.time);
        let outcome = story.status.as_str();
        let name = format!("run {} {outcome}", story.workflow());
        let mut span = self.span(root, id, parent, times, name);
        span.attributes.push(text(names::OUTCOME, outcome));
        if let (RunStatus::Failed, Some(error)) = (story.status, &story.error) {
            span.fail(end.time, &error.code, &error.message);
        }
        self.spans.push(span);
    }

    /// A span of an operation on a message, which is to have this subject.
    fn messaging(
        &self,
        root: &Root<'_>,
        span_id: SpanId,
        parent: Option<String>,
        times: (DateTime<Utc>, DateTime<Utc>),
        (operation, subject): (&str, &str),
    ) -> Span {
        let template = catalogue::template(subject);
        let mut span = self.span(root, span_id, parent, times, format!("{operation} {template}"));
        span.kind =
            if operation == names::OPERATION_CREATE { SpanKind::Producer } else { SpanKind::Consumer };
        span.attributes.extend([
            text(names::MESSAGING_SYSTEM, names::SYSTEM_NATS),
            text(names::MESSAGING_OPERATION_NAME, operation),
            text(names::MESSAGING_OPERATION_TYPE, operation),
            text(names::MESSAGING_DESTINATION_TEMPLATE, template),
        ]);
        span
    }

    /// The subject of the message that asked for an attempt.
    fn subject_of_work(&self, root: &Root<'_>, task: &TaskStory, attempt: &AttemptStory) -> String {
        let created = root.created.get(&(&task.id, attempt.attempt));
        created.map_or_else(
            || {
                let name = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
                let capability = name(attempt.capability.as_ref().map(ToString::to_string));
                let kind = if attempt.run.is_some() { "workflow.called" } else { "task.created" };
                format!(
                    "{}.{kind}.{capability}.{}",
                    self.namespace,
                    name(attempt.lane.as_ref().map(ToString::to_string))
                )
            },
            |created| created.id.clone(),
        )
    }

    /// A span with what all spans of a run tell.
    fn span(
        &self,
        root: &Root<'_>,
        span_id: SpanId,
        parent_span_id: Option<String>,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
        name: String,
    ) -> Span {
        let story = root.story;
        let mut attributes = vec![
            text(names::MESSAGING_CONVERSATION_ID, &story.correlation_id),
            text(names::RUN_ID, story.run),
            number(names::SHARD, story.run.shard().into()),
        ];
        attributes
            .extend(story.target.workflow.as_ref().map(|workflow| text(names::WORKFLOW_NAME, workflow)));
        Span {
            trace_id: root.trace_id.clone(),
            span_id,
            parent_span_id,
            trace_state: None,
            name,
            kind: SpanKind::Internal,
            start_time_unix_nano: start,
            end_time_unix_nano: end.max(start),
            attributes,
            events: Vec::new(),
            links: Vec::new(),
            status: None,
        }
    }
}

/// A run whose spans are written.
struct Root<'a> {
    story: &'a Story,
    trace_id: String,
    id: SpanId,
    events: BTreeMap<&'a str, &'a Fact>,
    /// The events that asked for attempts.
    created: BTreeMap<(&'a TaskId, Attempt), &'a Fact>,
    /// The last attempt of each task.
    last: BTreeMap<&'a TaskId, Attempt>,
    until: DateTime<Utc>,
}

impl<'a> Root<'a> {
    fn new(story: &'a Story, trace_id: String, until: DateTime<Utc>) -> Self {
        let created = story.facts.iter().filter_map(|fact| match &fact.subject {
            Subject::Task { verb: TaskVerb::Created, key } => Some(((&key.task, key.attempt), fact)),
            _ => None,
        });
        let last = story.tasks.iter().filter_map(|task| Some((&task.id, task.attempts.last()?.attempt)));
        Self {
            trace_id,
            id: SpanId::of_run(&story.run),
            events: story.facts.iter().map(|fact| (fact.id.as_str(), fact)).collect(),
            created: created.collect(),
            last: last.collect(),
            story,
            until,
        }
    }

    /// The attempts that one waited for: the try before it, or those whose outcomes its task needs.
    fn links(&self, task: &TaskStory, attempt: &AttemptStory) -> Vec<Link> {
        let link = |run: &RunId, task: &TaskId, attempt| Link {
            trace_id: self.trace_id.clone(),
            span_id: SpanId::of_attempt(run, task, attempt),
        };
        let run = &self.story.run;
        let before = task.attempts.iter().rev().find(|other| other.attempt < attempt.attempt);
        if let Some(before) = before {
            return vec![link(run, &task.id, before.attempt)];
        }
        let mut links: Vec<(&TaskId, Attempt)> = Vec::new();
        for need in &task.needs {
            match self.last.get(need) {
                Some(attempt) => links.push((need, *attempt)),
                // What is made of others waits for all of them.
                None => {
                    let held = format!("{need}:");
                    let within = self.last.iter().filter(|(id, _)| id.as_str().starts_with(&held));
                    let room = MOST_LINKS.saturating_sub(links.len());
                    links.extend(within.take(room).map(|(id, attempt)| (*id, *attempt)));
                }
            }
        }
        let cause = attempt.cause.as_deref().and_then(|cause| self.events.get(cause));
        if let Some(Subject::Task { key, .. }) = cause.map(|cause| &cause.subject)
            && !links.iter().any(|(task, _)| **task == key.task)
        {
            links.push((&key.task, key.attempt));
        }
        links.into_iter().map(|(task, attempt)| link(run, task, attempt)).collect()
    }
}

fn event_attributes(fact: &Fact) -> Vec<Attribute> {
    let mut attributes = vec![
        text(names::MESSAGING_DESTINATION_NAME, &fact.id),
        text(names::MESSAGING_MESSAGE_ID, &fact.id),
        text(names::CLOUDEVENTS_ID, &fact.id),
        text(names::CLOUDEVENTS_TYPE, fact.subject.event_type()),
        text(names::CLOUDEVENTS_SPEC_VERSION, "1.0"),
    ];
    attributes.extend(fact.source.as_ref().map(|source| text(names::CLOUDEVENTS_SOURCE, source)));
    attributes
}

fn attempt_attributes(task: &TaskStory, attempt: &AttemptStory) -> Vec<Attribute> {
    let mut attributes =
        vec![text(names::TASK_ID, &task.id), number(names::ATTEMPT, attempt.attempt.get().into())];
    attributes.extend(attempt.capability.as_ref().map(|capability| text(names::CAPABILITY, capability)));
    attributes.extend(attempt.lane.as_ref().map(|lane| text(names::LANE, lane)));
    attributes
}
