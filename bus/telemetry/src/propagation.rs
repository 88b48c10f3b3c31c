//! Carries a trace from one process to the next, in the form of W3C Trace Context.
//!
//! Without an exporter there are no traces to carry on: [`current`] gives `None`, and a hop passes on the
//! context that it received.

use std::ops::Range;

use mesh_schemas::{SpanId, TraceContext};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, SetParentError};

/// The context that a message sent within `span` carries; `None` if the span is not part of a trace.
///
/// The span begins by this if it has not begun yet: call [`continue_from`] before.
#[must_use]
pub fn current(span: &Span) -> Option<TraceContext> {
    let mut carrier = Carrier::default();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    TraceContext::new(&carrier.traceparent?, carrier.tracestate.as_deref())
}

/// Makes `span` a child of the span that sent a message. Has no effect on a span that has begun, that is, been
/// entered or asked for its [`current`] context.
pub fn continue_from(span: &Span, sender: &TraceContext) {
    match span.set_parent(extract(sender)) {
        Ok(()) | Err(SetParentError::LayerNotFound | SetParentError::SpanDisabled) => {}
        Err(SetParentError::AlreadyStarted) => {
            tracing::debug!(?span, "a span that has begun cannot continue a trace");
        }
    }
}

/// Notes on `span` that the span which sent a message led to it too: for work that several messages cause, and
/// for messages that are handled together.
pub fn link(span: &Span, sender: &TraceContext) {
    span.add_link(extract(sender).span().span_context().clone());
}

/// The same trace, with another span that what is sent belongs to.
#[must_use]
pub fn within(trace: &TraceContext, span: SpanId) -> TraceContext {
    let (before, after) = (&trace.traceparent[..SPAN.start], &trace.traceparent[SPAN.end..]);
    TraceContext { traceparent: format!("{before}{span}{after}"), tracestate: trace.tracestate.clone() }
}

/// Where the ids of the trace and of the span stand in a `traceparent`, which is always well-formed, and the flags.
const TRACE: Range<usize> = 3..35;
const SPAN: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;

/// The trace, in 32 hexadecimal digits.
#[must_use]
pub fn trace_id(context: &TraceContext) -> &str {
    &context.traceparent[TRACE]
}

/// Whether the sender of a context exports its spans.
#[must_use]
pub fn is_sampled(context: &TraceContext) -> bool {
    u8::from_str_radix(&context.traceparent[FLAGS], 16).is_ok_and(|flags| flags & 1 == 1)
}

pub(crate) fn extract(context: &TraceContext) -> Context {
    let carrier =
        Carrier { traceparent: Some(context.traceparent.clone()), tracestate: context.tracestate.clone() };
    // Into an empty context, not the current one, whose span would be the parent if the text were not valid.
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

/// The two headers of W3C Trace Context.
#[derive(Default)]
struct Carrier {
    traceparent: Option<String>,
    tracestate: Option<String>,
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TraceContext::TRACEPARENT => self.traceparent = Some(value),
            TraceContext::TRACESTATE => self.tracestate = Some(value),
            _ => {}
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TraceContext::TRACEPARENT => self.traceparent.as_deref(),
            TraceContext::TRACESTATE => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TraceContext::TRACEPARENT, TraceContext::TRACESTATE]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn sender() -> TraceContext {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        TraceContext::new(traceparent, Some("vendor=value")).expect("a valid context")
    }

    fn traced(body: impl FnOnce()) {
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), body);
    }

    #[test]
    fn a_continued_span_has_the_trace_and_state_of_the_sender_and_an_id_of_its_own() {
        traced(|| {
            let span = tracing::info_span!("receive");
            continue_from(&span, &sender());
            let context = current(&span).expect("the span is traced");
            assert_eq!(context.traceparent[..36], sender().traceparent[..36]);
            assert_ne!(context.traceparent, sender().traceparent);
            assert_eq!(context.tracestate, sender().tracestate);
        });
    }

    #[test]
    fn a_span_that_continues_nothing_begins_a_trace() {
        traced(|| {
            let context = current(&tracing::info_span!("start")).expect("the span is traced");
            assert_ne!(context.traceparent[3..35], sender().traceparent[3..35]);
        });
    }

    #[test]
    fn a_linked_span_stays_in_its_own_trace() {
        traced(|| {
            let span = tracing::info_span!("batch");
            link(&span, &sender());
            let context = current(&span).expect("the span is traced");
            assert_ne!(context.traceparent[3..35], sender().traceparent[3..35]);
        });
    }

    #[test]
    fn without_an_exporter_there_is_no_context() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let span = tracing::info_span!("receive");
            continue_from(&span, &sender());
            link(&span, &sender());
            assert_eq!(current(&span), None);
        });
    }
}
