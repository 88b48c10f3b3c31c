//! Reads a run from the log: all of it, or what is behind its newest checkpoint.

use std::sync::Arc;
use std::time::Duration;

use mesh_bus::history::{Stage, is_checkpoint};
use mesh_bus::{BusError, RunLog};
use mesh_core::{Content, Event, Fact, Plan, Run, Started, Unreadable};
use mesh_schemas::{StoredMessage, TaskKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tracing::debug;

use super::checkpoint::{Found, Place};
use super::load::Loader;
use super::settle::Verdict;
use crate::lease::Lease;
use crate::log;
use crate::service::Shared;

/// Pause before a run is read again from a server that has not caught up.
pub(super) const BEHIND_PAUSE: Duration = Duration::from_millis(20);

/// What the log has of a run.
pub(super) struct Log {
    pub(super) started: Box<Event>,
    /// Bytes of `started` and of what it refers to or, if the run is saved, of its state.
    pub(super) bytes: usize,
    /// The run up to a checkpoint, if there is one of use.
    pub(super) saved: Option<Run>,
    /// The events behind that, or behind `started`.
    pub(super) rest: Vec<StoredMessage>,
    /// Everything up to here is known.
    pub(super) end: u64,
    pub(super) places: Vec<Place>,
    pub(super) _turn: Turn,
}

/// Kept while a long run is read and folded.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

/// How many runs an orchestrator reads at once, over all shards.
pub(crate) struct Reads {
    /// Short ones: enough to keep a server busy, few enough for its answers to come in time.
    short: Semaphore,
    /// Long ones: each may take a hundred megabytes while it is read.
    long: Arc<Semaphore>,
}

impl Default for Reads {
    fn default() -> Self {
        Self { short: Semaphore::new(64), long: Arc::new(Semaphore::new(2)) }
    }
}

impl Reads {
    /// A turn to read a short run, or what is archived of one.
    pub(super) async fn short_run(&self) -> Option<SemaphorePermit<'_>> {
        self.short.acquire().await.ok()
    }

    /// A turn to read a long run.
    pub(crate) async fn long_run(&self) -> Turn {
        Arc::clone(&self.long).acquire_owned().await.ok()
    }
}

/// What is read so far.
pub(super) enum Reading {
    Log(Box<Log>),
    /// The log has no `started` of the run.
    Nothing,
    /// The definition or the rules that the run follows are not known here, or not yet.
    Unknown(Verdict),
    /// This version does not understand an event of the run.
    Newer(String),
    /// The server that answered lacks what was delivered.
    Behind,
}

impl Loader {
    /// Reads the run from a server that knows at least as much as whoever had the shard before; `None` if the lease
    /// was lost meanwhile.
    pub(super) async fn read(&self, lease: &Lease, event: &Event) -> Option<Reading> {
        loop {
            if lease.is_lost() {
                return None;
            }
            match self.try_read(event).await {
                Ok(Reading::Behind) => debug!(run = %event.run, "the server that answered is behind"),
                Ok(read) => return Some(read),
                Err(error) => debug!(run = %event.run, %error, "the run cannot be read yet"),
            }
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
    }

    async fn try_read(&self, event: &Event) -> Result<Reading, BusError> {
        let (bus, run) = (&*self.shared.bus, &event.run);
        let taken_over = self.taken_over.get_or_try_init(|| bus.delivered(&self.consumer)).await?;
        let must_reach = self.given.max(*taken_over);
        let short = match event.fact {
            // Who asks for a run to be looked at again wants it looked at, not at what somebody wrote about it.
            Fact::Check => None,
            _ => {
                let _turn = self.shared.reads.short_run().await;
                bus.read_short_run(run, self.shared.checkpoint_after).await?
            }
        };
        let mut turn = None;
        if short.is_none() {
            turn = self.shared.reads.long_run().await;
            if event.fact != Fact::Check
                && let Some(read) = self.read_from_checkpoint(event, must_reach, &mut turn).await?
            {
                return Ok(read);
            }
        }
        let RunLog { mut events, end } = match short {
            Some(log) => log,
            None => bus.read_run(run).await?,
        };
        if end < must_reach {
            return Ok(Reading::Behind);
        }
        let mut found = None;
        for (place, stored) in events.iter().enumerate() {
            if let Some((started, bytes)) = self.started(stored, event).await? {
                found = Some((place, started, bytes));
                break;
            }
        }
        let Some((place, started, bytes)) = found else {
            let newer = events.iter().find_map(|stored| match Event::read(bus.namespace(), stored) {
                Err(Unreadable::Newer(why)) => Some(why),
                _ => None,
            });
            return Ok(newer.map_or(Reading::Nothing, Reading::Newer));
        };
        let checkpoints =
            events.iter().filter_map(|stored| Found::read(bus.namespace(), stored, self.shared.rules));
        let places = checkpoints.map(|found| found.place).collect();
        let mut rest = events.split_off(place + 1);
        rest.retain(|stored| !is_checkpoint(bus.namespace(), stored));
        Ok(Reading::Log(Box::new(Log { started, bytes, saved: None, rest, end, places, _turn: turn })))
    }

    /// Reads a long run from its newest checkpoint that is of use; `None` if it has none.
    async fn read_from_checkpoint(
        &self,
        event: &Event,
        must_reach: u64,
        turn: &mut Turn,
    ) -> Result<Option<Reading>, BusError> {
        let (bus, run) = (&*self.shared.bus, &event.run);
        let itself = bus.read_run_itself(run).await?.events;
        let found: Vec<Found> = itself
            .iter()
            .filter_map(|stored| Found::read(bus.namespace(), stored, self.shared.rules))
            .collect();
        if found.is_empty() {
            return Ok(None);
        }
        let mut first = None;
        for stored in &itself {
            first = self.started(stored, event).await?;
            if first.is_some() {
                break;
            }
        }
        let Some((first, _)) = first else { return Ok(None) };
        let Fact::Started(started) = &first.fact else { return Ok(None) };
        let plan = match plan(&self.shared, started).await {
            Ok(plan) => plan,
            Err(verdict) => return Ok(Some(Reading::Unknown(verdict))),
        };
        for checkpoint in found.iter().rev() {
            let Some(state) = checkpoint.state(bus).await else { continue };
            let saved = match Run::restore(&first, started, Arc::clone(&plan), &state) {
                Ok(saved) if saved.upto() == checkpoint.upto() => saved,
                Ok(_) => continue,
                Err(error) => {
                    debug!(%run, %error, "a checkpoint is left out of account");
                    continue;
                }
            };
            let RunLog { events: mut rest, end } = bus.read_run_after(run, checkpoint.upto()).await?;
            // Another server may answer than the one that has the checkpoint.
            if end < must_reach.max(checkpoint.upto()) {
                return Ok(Some(Reading::Behind));
            }
            rest.retain(|stored| !is_checkpoint(bus.namespace(), stored));
            // A result that counts here, and that somebody did not find: what follows is what all of the log says.
            let lost = log::lost(bus.namespace(), &rest);
            if lost.iter().any(|key: &TaskKey| saved.has_used(key)) {
                debug!(%run, "a result that a checkpoint has was given up as lost: reading all of the log");
                return Ok(None);
            }
            let places = found.into_iter().map(|found| found.place).collect();
            let (bytes, turn) = (state.len(), turn.take());
            let log = Log { started: first, bytes, saved: Some(saved), rest, end, places, _turn: turn };
            return Ok(Some(Reading::Log(Box::new(log))));
        }
        Ok(None)
    }

    /// The first event of a run with what it refers to, if this is one, and how many bytes that is; `known` is an event
    /// that was read already.
    async fn started(
        &self,
        stored: &StoredMessage,
        known: &Event,
    ) -> Result<Option<(Box<Event>, usize)>, BusError> {
        let (bus, mut bytes) = (&*self.shared.bus, stored.message.payload.len());
        if Stage::of(bus.namespace(), stored) != Stage::Beginning {
            return Ok(None);
        }
        let event = match Event::read(bus.namespace(), stored) {
            Err(Unreadable::Elsewhere(_)) if stored.sequence == known.sequence => Ok(known.clone()),
            Err(Unreadable::Elsewhere(reference)) => {
                let (content, length): (Content, usize) = log::content(bus, &reference).await?;
                bytes += length;
                Event::read_with(bus.namespace(), stored, content)
            }
            read => read,
        };
        let event = event.ok().filter(|event| matches!(event.fact, Fact::Started(_)));
        Ok(event.map(|event| (Box::new(event), bytes)))
    }
}

/// Why this orchestrator does not know the rules that a run follows, if so.
pub(crate) fn newer_rules(shared: &Shared, started: &Started) -> Option<String> {
    let (rules, known) = (started.data.rules, shared.rules);
    (rules > known).then(|| format!("a run by rules {rules}, and {known} are the newest known here"))
}

/// The plan that a run is pinned to, or what to do if this instance does not know it, or not the rules.
pub(super) async fn plan(shared: &Shared, started: &Started) -> Result<Arc<Plan>, Verdict> {
    let data = &started.data;
    if let Some(why) = newer_rules(shared, started) {
        return Err(Verdict::Beyond(why));
    }
    let definitions = &shared.definitions;
    let known = match (&started.workflow, &data.capability) {
        (None, Some(capability)) => definitions.single_task(capability),
        (Some(name), _) => match definitions.get(name, &data.digest).await {
            Ok(known) => known,
            // One that holds a large definition, which somebody may put there again.
            Err(error @ BusError::Damaged { .. }) => return Err(Verdict::Beyond(error.to_string())),
            Err(error) => {
                debug!(%error, "the definition cannot be read yet");
                return Err(Verdict::Later);
            }
        },
        (None, None) => None,
    };
    let plan = known.map(|known| Arc::clone(&known.plan)).filter(|plan| plan.digest == data.digest);
    plan.ok_or_else(|| {
        Verdict::Beyond(format!("the definition {} is missing, or written for a newer mesh", data.digest))
    })
}
