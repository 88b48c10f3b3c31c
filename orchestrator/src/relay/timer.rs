use mesh_bus::{DeadEnd, Publish, topology};
use mesh_schemas::payload::TimerFired;
use mesh_schemas::{
    Decoded, Envelope, EnvelopeError, Frame, Message, Namespace, RunId, StoredMessage, Subject, Timer,
    TraceContext,
};
use mesh_telemetry::{names, propagation, span};
use tracing::Instrument as _;

use crate::encode;
use crate::lease::Lease;
use crate::service::Shared;
use crate::store::{self, Lost};

/// Stores `timer.fired` for a timer that has come due.
pub(super) async fn relay(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    run: RunId,
    timer: Timer,
) -> Result<(), Lost> {
    let bus = &*shared.bus;
    let hop = TraceContext::from_headers(&stored.message.headers);
    let span = span::process(stored, topology::TIMERS, hop.as_ref());
    span.record(names::RUN_ID, tracing::field::display(run));
    let hop = propagation::current(&span).or(hop);
    match fired(bus.namespace(), stored, run, timer, hop.as_ref()) {
        Ok(fired) => store::message(bus, lease, Publish::once(fired)).instrument(span).await.map(|_| ()),
        Err(error) => {
            let error = error.to_string();
            store::letter(bus, lease, DeadEnd::UnreadableTimer, stored, &error).await.map(drop)
        }
    }
}

/// The event that a wait is over, made of the message that came due. Its cause is the event that the timer was set
/// for.
pub(crate) fn fired(
    namespace: &Namespace,
    due: &StoredMessage,
    run: RunId,
    timer: Timer,
    hop: Option<&TraceContext>,
) -> Result<Message, EnvelopeError> {
    let event = match Envelope::decode(&due.message.headers, &due.message.payload)? {
        Decoded::Event(event) => event,
        Decoded::Bare(_) => return Err(EnvelopeError::NotCloudEvent("it has no specversion".to_owned())),
    };
    let data: TimerFired = event.data()?;
    let run_id = run.to_string();
    let trace = event.trace();
    let frame = Frame {
        namespace,
        correlation_id: event.correlationid.as_deref().unwrap_or(&run_id),
        cause: event.causationid.as_deref().unwrap_or(&event.id),
        time: due.time,
        trace: trace.as_ref(),
        hop,
    };
    Ok(encode::message(&frame, &Subject::TimerFired { run, timer }, &data))
}
