use std::sync::Arc;

use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{
    Bus, BusError, Follow, From, Request, RunOutcome, Subscription, history, read_whole_run, submit,
};
use mesh_orchestrator::log;
use mesh_schemas::payload::TaskProgress;
use mesh_schemas::{Envelope, ErrorCode, Message, RunId, StoredMessage, Subject, TaskVerb};
use serde::Deserialize as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::super::begin::rejections;
use super::super::cancel::BEGINS_WITHIN;
use super::super::show::unknown;
use super::super::state::{EVENTS_GONE, Past, RunReader, RunState, data, run_filters, task_notes};
use super::Display;
use super::patience::{LOOK, Patience};
use crate::failure::Failure;
use crate::follow::follow;

/// Shows a run until it ends; submits its request first, if there is one.
pub(super) async fn watch(
    bus: Arc<dyn Bus>,
    run: RunId,
    request: Option<&Request>,
    display: &mut dyn Display,
) -> anyhow::Result<RunOutcome> {
    let mut watcher = Watcher::new(bus, run, request.is_some()).await?;
    if let Some(request) = request {
        submit(&*watcher.bus, request).await?;
    }
    watcher.watch(display).await
}

/// Everything that tells of a run as it goes on.
struct Watcher {
    bus: Arc<dyn Bus>,
    run: RunId,
    reader: RunReader,
    is_submitted: bool,
    /// The run's part of the log: all that counts.
    events: Follow,
    /// Who takes which task.
    notes: Follow,
    rejections: Follow,
    /// How far agents are, as they say: nothing that is stored.
    progress: Subscription,
    state: Option<RunState>,
    watched_since: Instant,
    patience: Patience,
    /// Whether it was looked how long the workflow took before.
    knows_past: bool,
}

impl Watcher {
    /// With `is_submitted`, a rejection that stands already counts for nothing: it was the answer to an earlier try.
    async fn new(bus: Arc<dyn Bus>, run: RunId, is_submitted: bool) -> Result<Self, BusError> {
        let namespace = bus.namespace();
        let notes = task_notes(namespace, &run);
        let rejections = rejections(namespace, &run);
        let since = if is_submitted { From::Now } else { From::Begin };
        let progress = bus.subscribe(&format!("{namespace}.task.progress.*.*.{run}.*.*")).await?;
        Ok(Self {
            run,
            reader: RunReader::new(Arc::clone(&bus)),
            is_submitted,
            events: follow(&*bus, Stream::Events, run_filters(namespace, &run), From::Begin).await?,
            notes: follow(&*bus, Stream::Notes, notes, From::Begin).await?,
            rejections: follow(&*bus, Stream::Notes, rejections, since).await?,
            // The end of a subscription is no news.
            progress: progress.chain(futures::stream::pending()).boxed(),
            state: None,
            watched_since: Instant::now(),
            patience: Patience::default(),
            knows_past: false,
            bus,
        })
    }

    async fn watch(&mut self, display: &mut dyn Display) -> anyhow::Result<RunOutcome> {
        if history::archived(&*self.bus, &self.run).await?.is_some() {
            for stored in &read_whole_run(&*self.bus, &self.run).await?.events {
                if let Some(outcome) = self.event(stored, display).await? {
                    return Ok(outcome);
                }
            }
        }
        // What the log has of the run goes first: notes on what was over long ago are not shown then.
        while let Some(Some(stored)) = self.events.next().await.transpose()? {
            if let Some(outcome) = self.event(&stored, display).await? {
                return Ok(outcome);
            }
        }
        let mut looks = interval_at(Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(event) = self.events.next() => {
                    if let Some(stored) = event?
                        && let Some(outcome) = self.event(&stored, display).await?
                    {
                        return Ok(outcome);
                    }
                }
                Some(rejected) = self.rejections.next() => {
                    let rejected = rejected?.and_then(|stored| data(&stored));
                    if let (Some(rejected), None) = (rejected, &self.state) {
                        return Ok(RunOutcome::Rejected(rejected));
                    }
                }
                Some(note) = self.notes.next() => {
                    if let Some(stored) = note? {
                        self.note(&stored, display);
                    }
                }
                Some(message) = self.progress.next() => self.progress(&message, display),
                _ = looks.tick() => self.look(display).await?,
            }
        }
    }

    async fn event(
        &mut self,
        stored: &StoredMessage,
        display: &mut dyn Display,
    ) -> anyhow::Result<Option<RunOutcome>> {
        let stored = &log::whole_message(&*self.bus, stored.clone()).await?;
        let Some(state) = &mut self.state else {
            self.state = self.reader.begin(stored).await?;
            if let Some(state) = &mut self.state {
                display.begin(state);
            }
            return Ok(None);
        };
        let mut changed = state.apply(self.bus.namespace(), stored);
        if state.outcome.is_some() {
            self.reader.forget_what_is_gone(state).await?;
            if state.is_misled()
                && let Some(told) = self.reader.read(&self.run).await?
            {
                *state = told;
                changed = (0..state.tasks.len()).collect();
            }
        }
        display.change(state, &changed, stored.time);
        if state.events_gone {
            display.say(EVENTS_GONE);
        }
        if state.outcome.is_some() {
            display.end(state);
        }
        if let Some(error) = &state.output_lost {
            let message = format!("the output of run {} is lost: {error}", self.run);
            return Err(Failure::new(ErrorCode::LostObject, message).into());
        }
        Ok(state.outcome.clone())
    }

    fn note(&mut self, stored: &StoredMessage, display: &mut dyn Display) {
        if let Some(state) = &mut self.state
            && let Some(place) = state.note(self.bus.namespace(), stored)
        {
            display.change(state, &[place], stored.time);
        }
    }

    fn progress(&mut self, message: &Message, display: &mut dyn Display) {
        let Ok(Subject::Task { verb: TaskVerb::Progress, key }) =
            Subject::parse(self.bus.namespace(), &message.subject)
        else {
            return;
        };
        let told = Envelope::decode(&message.headers, &message.payload).ok();
        let told = told.and_then(|told| TaskProgress::deserialize(told.data()).ok());
        if let (Some(state), Some(told)) = (&mut self.state, told)
            && let Some(place) = state.progress(&key, told)
        {
            display.change(state, &[place], self.bus.now());
        }
    }

    async fn look(&mut self, display: &mut dyn Display) -> anyhow::Result<()> {
        if self.state.is_none() && !self.is_submitted {
            if self.watched_since.elapsed() < BEGINS_WITHIN {
                return Ok(());
            }
            return Err(unknown(Arc::clone(&self.bus), self.run).await);
        }
        if let Some(state) = &mut self.state {
            if !std::mem::replace(&mut self.knows_past, true) {
                state.past = Past::of(&*self.bus, state).await;
            }
            display.progress(state, self.bus.now());
        }
        match self.patience.look(&*self.bus, self.state.as_ref()).await {
            Ok(told) => told.iter().for_each(|text| display.say(text)),
            // The watching does not depend on it.
            Err(error) => tracing::debug!(%error, "cannot see what the run waits for"),
        }
        Ok(())
    }
}
