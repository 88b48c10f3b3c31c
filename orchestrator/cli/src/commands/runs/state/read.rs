//! Reading a run from the log and from its history.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt as _;
use mesh_bus::topology::{Bucket, Stream};
use mesh_bus::{Bus, BusError, From, History, RunOutcome, read_whole_run, without_large};
use mesh_core::{Content, Event, Fact, Started, Unreadable};
use mesh_orchestrator::definitions::Known;
use mesh_orchestrator::{Definitions, log};
use mesh_schemas::payload::AgentRegistered;
use mesh_schemas::{Capability, Envelope, ErrorCode, Namespace, RULES_VERSION, RunId, StoredMessage};
use serde::de::DeserializeOwned;

use super::{Past, RunState, Served, Waiting};
use crate::failure::Failure;
use crate::follow::{ask, present};

/// Reads runs, with the definitions that they follow.
pub(crate) struct RunReader {
    bus: Arc<dyn Bus>,
    definitions: Definitions,
}

impl RunReader {
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self { definitions: Definitions::new(Arc::clone(&bus)), bus }
    }

    /// How a run stands by its log alone; `None` if it has not begun.
    pub(crate) async fn read(&self, run: &RunId) -> anyhow::Result<Option<RunState>> {
        let whole = read_whole_run(&*self.bus, run).await?;
        let events = log::whole(&*self.bus, whole.events).await?;
        let mut state = None;
        for stored in &events {
            match &mut state {
                None => state = self.begin(stored).await?,
                Some(state) => {
                    state.apply(self.bus.namespace(), stored);
                }
            }
        }
        if let Some(state) = &mut state {
            (state.archived, state.late) = (whole.history.is_archived(), whole.history.late());
            self.forget_what_is_gone(state).await?;
            if state.is_misled() && !state.events_gone {
                let work = self.bus.read_work(run).await?;
                let work = whole.history.of(Stream::Tasks).chain(&work);
                state.tell_by_log(self.bus.namespace(), work, &events);
            }
            state.tell_needs();
        }
        Ok(state)
    }

    /// An end that the events before it do not lead to is that of a run whose events are gone, or one that somebody else
    /// wrote: the work that the run asked for tells.
    pub(crate) async fn forget_what_is_gone(&self, state: &mut RunState) -> Result<(), BusError> {
        if !state.is_unexplained {
            return Ok(());
        }
        let history = History::read(self.bus.namespace(), &self.bus.read_history(&state.run).await?);
        let is_whole = history.is_empty() || history.is_archived();
        let is_work_known =
            history.of(Stream::Tasks).next().is_some() || !self.bus.read_work(&state.run).await?.is_empty();
        if !is_whole || !is_work_known {
            state.forget_tasks();
        }
        Ok(())
    }

    /// How a run stands, with who is at its tasks, and whether there is anybody for those that nobody has taken.
    pub(crate) async fn read_with_notes(&self, run: &RunId) -> anyhow::Result<Option<RunState>> {
        let Some(mut state) = self.read(run).await? else { return Ok(None) };
        let filters = task_notes(self.bus.namespace(), run);
        let mut notes = present(&*self.bus, Stream::Notes, filters, From::Begin).await?;
        while let Some(stored) = notes.try_next().await? {
            state.note(self.bus.namespace(), &stored);
        }
        state.past = Past::of(&*self.bus, &state).await;
        state.progress = state.progress_at(self.bus.now());
        let registered = registered(&*self.bus).await?;
        for task in &mut state.tasks {
            if let Some(Waiting::Agent(served)) = &mut task.waiting {
                let is_served = task.capability.as_ref().is_some_and(|needed| registered.contains(needed));
                *served = if is_served { Served::BySomebody } else { Served::ByNobody };
            }
        }
        Ok(Some(state))
    }

    /// The state that an event begins, if it is the first of a run. What precedes that is no part of the run.
    pub(crate) async fn begin(&self, stored: &StoredMessage) -> anyhow::Result<Option<RunState>> {
        let namespace = self.bus.namespace();
        let event = match Event::read(namespace, stored) {
            // Whatever can be had was fetched.
            Err(Unreadable::Elsewhere(reference)) => {
                let lost = Content::Lost(format!("object {} is missing or damaged", reference.object));
                Event::read_with(namespace, stored, lost)
            }
            read => read,
        };
        let Ok(event) = event else { return Ok(None) };
        let Fact::Started(started) = &event.fact else { return Ok(None) };
        let known = self.followed(event.run, started).await?;
        let home = (namespace.clone(), ask(|| self.bus.shards()).await?);
        Ok(Some(RunState::begin(home, &event, started, Arc::clone(&known.plan))))
    }

    /// The definition that a run follows.
    pub(crate) async fn followed(&self, run: RunId, started: &Started) -> anyhow::Result<Arc<Known>> {
        let Started { workflow, data, .. } = started;
        if data.rules > RULES_VERSION {
            let message = format!(
                "run {} follows version {} of the rules, and this `mesh` knows versions up to {RULES_VERSION}: use a newer one",
                run, data.rules
            );
            return Err(Failure::new(ErrorCode::TooOld, message).into());
        }
        let known = match (workflow, &data.capability) {
            (Some(name), _) => ask(|| self.definitions.get(name, &data.digest)).await?,
            (None, Some(capability)) => self.definitions.single_task(capability),
            (None, None) => None,
        };
        known.ok_or_else(|| {
            let message = format!(
                "the definition {} that run {} follows is not on the server, or is written for a newer mesh: use a newer \
                 `mesh`, or apply the definition again",
                data.digest, run
            );
            Failure::new(ErrorCode::TooOld, message).into()
        })
    }
}

/// The capabilities of all agents that are alive.
pub(crate) async fn registered(bus: &dyn Bus) -> Result<BTreeSet<Capability>, BusError> {
    let entries = bus.entries(Bucket::Agents).await?;
    let agents =
        entries.iter().filter_map(|entry| serde_json::from_slice::<AgentRegistered>(&entry.value).ok());
    Ok(agents.flat_map(|agent| agent.capabilities).collect())
}

/// All subjects of a run in a stream of its events.
pub(crate) fn run_filters(namespace: &Namespace, run: &RunId) -> Vec<String> {
    vec![format!("{namespace}.*.*.*.*.{run}"), format!("{namespace}.*.*.*.*.{run}.>")]
}

/// The notes on who took tasks of a run, and who gave them back.
pub(crate) fn task_notes(namespace: &Namespace, run: &RunId) -> Vec<String> {
    ["assigned", "released"].map(|verb| format!("{namespace}.task.{verb}.*.*.{run}.*.*.*")).into()
}

/// The end of a run, if that is what an event tells; an output that the event does not carry is null.
pub(crate) fn ended(namespace: &Namespace, stored: &StoredMessage) -> Option<RunOutcome> {
    RunOutcome::read(namespace, &without_large(namespace, stored)).ok().flatten()
}

/// The data of a message, if it can be read.
pub(crate) fn data<T: DeserializeOwned>(stored: &StoredMessage) -> Option<T> {
    let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload).ok()?;
    T::deserialize(decoded.data()).ok()
}
