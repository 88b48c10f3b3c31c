//! The spans of one execution.

use std::sync::OnceLock;
use std::time::SystemTime;

use chrono::Utc;
use mesh_bus::Delivery;
use mesh_schemas::payload::TaskError;
use mesh_schemas::{Message, SpanId, TaskVerb, TraceContext};
use mesh_telemetry::span::{self, number};
use mesh_telemetry::{Moment, is_exporting, is_sampled, names, propagation};
use tracing::Span;

use crate::context::Inner;
use crate::outcome::Outcome;

/// How an execution stands in the trace of its run.
#[derive(Default)]
pub(crate) struct Trace {
    /// The span of its processing, which lasts until the delivery is settled.
    span: OnceLock<Span>,
    /// Where it is not sampled, when it began.
    unsampled: OnceLock<SystemTime>,
}

impl Trace {
    /// Tells that the task was received, and begins the span of its processing, below that of its creation; and with it the
    /// span that says on log lines which task it is.
    pub(crate) fn begin(&self, context: &Inner, delivery: &Delivery) -> (Span, Span) {
        let (stored, key) = (&delivery.stored, &context.key);
        let consumer = &context.common.consumer.name;
        let hop = TraceContext::from_headers(&stored.message.headers).or_else(|| context.trace.clone());
        if let Some(hop) = hop.as_ref().filter(|hop| is_sampled(Some(hop))) {
            let waited = (Utc::now() - stored.time).as_seconds_f64().max(0.0);
            of_task(Moment::messaging(names::OPERATION_RECEIVE, &stored.message.subject), context)
                .with(names::MESSAGING_OPERATION_NAME, "fetch")
                .with(names::MESSAGING_CONSUMER_GROUP_NAME, consumer.clone())
                .with(names::MESSAGING_MESSAGE_ID, context.created_id.clone())
                .with(names::MESSAGING_BATCH_COUNT, 1_i64)
                .with(names::SCHEDULE_TO_START, waited)
                .tell(hop, None);
        }
        let span = span::process(stored, consumer, hop.as_ref());
        let own = if span.is_disabled() {
            None
        } else {
            describe(&span, context);
            span::begin(&span, SpanId::of_work(&key.run, &key.task, key.attempt, context.delivery))
        };
        if let Some(own) = &own {
            let _ = context.processing.set(own.clone());
            let _ = self.span.set(span.clone());
        } else if let Some(hop) = hop.as_ref().filter(|_| is_exporting()) {
            let _ = context.processing.set(hop.clone());
            let _ = self.unsampled.set(SystemTime::now());
        }
        let trace = own.or(hop);
        let lines = span::on_log_lines(key, &context.correlation_id, trace.as_ref());
        (span, lines)
    }

    /// Notes what the handler said of what it used: tokens are what AI agents use.
    pub(crate) fn ended(&self, context: &Inner, outcome: &Outcome) {
        let Some(span) = self.span.get() else { return self.ended_unsampled(context, outcome) };
        match outcome {
            Outcome::Failed(TaskError { code, message, .. }) => span::fail(span, code, message),
            Outcome::Completed(output) => {
                let usage = output.usage.as_ref();
                let tokens = |name| usage.and_then(|usage| usage.get(name)?.as_u64());
                let (input, output) =
                    (tokens("input_tokens").map(number), tokens("output_tokens").map(number));
                if input.or(output).is_none() {
                    return;
                }
                span.record(names::GEN_AI_OPERATION_NAME, names::GEN_AI_INVOKE_AGENT)
                    .record(names::GEN_AI_AGENT_ID, tracing::field::display(&context.common.agent))
                    .record(names::GEN_AI_AGENT_NAME, &context.common.type_)
                    .record(names::GEN_AI_CONVERSATION_ID, &context.correlation_id)
                    .record(names::GEN_AI_WORKFLOW_NAME, &context.workflow)
                    .record(names::GEN_AI_INPUT_TOKENS, input)
                    .record(names::GEN_AI_OUTPUT_TOKENS, output);
            }
        }
    }

    /// Tells of a failure all the same where nothing else is told.
    fn ended_unsampled(&self, context: &Inner, outcome: &Outcome) {
        let (Some(since), Some(hop)) = (self.unsampled.get(), context.processing.get()) else { return };
        let Outcome::Failed(error) = outcome else { return };
        let subject = context.key.subject(TaskVerb::Created).render(context.common.bus.namespace());
        of_task(Moment::messaging(names::OPERATION_PROCESS, &subject), context)
            .with(names::MESSAGING_OPERATION_NAME, names::OPERATION_PROCESS)
            .with(names::MESSAGING_MESSAGE_ID, context.created_id.clone())
            .with(names::WORKFLOW_NAME, context.workflow.clone())
            .since(*since)
            .failed(&error.code, &error.message)
            .tell(hop, None);
    }

    /// Tells that the task was put aside, with the reason and what is wrong.
    pub(crate) fn put_aside(&self, delivery: &Delivery, reason: &str, error: &str) {
        let none = Span::none();
        span::put_aside(self.span.get().unwrap_or(&none), &delivery.stored, reason, error);
    }

    /// Tells that the delivery was acknowledged, which was begun at this time.
    pub(crate) fn settled(&self, delivery: &Delivery, since: SystemTime) {
        let Some(own) = self.span.get().and_then(propagation::current) else { return };
        Moment::messaging(names::OPERATION_SETTLE, &delivery.stored.message.subject)
            .with(names::MESSAGING_OPERATION_NAME, "ack")
            .with(names::MESSAGING_MESSAGE_ID, delivery.stored.message.subject.clone())
            .with(names::DELIVERY, number(delivery.delivered))
            .since(since)
            .tell(&own, None);
    }
}

/// The sending of an outcome, which what follows from it stands below.
pub(crate) struct Sending {
    below: TraceContext,
    id: SpanId,
    since: SystemTime,
}

impl Sending {
    /// Begins to send the outcome of an attempt, and says so in its headers; nothing where spans are not exported.
    pub(crate) fn begin(context: &Inner, verb: TaskVerb, message: &mut Message) -> Option<Self> {
        let below = context.processing.get()?.clone();
        let key = &context.key;
        let id = SpanId::of_outcome(&key.run, &key.task, key.attempt, context.delivery, verb);
        propagation::within(&below, id).write(&mut message.headers);
        Some(Self { below, id, since: SystemTime::now() })
    }

    /// Tells that it is stored.
    pub(crate) fn end(self, context: &Inner, verb: TaskVerb, message: &Message) {
        if !is_sampled(Some(&self.below)) {
            return;
        }
        let type_ = format!("task.{verb}");
        of_task(Moment::messaging(names::OPERATION_SEND, &message.subject), context)
            .with(names::MESSAGING_OPERATION_NAME, "publish")
            .with(names::MESSAGING_MESSAGE_ID, message.subject.clone())
            .with(names::MESSAGING_BODY_SIZE, number(message.payload.len() as u64))
            .with(names::CLOUDEVENTS_ID, message.subject.clone())
            .with(names::CLOUDEVENTS_TYPE, type_)
            .since(self.since)
            .tell(&self.below, Some(self.id));
    }
}

/// Notes on the span of a processing of which task it is.
fn describe(span: &Span, context: &Inner) {
    let key = &context.key;
    span.record(names::MESSAGING_CONVERSATION_ID, &context.correlation_id)
        .record(names::MESSAGING_MESSAGE_ID, &context.created_id)
        .record(names::CLOUDEVENTS_ID, &context.created_id)
        .record(names::CLOUDEVENTS_SPEC_VERSION, "1.0")
        .record(names::CLOUDEVENTS_TYPE, "task.created")
        .record(names::RUN_ID, tracing::field::display(key.run))
        .record(names::WORKFLOW_NAME, &context.workflow)
        .record(names::TASK_ID, tracing::field::display(&key.task))
        .record(names::ATTEMPT, i64::from(key.attempt.get()))
        .record(names::DELIVERY, number(context.delivery))
        .record(names::CAPABILITY, tracing::field::display(&key.capability))
        .record(names::AGENT_ID, tracing::field::display(&context.common.agent));
    if let Some(action) = &context.action {
        span.record(names::ACTION, action);
    }
}

fn of_task(moment: Moment, context: &Inner) -> Moment {
    let key = &context.key;
    moment
        .with(names::MESSAGING_CONVERSATION_ID, context.correlation_id.clone())
        .with(names::RUN_ID, key.run.to_string())
        .with(names::TASK_ID, key.task.to_string())
        .with(names::ATTEMPT, i64::from(key.attempt.get()))
        .with(names::DELIVERY, number(context.delivery))
        .with(names::CAPABILITY, key.capability.to_string())
        .with(names::AGENT_ID, context.common.agent.to_string())
}
