//! The trace that a request from the command line belongs to.

use mesh_bus::Request;
use mesh_schemas::{Namespace, RunId, SpanId, TraceContext};
use mesh_telemetry::{Moment, first, names};

/// The trace of whoever started this process, by the variables that OpenTelemetry names for that.
pub(super) fn inherited() -> Option<TraceContext> {
    let read = |name| std::env::var(name).ok();
    TraceContext::new(&read("TRACEPARENT")?, read("TRACESTATE").as_deref())
}

/// The request with the span of its sending in the trace, if spans are exported: below that of whoever started this process.
pub(crate) fn traced(request: &Request, namespace: &Namespace, run: &RunId) -> Request {
    let span = SpanId::of_request(run);
    let Some(own) = first(run, span, request.trace.as_ref()) else { return request.clone() };
    let subject = request.target.subject();
    let correlation_id = request.correlation_id.clone().unwrap_or_else(|| run.to_string());
    Moment::messaging(names::OPERATION_SEND, &subject.render(namespace))
        .with(names::MESSAGING_OPERATION_NAME, "publish")
        .with(names::MESSAGING_MESSAGE_ID, request.id.id.clone())
        .with(names::MESSAGING_CONVERSATION_ID, correlation_id)
        .with(names::CLOUDEVENTS_ID, request.id.id.clone())
        .with(names::CLOUDEVENTS_SOURCE, request.id.source.clone())
        .with(names::CLOUDEVENTS_SPEC_VERSION, "1.0")
        .with(names::CLOUDEVENTS_TYPE, subject.event_type())
        .with(names::RUN_ID, run.to_string())
        .tell_first(&own, span, request.trace.as_ref());
    Request { trace: Some(own), ..request.clone() }
}
