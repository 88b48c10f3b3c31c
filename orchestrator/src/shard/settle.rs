//! What becomes of an event of a shard.

use std::time::Duration;

use mesh_bus::history::{Stage, is_checkpoint};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Content as InLetter, DeadEnd, History, Publish};
use mesh_core::{Decision, Header};
use mesh_schemas::{Message, SignalId, StoredMessage, Subject, TraceContext};
use mesh_telemetry::{names, propagation, span};
use tracing::{Span, debug, warn};

use super::checkpoint::checkpoint_object;
use super::read::BEHIND_PAUSE;
use crate::janitor::{self, NotDone};
use crate::lease::Lease;
use crate::service::Shared;
use crate::store::{self, Lost, Of};
use crate::trace::Origins;

/// Pause before an event is delivered again whose run this instance does not know (yet): first, and at most. It grows
/// by the first with each delivery, so that a run which nobody here knows costs little.
const UNKNOWN_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What an event led to in its run, and what is wrong with it.
pub(super) struct Decided {
    pub(super) header: Box<Header>,
    pub(super) decisions: Vec<Decision>,
    pub(super) origins: Origins,
    pub(super) letter: Option<(DeadEnd, String)>,
}

/// What an event is to lead to.
pub(super) enum Verdict {
    /// Store this, then acknowledge; also the beginning of the run, if it is in hand and the run has ended before its deadline
    /// was set.
    Store(Decided, Option<Lease>),
    /// The run has ended and nothing follows: store a dead letter, if there is one, then acknowledge, provided that the end
    /// still stands in the log. Else the run was archived and forgotten, and what is known of it is of no use.
    Ended(Option<(DeadEnd, String)>),
    /// A checkpoint, from which nothing follows: remove it if its run was forgotten, then acknowledge.
    Checkpoint,
    /// Nothing to store but a dead letter; then acknowledge.
    Bury(DeadEnd, String),
    /// An event whose run has not begun: store a dead letter, then remove it.
    OfNoRun(String),
    /// A signal that came before its run began: store it again, behind `started`.
    Resend,
    /// The run is archived: see that the event is, too, and remove it from the log.
    Archived(Box<History>),
    /// Not for this instance, which does not understand it.
    Beyond(String),
    /// Not now: deliver it again later.
    Later,
    /// All is stored already.
    Done,
}

/// Why an event goes among the dead letters, whether or not it counts.
pub(super) fn objection(defect: Option<String>, stray: Option<String>) -> Option<(DeadEnd, String)> {
    let malformed = defect.map(|error| (DeadEnd::UnreadableFact, error));
    malformed.or_else(|| stray.map(|error| (DeadEnd::StrayEvent, error)))
}

/// What to say of an event if something that follows from it cannot be stored.
pub(super) fn no_room(too_large: Option<String>) -> Option<(DeadEnd, String)> {
    let error = too_large?;
    Some((DeadEnd::LargeDecision, format!("what follows from it is too large to be stored: {error}")))
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
        Verdict::Store(decided, beginning) => {
            store(bus, lease, stored, decided, beginning.is_none(), hop).await?;
            if let Some(beginning) = beginning {
                beginning.ack().await;
            }
        }
        Verdict::Ended(letter) => {
            if !end_is_there(bus, lease, stored).await? {
                lease.nak(Duration::ZERO).await;
                return Err(Lost);
            }
            if let Some((end, error)) = letter {
                store::letter(bus, lease, end, stored, &error).await?;
            }
        }
        Verdict::Checkpoint => {
            let read = || bus.at(Stream::Events, stored.sequence);
            let found = lease.until_read("a checkpoint", BEHIND_PAUSE, read).await.ok_or(Lost)?;
            let frames = [Stage::Beginning, Stage::End];
            if found.is_some() && !frames_are_there(bus, lease, stored, &frames).await? {
                remove_checkpoint(bus, stored).await?;
            }
        }
        Verdict::Bury(end, error) => {
            store::letter(bus, lease, end, stored, &error).await?;
        }
        Verdict::OfNoRun(error) => {
            let content = store::letter(bus, lease, DeadEnd::EventOfNoRun, stored, &error).await?;
            // Nobody would ever remove it with its run. A letter that only refers to it needs it.
            if matches!(content, Some(InLetter::Whole | InLetter::Message)) {
                remove(bus, stored).await?;
            }
        }
        Verdict::Archived(history) => {
            archived(bus, lease, stored, &history).await?;
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

/// Stores what an event led to, in a run whose deadline is set or not.
pub(super) async fn store(
    bus: &dyn Bus,
    lease: &Lease,
    stored: &StoredMessage,
    Decided { header, decisions, origins, letter }: Decided,
    has_deadline: bool,
    hop: Option<TraceContext>,
) -> Result<(), Lost> {
    let span = Span::current();
    span.record(names::DECISIONS, span::number(decisions.len() as u64))
        .record(names::MESSAGING_CONVERSATION_ID, &header.correlation_id);
    let hop = propagation::current(&span).or(hop);
    let of = Of { header: &header, origins: &origins, hop: hop.as_ref(), has_deadline };
    let too_large = store::decisions(bus, lease, decisions, of).await?;
    if let Some((end, error)) = letter.or_else(|| no_room(too_large)) {
        store::letter(bus, lease, end, stored, &error).await?;
    }
    Ok(())
}

/// Whether the log has the end of an event's run: as long as it has, a janitor will see the event. A beginning proves nothing, as
/// it may have been stored again when the run was forgotten.
async fn end_is_there(bus: &dyn Bus, lease: &Lease, stored: &StoredMessage) -> Result<bool, Lost> {
    frames_are_there(bus, lease, stored, &[Stage::End]).await
}

/// Whether an event of one of these stages is in the log of an event's run.
async fn frames_are_there(
    bus: &dyn Bus,
    lease: &Lease,
    stored: &StoredMessage,
    stages: &[Stage],
) -> Result<bool, Lost> {
    let Some(run) = Subject::run_of(bus.namespace(), &stored.message.subject) else { return Ok(true) };
    let is_meant = |other: &StoredMessage| stages.contains(&Stage::of(bus.namespace(), other));
    loop {
        let read = || bus.read_run_itself(&run);
        let itself = lease.until_read("the run", BEHIND_PAUSE, read).await.ok_or(Lost)?;
        // Nothing at all is also what a server says that is behind: if it is not, it has at least a checkpoint that is there.
        let is_empty = itself.events.is_empty() && !is_checkpoint(bus.namespace(), stored);
        if is_empty || itself.end >= stored.sequence {
            return Ok(itself.events.iter().any(is_meant));
        }
        if lease.is_lost() {
            return Err(Lost);
        }
        tokio::time::sleep(BEHIND_PAUSE).await;
    }
}

/// Removes a checkpoint that was on its way when its run was forgotten.
async fn remove_checkpoint(bus: &dyn Bus, stored: &StoredMessage) -> Result<(), Lost> {
    if let Some(state) = checkpoint_object(bus.namespace(), stored)
        && let Err(error) = bus.remove_object(&state).await
    {
        debug!(subject = stored.message.subject, %error, "the state of a run that is forgotten is not removed yet");
        return Err(Lost);
    }
    remove(bus, stored).await
}

/// Removes an event that is kept elsewhere. Where nobody here may do that, it stays.
async fn remove(bus: &dyn Bus, stored: &StoredMessage) -> Result<(), Lost> {
    match bus.remove(Stream::Events, stored.sequence).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_retryable() => {
            debug!(subject = stored.message.subject, %error, "not removed from the log yet");
            Err(Lost)
        }
        Err(error) => {
            warn!(subject = stored.message.subject, %error, "stays in the log, although it is kept elsewhere");
            Ok(())
        }
    }
}

/// Adds an event to the history of its run, unless that is there already, and removes it from the log. The beginning and
/// the end that stay there for a while are left.
async fn archived(
    bus: &dyn Bus,
    lease: &Lease,
    stored: &StoredMessage,
    history: &History,
) -> Result<(), Lost> {
    let Some(run) = history.subject.as_ref().and_then(Subject::run) else { return Ok(()) };
    let stays = Stage::of(bus.namespace(), stored) != Stage::Between;
    if stays && history.holds(Stream::Events, stored.sequence) {
        return Ok(());
    }
    debug!(%run, subject = stored.message.subject, "an event of an archived run");
    janitor::late(bus, lease, history, run, Stream::Events, stored).await.map_err(|error| {
        if let NotDone::Bus(error) = error {
            warn!(%run, %error, "an event of an archived run is not in its history yet");
        }
        Lost
    })?;
    remove(bus, stored).await
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
