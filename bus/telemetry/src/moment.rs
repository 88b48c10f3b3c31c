//! Spans of what is over when it is told: they are exported at once, so that a run which hangs shows up to where it got.

use std::sync::OnceLock;
use std::time::SystemTime;

use mesh_schemas::generate::catalogue;
use mesh_schemas::{RunId, SpanId, TraceContext};
use opentelemetry::trace::{
    Event, Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use crate::sampling::Sampling;
use crate::{ids, names, propagation, span};

/// What spans are made with, while they are exported.
static EXPORT: OnceLock<(SdkTracer, Sampling)> = OnceLock::new();

/// Host and port of the NATS server.
static SERVER: OnceLock<(String, u16)> = OnceLock::new();

/// Spans about messages say from now on that this is the NATS server.
pub fn connected_to(server: Option<(String, u16)>) {
    if let Some(server) = server {
        let _ = SERVER.set(server);
    }
}

/// Host and port of the NATS server, if they are known.
pub(crate) fn server() -> Option<&'static (String, u16)> {
    SERVER.get()
}

/// Spans are exported by this from now on.
pub(crate) fn export(tracer: SdkTracer, sampling: Sampling) {
    let _ = EXPORT.set((tracer, sampling));
}

/// Whether this process exports spans.
#[must_use]
pub fn is_exporting() -> bool {
    EXPORT.get().is_some()
}

/// Whether a span below this hop would be exported by this process, as its sampler says; not where none are exported.
#[must_use]
pub fn is_sampled(hop: Option<&TraceContext>) -> bool {
    EXPORT.get().zip(hop).is_some_and(|((_, sampling), hop)| {
        let trace = TraceId::from_hex(propagation::trace_id(hop)).unwrap_or(TraceId::INVALID);
        sampling.takes(Some(propagation::is_sampled(hop)), trace)
    })
}

/// The context of a span that a run has before any event of it: in the trace of its parent or, without one, in the trace of the
/// run, which then begins with it. `None` if this process exports no spans.
#[must_use]
pub fn first(run: &RunId, span: SpanId, parent: Option<&TraceContext>) -> Option<TraceContext> {
    let (_, sampling) = EXPORT.get()?;
    let (sampled, trace, state) = match parent {
        Some(parent) => {
            let trace = TraceId::from_hex(propagation::trace_id(parent)).ok()?;
            (Some(propagation::is_sampled(parent)), trace, parent.tracestate.as_deref())
        }
        None => (None, TraceId::from_hex(&run.trace_id()).ok()?, None),
    };
    let flags = u8::from(sampling.takes(sampled, trace));
    TraceContext::new(&format!("00-{trace}-{span}-{flags:02x}"), state)
}

/// A span of something that is over.
#[derive(Debug)]
pub struct Moment {
    builder: SpanBuilder,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
    began: SystemTime,
    ended: SystemTime,
    error: Option<(String, String)>,
}

impl Moment {
    /// Something that begins and ends now, within the process.
    #[must_use]
    pub fn new(name: String) -> Self {
        let now = SystemTime::now();
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal);
        Self { builder, attributes: Vec::new(), links: Vec::new(), began: now, ended: now, error: None }
    }

    /// An operation on a message: `create`, `send`, `receive`, `process` or `settle`, of those in [`names`].
    #[must_use]
    pub fn messaging(operation: &'static str, subject: &str) -> Self {
        let template = catalogue::template(subject);
        let kind = match operation {
            names::OPERATION_CREATE | names::OPERATION_SEND => SpanKind::Producer,
            names::OPERATION_PROCESS => SpanKind::Consumer,
            _ => SpanKind::Client,
        };
        let mut moment = Self::new(format!("{operation} {template}"));
        moment.builder.span_kind = Some(kind);
        moment
            .with(names::MESSAGING_SYSTEM, names::SYSTEM_NATS)
            .with(names::MESSAGING_OPERATION_TYPE, operation)
            .with(names::MESSAGING_DESTINATION_NAME, subject.to_owned())
            .with(names::MESSAGING_DESTINATION_TEMPLATE, template)
            .with_some(names::SERVER_ADDRESS, server().map(|(host, _)| host.clone()))
            .with_some(names::SERVER_PORT, server().map(|(_, port)| i64::from(*port)))
    }

    /// Began at another time.
    #[must_use]
    pub fn since(mut self, began: SystemTime) -> Self {
        self.began = began;
        self
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// With an attribute, if there is something to say.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Another span led to it, too.
    #[must_use]
    pub fn linked(mut self, to: &TraceContext) -> Self {
        let to = propagation::extract(to).span().span_context().clone();
        self.links.push(Link::new(to, Vec::new(), 0));
        self
    }

    /// It did not go well: with what code, and why.
    #[must_use]
    pub fn failed(mut self, code: &str, message: &str) -> Self {
        self.error = Some((code.to_owned(), span::short(message).to_owned()));
        self
    }

    /// Exports the span below another, under this id if one is given.
    pub fn tell(self, parent: &TraceContext, id: Option<SpanId>) {
        if !is_sampled(Some(parent)) && self.error.is_none() {
            return;
        }
        self.end(&propagation::extract(parent), None, id);
    }

    /// Exports the span that [`first`] made the context of, by the same id and parent.
    pub fn tell_first(self, own: &TraceContext, span: SpanId, parent: Option<&TraceContext>) {
        if !propagation::is_sampled(own) && self.error.is_none() {
            return;
        }
        let parent = parent.map_or_else(Context::new, propagation::extract);
        self.end(&parent, TraceId::from_hex(propagation::trace_id(own)).ok(), Some(span));
    }

    fn end(self, parent: &Context, trace: Option<TraceId>, id: Option<SpanId>) {
        let Some((tracer, _)) = EXPORT.get() else { return };
        let mut builder =
            self.builder.with_start_time(self.began).with_attributes(self.attributes).with_links(self.links);
        if let Some((code, message)) = &self.error {
            let attributes = vec![
                KeyValue::new(names::EXCEPTION_TYPE, code.clone()),
                KeyValue::new(names::EXCEPTION_MESSAGE, message.clone()),
            ];
            builder = builder.with_events(vec![Event::new(names::EXCEPTION, self.ended, attributes, 0)]);
        }
        let id = id.map(|id| opentelemetry::trace::SpanId::from_bytes(id.0));
        let mut span = ids::named(trace, id, || tracer.build_with_context(builder, parent));
        if let Some((code, message)) = self.error {
            span.set_attribute(KeyValue::new(names::ERROR_TYPE, code));
            span.set_status(Status::error(message));
        }
        span.end_with_timestamp(self.ended);
    }
}
