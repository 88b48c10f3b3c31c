//! Spans that several crates open.

use mesh_schemas::TraceContext;
use tracing::{Span, debug_span};

use crate::{names, propagation};

/// A span for dealing with one message, in the trace of the hop that brought it. Of which run, task and attempt, and
/// how it failed, is recorded when it is known.
#[must_use]
pub fn process(template: &str, subject: &str, hop: Option<&TraceContext>) -> Span {
    let span = debug_span!(
        "process",
        { names::SPAN_NAME } = format!("process {template}"),
        { names::SPAN_KIND } = names::KIND_CONSUMER,
        { names::MESSAGING_SYSTEM } = names::SYSTEM_NATS,
        { names::MESSAGING_OPERATION_TYPE } = names::OPERATION_PROCESS,
        { names::MESSAGING_DESTINATION_NAME } = subject,
        { names::MESSAGING_DESTINATION_TEMPLATE } = template,
        { names::MESSAGING_CONVERSATION_ID } = tracing::field::Empty,
        { names::RUN_ID } = tracing::field::Empty,
        { names::TASK_ID } = tracing::field::Empty,
        { names::ATTEMPT } = tracing::field::Empty,
        { names::SPAN_STATUS } = tracing::field::Empty,
        { names::ERROR_TYPE } = tracing::field::Empty,
    );
    if let Some(hop) = hop {
        propagation::continue_from(&span, hop);
    }
    span
}
