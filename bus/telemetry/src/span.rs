//! Spans that several crates open.

use std::cell::LazyCell;

use mesh_schemas::generate::catalogue;
use mesh_schemas::{RunId, SpanId, StoredMessage, TaskKey, TraceContext};
use opentelemetry::KeyValue;
use tracing::{Span, debug_span, error_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{ids, moment, names, propagation};

/// A span for dealing with one message of a durable consumer, in the trace of the hop that brought it. Of which run, task and
/// attempt, and how it failed, is recorded when it is known. None where it is not sampled: whoever has an error to tell tells it
/// by a [`Moment`](crate::Moment) then.
#[must_use]
pub fn process(stored: &StoredMessage, consumer: &str, hop: Option<&TraceContext>) -> Span {
    if is_left_out(hop) {
        return Span::none();
    }
    let message = &stored.message;
    let template = LazyCell::new(|| catalogue::template(&message.subject));
    let span = debug_span!(
        "process",
        { names::SPAN_NAME } = format!("process {}", *template),
        { names::SPAN_KIND } = names::KIND_CONSUMER,
        { names::MESSAGING_SYSTEM } = names::SYSTEM_NATS,
        { names::MESSAGING_OPERATION_NAME } = names::OPERATION_PROCESS,
        { names::MESSAGING_OPERATION_TYPE } = names::OPERATION_PROCESS,
        { names::MESSAGING_DESTINATION_NAME } = message.subject,
        { names::MESSAGING_DESTINATION_TEMPLATE } = template.as_str(),
        { names::MESSAGING_CONSUMER_GROUP_NAME } = consumer,
        { names::MESSAGING_BODY_SIZE } = number(message.payload.len() as u64),
        { names::SERVER_ADDRESS } = moment::server().map(|(host, _)| host.as_str()),
        { names::SERVER_PORT } = moment::server().map(|(_, port)| i64::from(*port)),
        { names::MESSAGING_MESSAGE_ID } = tracing::field::Empty,
        { names::MESSAGING_CONVERSATION_ID } = tracing::field::Empty,
        { names::CLOUDEVENTS_ID } = tracing::field::Empty,
        { names::CLOUDEVENTS_SOURCE } = tracing::field::Empty,
        { names::CLOUDEVENTS_SPEC_VERSION } = tracing::field::Empty,
        { names::CLOUDEVENTS_TYPE } = tracing::field::Empty,
        { names::RUN_ID } = tracing::field::Empty,
        { names::WORKFLOW_NAME } = tracing::field::Empty,
        { names::TASK_ID } = tracing::field::Empty,
        { names::ATTEMPT } = tracing::field::Empty,
        { names::DELIVERY } = tracing::field::Empty,
        { names::CAPABILITY } = tracing::field::Empty,
        { names::AGENT_ID } = tracing::field::Empty,
        { names::ACTION } = tracing::field::Empty,
        { names::DECISIONS } = tracing::field::Empty,
        { names::GEN_AI_OPERATION_NAME } = tracing::field::Empty,
        { names::GEN_AI_AGENT_ID } = tracing::field::Empty,
        { names::GEN_AI_AGENT_NAME } = tracing::field::Empty,
        { names::GEN_AI_CONVERSATION_ID } = tracing::field::Empty,
        { names::GEN_AI_WORKFLOW_NAME } = tracing::field::Empty,
        { names::GEN_AI_INPUT_TOKENS } = tracing::field::Empty,
        { names::GEN_AI_OUTPUT_TOKENS } = tracing::field::Empty,
        { names::SPAN_STATUS } = tracing::field::Empty,
        { names::SPAN_STATUS_DESCRIPTION } = tracing::field::Empty,
        { names::ERROR_TYPE } = tracing::field::Empty,
    );
    if let Some(hop) = hop {
        propagation::continue_from(&span, hop);
    }
    span
}

/// Begins a span under an id that others can work out, and gives its context; `None` if it is not part of a trace. To be called
/// before anybody asks for the context.
#[must_use]
pub fn begin(span: &Span, id: SpanId) -> Option<TraceContext> {
    ids::named(None, Some(opentelemetry::trace::SpanId::from_bytes(id.0)), || propagation::current(span))
}

/// Whether spans are exported, but not this one.
fn is_left_out(hop: Option<&TraceContext>) -> bool {
    hop.is_some_and(|hop| moment::is_exporting() && !moment::is_sampled(Some(hop)))
}

/// A span for reading a run from the log, in the trace of the hop that it is read for.
#[must_use]
pub fn read_run(run: &RunId, hop: Option<&TraceContext>) -> Span {
    if is_left_out(hop) {
        return Span::none();
    }
    let span = debug_span!("read run", { names::RUN_ID } = %run);
    if let Some(hop) = hop {
        propagation::continue_from(&span, hop);
    }
    span
}

/// A number as an attribute: what spans carry has a sign, and would be text without one.
#[must_use]
pub fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Notes on the span of a processing that it did not go well: with what code, and why.
pub fn fail(span: &Span, code: &str, message: &str) {
    let message = short(message);
    span.record(names::SPAN_STATUS, names::STATUS_ERROR)
        .record(names::SPAN_STATUS_DESCRIPTION, message)
        .record(names::ERROR_TYPE, code);
    let attributes = vec![
        KeyValue::new(names::EXCEPTION_TYPE, code.to_owned()),
        KeyValue::new(names::EXCEPTION_MESSAGE, message.to_owned()),
    ];
    span.add_event(names::EXCEPTION, attributes);
}

/// Tells that a message was put aside, with what code and why: on the span of its processing or, where that is left out of what is
/// exported, by one below the hop that brought the message.
pub fn put_aside(processing: &Span, stored: &StoredMessage, code: &str, message: &str) {
    match TraceContext::from_headers(&stored.message.headers) {
        Some(hop) if processing.is_disabled() => {
            moment::Moment::messaging(names::OPERATION_PROCESS, &stored.message.subject)
                .failed(code, message)
                .tell(&hop, None);
        }
        _ => fail(processing, code, message),
    }
}

/// Longest text of an error that goes into a span, in bytes: enough to know what is wrong, little beside the thousands of spans
/// that wait to be sent.
const MOST_BYTES: usize = 4 * 1024;

/// The beginning of a text, as much of it as goes into a span.
pub(crate) fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_BYTES)]
}

/// The target of spans that are not exported, and that say on log lines what the lines are about.
pub(crate) const LOG_TARGET: &str = "mesh_log";

/// What every log line of a handler says: of which task it is. [`init`](crate::init()) lets it through whatever is logged.
#[must_use]
pub fn on_log_lines(key: &TaskKey, correlation_id: &str, trace: Option<&TraceContext>) -> Span {
    error_span!(
        target: LOG_TARGET,
        "task",
        run = %key.run,
        task = %key.task,
        attempt = key.attempt.get(),
        correlation_id,
        trace_id = trace.map(propagation::trace_id),
    )
}
