use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{Fuse, select};
use mesh_schemas::payload::{
    RequestRejected, WorkflowCancelled, WorkflowCompleted, WorkflowFailed, WorkflowStarted,
};
use mesh_schemas::{Envelope, EnvelopeError, Namespace, RunId, StoredMessage, Subject, WorkflowVerb};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::bus::{Bus, Subscription};
use crate::error::BusError;
use crate::history::{History, Stage};
use crate::large::{ReferenceError, whole, without_large};
use crate::patience::for_a_while;
use crate::topology::Stream;

/// Pause before looking without having been woken, as what wakes may be lost with a connection: a tenth of the time
/// that was waited already, within these limits. So a wait of a day costs some thousand looks, and whoever has waited
/// for minutes learns of a lost wake soon enough.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    /// With an output.
    Completed(WorkflowCompleted),
    /// With an error.
    Failed(WorkflowFailed),
    /// By a cancel signal.
    Cancelled(WorkflowCancelled),
    /// It never began: the request was refused.
    Rejected(RequestRejected),
}

impl RunOutcome {
    /// The end of a run, if that is what a message of the log tells. A message that refers to its output is read after
    /// [`whole`] has fetched it.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it is an end that cannot be read.
    pub fn read(namespace: &Namespace, stored: &StoredMessage) -> Result<Option<Self>, EnvelopeError> {
        let Ok(Subject::Workflow { verb, .. }) = Subject::parse(namespace, &stored.message.subject) else {
            return Ok(None);
        };
        Ok(match verb {
            WorkflowVerb::Completed => Some(Self::Completed(data(stored)?)),
            WorkflowVerb::Failed => Some(Self::Failed(data(stored)?)),
            WorkflowVerb::Cancelled => Some(Self::Cancelled(data(stored)?)),
            WorkflowVerb::Started => None,
        })
    }
}

/// Waits for the end of one run.
///
/// It listens to events as they pass, but only to know when to look: what passes may not have been stored, and
/// what was stored may have passed unheard. The answer is always what the log holds, or the run's history.
pub struct RunWaiter {
    bus: Arc<dyn Bus>,
    run: RunId,
    wake: Fuse<Subscription>,
    since: Instant,
    /// Rejections up to this sequence are of earlier requests.
    rejected_before: u64,
}

impl std::fmt::Debug for RunWaiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunWaiter").field("run", &self.run).finish_non_exhaustive()
    }
}

impl RunWaiter {
    /// Waits for a run that may have ended, or been rejected, already.
    ///
    /// # Errors
    /// [`BusError`] if the bus cannot be reached for half a minute.
    pub async fn new(bus: Arc<dyn Bus>, run: RunId) -> Result<Self, BusError> {
        let namespace = bus.namespace();
        let ends = format!("{namespace}.workflow.*.*.-.{run}");
        let ended = for_a_while(BusError::is_retryable, || bus.subscribe(&ends)).await?;
        let rejections = rejections(namespace, &run);
        let rejected = for_a_while(BusError::is_retryable, || bus.subscribe(&rejections)).await?;
        let wake: Subscription = select(ended, rejected).boxed();
        Ok(Self { bus, run, wake: wake.fuse(), since: Instant::now(), rejected_before: 0 })
    }

    /// Waits for the run of a request that is submitted after this: a rejection that stands already was the
    /// answer to an earlier try.
    ///
    /// # Errors
    /// [`BusError`] if the bus cannot be reached for half a minute.
    pub async fn before_submit(bus: Arc<dyn Bus>, run: RunId) -> Result<Self, BusError> {
        let earlier = for_a_while(BusError::is_retryable, || last_rejection(bus.as_ref(), &run)).await?;
        let mut waiter = Self::new(bus, run).await?;
        waiter.rejected_before = earlier.map_or(0, |stored| stored.sequence);
        Ok(waiter)
    }

    /// Waits until the run has ended. Bound it with a time limit if you have one. May be dropped and called again.
    ///
    /// # Errors
    /// [`BusError`] that trying again does not mend, or [`BusError::Refused`] if the outcome is there and cannot
    /// be read. While the bus cannot be reached, it goes on trying.
    pub async fn wait(&mut self) -> Result<RunOutcome, BusError> {
        loop {
            match self.look().await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                Err(error) if error.is_retryable() => {
                    tracing::debug!(run = %self.run, %error, "looking again")
                }
                Err(error) => return Err(error),
            }
            // `None` is the end of the subscription: then only the clock wakes.
            let pause = self.pause();
            tokio::select! {
                biased;
                Some(_) = self.wake.next() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        let (shortest, longest) = LOOK_AGAIN;
        (self.since.elapsed() / 10).clamp(shortest, longest)
    }

    /// How the run ended, if it has.
    ///
    /// # Errors
    /// As [`RunWaiter::wait`], and [`BusError::Unavailable`] while the bus cannot be reached.
    pub async fn look(&mut self) -> Result<Option<RunOutcome>, BusError> {
        let mut events = self.bus.read_run_itself(&self.run).await?.events;
        let namespace = self.bus.namespace();
        if !events.iter().any(|stored| is_beginning(namespace, stored) || is_end(namespace, stored)) {
            // It has not begun, or what there was of it is archived.
            let history = History::read(namespace, &self.bus.read_history(&self.run).await?);
            events = history.of(Stream::Events).cloned().collect();
        }
        let end = events.iter().find(|stored| is_end(namespace, stored)).cloned();
        let outcome = match end {
            Some(end) => Some(outcome(&*self.bus, &self.run, end).await?),
            None => None,
        };
        // A run that began was not rejected, whatever became of earlier tries of its request.
        if outcome.is_some() || events.iter().any(|stored| is_beginning(namespace, stored)) {
            return Ok(outcome);
        }
        let rejection = last_rejection(self.bus.as_ref(), &self.run).await?;
        let rejection = rejection.filter(|stored| stored.sequence > self.rejected_before);
        let rejection = rejection.map(|stored| data(&stored)).transpose();
        Ok(rejection.map_err(|error| unreadable(&self.run, &error))?.map(RunOutcome::Rejected))
    }
}

/// The outcome of a run by the event that ends it, with an output that is elsewhere.
async fn outcome(bus: &dyn Bus, run: &RunId, end: StoredMessage) -> Result<RunOutcome, BusError> {
    let end = match whole(bus, end).await {
        Ok(end) => end,
        Err(ReferenceError::Bus(error)) => return Err(error),
        Err(ReferenceError::Lost(error)) => {
            return Err(BusError::Damaged { name: format!("with the output of run {run}"), error });
        }
    };
    let read = RunOutcome::read(bus.namespace(), &end).map_err(|error| unreadable(run, &error))?;
    read.ok_or_else(|| unreadable(run, &"it is no end of a run"))
}

fn unreadable(run: &RunId, error: &dyn std::fmt::Display) -> BusError {
    let operation = format!("read the outcome of run {run}");
    BusError::Refused { operation, error: error.to_string() }
}

async fn last_rejection(bus: &dyn Bus, run: &RunId) -> Result<Option<StoredMessage>, BusError> {
    bus.last(Stream::Notes, &rejections(bus.namespace(), run)).await
}

fn rejections(namespace: &Namespace, run: &RunId) -> String {
    format!("{namespace}.request.rejected.*.{}", run.uuid())
}

fn is_end(namespace: &Namespace, stored: &StoredMessage) -> bool {
    Stage::of(namespace, stored) == Stage::End
}

/// Whether an event begins its run, and can be read.
fn is_beginning(namespace: &Namespace, stored: &StoredMessage) -> bool {
    Stage::of(namespace, stored) == Stage::Beginning
        && data::<WorkflowStarted>(&without_large(namespace, stored)).is_ok()
}

fn data<T: DeserializeOwned>(stored: &StoredMessage) -> Result<T, EnvelopeError> {
    let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload)?;
    T::deserialize(decoded.data()).map_err(|error| EnvelopeError::Data {
        type_: stored.message.subject.clone(),
        error: error.to_string(),
    })
}
