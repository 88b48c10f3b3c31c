//! Stores what was decided, until it is stored or no longer ours to store.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use futures::{FutureExt, StreamExt};
use mesh_bus::{
    Bus, Content as InLetter, DeadEnd, Persisted, Publish, PublishError, Stored, persist, publish_event,
};
use mesh_core::{Action, Content, Decision, End, Header};
use mesh_schemas::payload::{
    RunError, TaskError, WorkflowCancelled, WorkflowFailed, WorkflowPaused, child_run, code,
};
use mesh_schemas::{DataRef, RunId, Shards, StoredMessage, TraceContext};
use mesh_telemetry::span;
use tracing::{Span, debug, warn};

use crate::encode;
use crate::lease::Lease;
use crate::log;
use crate::observe;
use crate::route;
use crate::trace::{self, Origins};

/// Decisions of one event that are on their way at once: a wide fan-out must not take the whole connection.
const AT_ONCE: usize = 512;
/// Pause before data is asked for again.
const FETCH_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are kept of a text that was too large.
const MAX_SHORT_BYTES: usize = 4 * 1024;

/// The lease was lost before everything was stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

/// What decisions are of.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    /// Their run.
    pub(crate) header: &'a Header,
    /// What the attempts that are created have waited for.
    pub(crate) origins: &'a Origins,
    /// The trace of the processing that led to them.
    pub(crate) hop: Option<&'a TraceContext>,
    /// Whether the deadline of the run may be set, so that it is to be taken back when the run ends.
    pub(crate) has_deadline: bool,
}

/// Stores decisions of a run, in any order: none depends on another, but the end of the run stands for that other runs were
/// told of it. Returns what is wrong with one that is too large, however little is said in it.
pub(crate) async fn decisions(
    bus: &dyn Bus,
    lease: &Lease,
    decisions: Vec<Decision>,
    of: Of<'_>,
) -> Result<Option<String>, Lost> {
    let (shards, last, first) = if decisions.iter().any(is_for_others) {
        let (last, first) =
            decisions.into_iter().partition(|decision| matches!(decision.action, Action::End(_)));
        (shards(bus, lease).await?, last, first)
    } else {
        // Nobody asks for another run.
        (Shards::default(), Vec::new(), decisions)
    };
    let mut too_large = None;
    for decisions in [first, last].into_iter().filter(|decisions| !decisions.is_empty()) {
        let store = |decision| one(bus, shards, lease, decision, of);
        let stored = match <[Decision; 1]>::try_from(decisions) {
            // Most events lead to one decision.
            Ok([decision]) => store(decision).boxed(),
            Err(decisions) => {
                let stored = futures::stream::iter(decisions).map(store).buffer_unordered(AT_ONCE);
                stored.fold(Ok(None), |all, one| async move { Ok(all?.or(one?)) }).boxed()
            }
        };
        let told = lease.hold(stored).await.unwrap_or(Err(Lost))?;
        too_large = too_large.or(told);
    }
    Ok(too_large)
}

/// Whether a decision is about another run.
fn is_for_others(decision: &Decision) -> bool {
    matches!(decision.action, Action::StartChild(..) | Action::CancelChild(..) | Action::Report(..))
}

/// The number of shards of the namespace, however long it takes to be told, as long as the lease is ours.
pub(crate) async fn shards(bus: &dyn Bus, lease: &Lease) -> Result<Shards, Lost> {
    lease.until_read("the number of shards", FETCH_PAUSE, || bus.shards()).await.ok_or(Lost)
}

/// The run that what a decision says belongs to, and with it whatever is too large for that.
fn owner(bus: &dyn Bus, shards: Shards, header: &Header, decision: &Decision) -> RunId {
    match &decision.action {
        Action::StartChild(key, _) | Action::CancelChild(key, _) => child_run(bus.namespace(), shards, key),
        Action::Report(key, _) => key.run,
        Action::Create(..)
        | Action::Route(..)
        | Action::GiveUp(..)
        | Action::SetTimer(..)
        | Action::Pause(..)
        | Action::Resume(_)
        | Action::End(_) => header.run,
    }
}

async fn one(
    bus: &dyn Bus,
    shards: Shards,
    lease: &Lease,
    decision: Decision,
    Of { header, origins, hop: processing, has_deadline }: Of<'_>,
) -> Result<Option<String>, Lost> {
    let owner = owner(bus, shards, header, &decision);
    let since = SystemTime::now();
    let hop = trace::hop(header, &decision, processing);
    let hop = hop.as_ref();
    let publish = match &decision.action {
        Action::Route(task, route) => {
            let choose = || route::choose(bus, route);
            let routed = lease.until_read("what agents there are", FETCH_PAUSE, choose).await.ok_or(Lost)?;
            encode::routed(bus.namespace(), header, &decision, task, &routed, hop)
        }
        _ => encode::decision(bus.namespace(), shards, header, &decision, hop),
    };
    let store = async |decision: &Decision, publish: &Publish| {
        let outcome = event(bus, lease, &owner, publish).await?;
        if let Outcome::Stored(Stored::Now(_)) = outcome {
            if let Action::Create(key, _) = &decision.action {
                observe::created(key);
            }
            trace::decided(header, decision, origins, publish, since, processing);
        }
        Ok(outcome)
    };
    if let Outcome::TooLarge(error) = store(&decision, &publish).await? {
        let Some(smaller) = without_content(decision.clone(), &error) else { return Ok(Some(error)) };
        let hop = trace::hop(header, &smaller, processing);
        let publish = encode::decision(bus.namespace(), shards, header, &smaller, hop.as_ref());
        // Boxed, as it is large and rare.
        if let Outcome::TooLarge(error) = Box::pin(store(&smaller, &publish)).await? {
            return Ok(Some(error));
        }
    }
    match &decision.action {
        Action::End(_) if !has_deadline => {}
        _ => tell(bus, header, &decision).await,
    }
    Ok(None)
}

/// What became of a message that is no longer ours to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    Stored(T),
    TooLarge(String),
}

/// Stores a message, however long it takes, as long as the lease is ours.
pub(crate) async fn message(bus: &dyn Bus, lease: &Lease, publish: Publish) -> Result<Outcome<Stored>, Lost> {
    noted(until_stored(lease, || bus.publish(publish.clone())).await)
}

/// Counts what turned out to be stored already.
fn noted(stored: Result<Outcome<Stored>, Lost>) -> Result<Outcome<Stored>, Lost> {
    if let Ok(Outcome::Stored(stored)) = &stored {
        observe::conflict(*stored);
    }
    stored
}

/// As [`message`], but tells the reason if the message is refused, and leaves it to the caller to try again.
pub(crate) async fn unless_refused(
    bus: &dyn Bus,
    lease: &Lease,
    publish: Publish,
) -> Result<Result<Outcome<Stored>, String>, Lost> {
    let refused = OnceLock::new();
    let is_over = || lease.is_lost() || refused.get().is_some();
    let publish = || async {
        let stored = bus.publish(publish.clone()).await;
        if let Err(PublishError::Refused(error)) = &stored {
            refused.get_or_init(|| error.clone());
        }
        stored
    };
    let stored = persist(is_over, publish).await;
    match (stored, refused.into_inner()) {
        (Persisted::Stored(stored), _) => Ok(Ok(Outcome::Stored(stored))),
        (Persisted::TooLarge(error), _) => Ok(Ok(Outcome::TooLarge(error))),
        (Persisted::GivenUp, Some(error)) => Ok(Err(error)),
        (Persisted::GivenUp, None) => Err(Lost),
    }
}

/// Stores an event of a run, with what it cannot carry beside it; else as [`message`].
pub(crate) async fn event(
    bus: &dyn Bus,
    lease: &Lease,
    run: &RunId,
    publish: &Publish,
) -> Result<Outcome<Stored>, Lost> {
    noted(until_stored(lease, || publish_event(bus, run, publish)).await)
}

/// What an event refers to, and its length as JSON, however long it takes to be told, as long as the lease is ours.
pub(crate) async fn fetched(
    bus: &dyn Bus,
    lease: &Lease,
    reference: &DataRef,
) -> Result<(Content, usize), Lost> {
    let mut said = false;
    while !lease.is_lost() {
        match log::content(bus, reference).await {
            Ok(content) => return Ok(content),
            Err(error) if error.is_retryable() || said => {
                debug!(%error, "data that an event refers to cannot be read yet");
            }
            Err(error) => {
                warn!(%error, "data that an event refers to cannot be read: trying again until it is mended");
                said = true;
            }
        }
        tokio::time::sleep(FETCH_PAUSE).await;
    }
    Err(Lost)
}

/// Puts a message among the dead letters, however long it takes, as long as the lease is ours. Returns how much of it is
/// there; `None` if not even a reference can be stored.
pub(crate) async fn letter(
    bus: &dyn Bus,
    lease: &Lease,
    end: DeadEnd,
    stored: &StoredMessage,
    error: &str,
) -> Result<Option<InLetter>, Lost> {
    warn!(subject = stored.message.subject, sequence = stored.sequence, reason = %end.reason(), error, "dead letter");
    span::put_aside(&Span::current(), stored, end.reason().as_str(), error);
    match until_stored(lease, || mesh_bus::dead_letter(bus, end, stored, error)).await? {
        Outcome::Stored(content) => {
            observe::letter(end.reason());
            Ok(Some(content))
        }
        Outcome::TooLarge(error) => {
            warn!(error, "the dead letter cannot be stored");
            Ok(None)
        }
    }
}

async fn until_stored<T, F: Future<Output = Result<T, PublishError>>>(
    lease: &Lease,
    publish: impl FnMut() -> F,
) -> Result<Outcome<T>, Lost> {
    match persist(|| lease.is_lost(), publish).await {
        Persisted::Stored(stored) => Ok(Outcome::Stored(stored)),
        Persisted::TooLarge(error) => Ok(Outcome::TooLarge(error)),
        Persisted::GivenUp => Err(Lost),
    }
}

/// The decision to store in place of one that is larger than the server takes.
fn without_content(decision: Decision, error: &str) -> Option<Decision> {
    let message = format!("the event would be too large for the server: {error}");
    let code = code::PAYLOAD_TOO_LARGE.to_owned();
    let action = match decision.action {
        Action::Create(key, _) | Action::StartChild(key, _) => {
            Action::GiveUp(key, TaskError { code, message, retryable: false, retry_after: None })
        }
        Action::Report(key, result) => {
            let error = match *result {
                Ok(_) => TaskError { code, message, retryable: false, retry_after: None },
                Err(error) => {
                    TaskError { code: shorten(&error.code), message: shorten(&error.message), ..error }
                }
            };
            Action::Report(key, Box::new(Err(error)))
        }
        Action::CancelChild(key, reason) => Action::CancelChild(key, shorten(&reason)),
        Action::End(End::Completed(end)) => Action::End(End::Failed(WorkflowFailed {
            error: RunError { code, message },
            task: None,
            duration_ms: end.duration_ms,
            tasks: end.tasks,
        })),
        Action::End(End::Failed(end)) => {
            let error = RunError { code: shorten(&end.error.code), message: shorten(&end.error.message) };
            Action::End(End::Failed(WorkflowFailed { error, ..end }))
        }
        Action::End(End::Cancelled(end)) => {
            let reason = end.reason.as_deref().map(shorten);
            Action::End(End::Cancelled(WorkflowCancelled { reason, ..end }))
        }
        Action::Pause(number, data) => {
            let reason = data.reason.as_deref().map(shorten);
            Action::Pause(number, WorkflowPaused { reason, ..data })
        }
        Action::Route(..) | Action::GiveUp(..) | Action::SetTimer(..) | Action::Resume(_) => return None,
    };
    Some(Decision { action, ..decision })
}

/// The beginning of a text that leaves no room for what stands beside it.
pub(crate) fn shorten(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_SHORT_BYTES);
    if end == text.len() { text.to_owned() } else { format!("{}… ({} bytes)", &text[..end], text.len()) }
}

/// What those who are not reading the log should know at once. Nothing depends on it.
async fn tell(bus: &dyn Bus, header: &Header, decision: &Decision) {
    match &decision.action {
        Action::GiveUp(key, error) => {
            let _ = bus.notify(encode::cancelled(bus.namespace(), header, decision, key, error)).await;
        }
        Action::End(_) => {
            let _ = bus.unschedule(&encode::deadline_subject(bus.namespace(), header)).await;
        }
        Action::Create(..)
        | Action::Route(..)
        | Action::SetTimer(..)
        | Action::StartChild(..)
        | Action::CancelChild(..)
        | Action::Report(..)
        | Action::Pause(..)
        | Action::Resume(_) => {}
    }
}
