//! What becomes of an event of a shard.

use std::time::Duration;

use mesh_bus::topology::Stream;
use mesh_bus::{Publish, Reason};
use mesh_core::{Decision, Header};
use mesh_schemas::{Message, SignalId, StoredMessage, Subject, TraceContext};
use mesh_telemetry::propagation;
use tracing::Span;

use crate::lease::Lease;
use crate::service::Shared;
use crate::store::{self, Lost};

/// Pause before an event is delivered again whose run this instance does not know (yet): first, and at most. It grows
/// by the first with each delivery, so that a run which nobody here knows costs little.
const UNKNOWN_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What an event is to lead to.
pub(super) enum Verdict {
    /// Store these, then acknowledge.
    Store { header: Box<Header>, decisions: Vec<Decision>, letter: Option<(Reason, String)> },
    /// Nothing to store but a dead letter; then acknowledge.
    Bury(Reason, String),
    /// A signal that came before its run began: store it again, behind `started`.
    Resend,
    /// Not for this instance, which does not understand it.
    Beyond(String),
    /// Not now: deliver it again later.
    Later,
    /// All is stored already.
    Done,
}

/// Why an event goes among the dead letters, whether or not it counts.
pub(super) fn objection(defect: Option<String>, stray: Option<String>) -> Option<(Reason, String)> {
    let malformed = defect.map(|error| (Reason::Malformed, error));
    malformed.or_else(|| stray.map(|error| (Reason::UnknownTask, error)))
}

/// Does what was decided about an event, and acknowledges it.
pub(super) async fn settle(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    verdict: Verdict,
    hop: Option<TraceContext>,
) -> Result<(), Lost> {
    let bus = &*shared.bus;
    match verdict {
        Verdict::Store { header, decisions, letter } => {
            let hop = propagation::current(&Span::current()).or(hop);
            store::decisions(bus, lease, &header, decisions, hop.as_ref()).await?;
            if let Some((reason, error)) = letter {
                store::letter(bus, lease, Stream::Events, stored, reason, &error).await?;
            }
        }
        Verdict::Bury(reason, error) => {
            store::letter(bus, lease, Stream::Events, stored, reason, &error).await?;
        }
        Verdict::Resend => {
            if let Some(again) = resend(shared, stored) {
                store::message(bus, lease, Publish::once(again)).await?;
            }
        }
        Verdict::Later | Verdict::Beyond(_) if lease.is_lost() => return Err(Lost),
        Verdict::Later | Verdict::Beyond(_) => {
            let (first, longest) = UNKNOWN_PAUSES;
            let deliveries = u32::try_from(lease.delivered).unwrap_or(u32::MAX);
            lease.nak(first.saturating_mul(deliveries).min(longest)).await;
            return Ok(());
        }
        Verdict::Done => {}
    }
    lease.ack().await;
    Ok(())
}

/// The same signal under an id of its own.
fn resend(shared: &Shared, stored: &StoredMessage) -> Option<Message> {
    let namespace = shared.bus.namespace();
    let Ok(Subject::Signalled { workflow, run, signal, .. }) =
        Subject::parse(namespace, &stored.message.subject)
    else {
        return None;
    };
    let id = SignalId::new(format!("resent-{}", stored.sequence)).ok()?;
    let subject = Subject::Signalled { workflow, run, signal, id }.render(namespace);
    Some(Message { subject, ..stored.message.clone() })
}
