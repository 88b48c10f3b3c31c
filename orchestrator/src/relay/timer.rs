use mesh_bus::topology::Stream;
use mesh_bus::{Publish, Reason};
use mesh_schemas::payload::TimerFired;
use mesh_schemas::{Decoded, Envelope, EnvelopeError, RunId, StoredMessage, Subject, Timer, TraceContext};

use crate::encode::Frame;
use crate::lease::Lease;
use crate::service::Shared;
use crate::store::{self, Lost};

/// Stores `timer.fired` for a timer that has come due. Its cause is the event that the timer was set for.
pub(super) async fn relay(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    run: RunId,
    timer: Timer,
) -> Result<(), Lost> {
    let bus = &*shared.bus;
    let read =
        Envelope::decode(&stored.message.headers, &stored.message.payload).and_then(
            |decoded| match decoded {
                Decoded::Event(event) => event.data::<TimerFired>().map(|data| (event, data)),
                Decoded::Bare(_) => Err(EnvelopeError::NotCloudEvent("it has no specversion".to_owned())),
            },
        );
    let (event, data) = match read {
        Ok(read) => read,
        Err(error) => {
            let error = error.to_string();
            return store::letter(bus, lease, Stream::Inbox, stored, Reason::Malformed, &error).await;
        }
    };
    let run_id = run.to_string();
    let trace = event.trace();
    let hop = TraceContext::from_headers(&stored.message.headers);
    let frame = Frame {
        namespace: bus.namespace(),
        correlation_id: event.correlationid.as_deref().unwrap_or(&run_id),
        cause: event.causationid.as_deref().unwrap_or(&event.id),
        time: stored.time,
        trace: trace.as_ref(),
        hop: hop.as_ref(),
    };
    let fired = frame.message(&Subject::TimerFired { run, timer }, &data);
    store::message(bus, lease, Publish::once(fired)).await.map(|_| ())
}
