//! Which runs are open, as far as that can be told with little work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_bus::history::Stage;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, From, MAX_SHORT_RUN};
use mesh_schemas::{Capability, RunId, Subject, WorkflowName, WorkflowVerb};
use serde::Serialize;

use super::flow::{Begun, Passed};
use crate::commands::runs::{run_filters, task_notes};
use crate::commands::trace::story::{Fact, Story};
use crate::follow::present;

/// Most messages of work that are looked at for open runs: the oldest, as what is old and still there is most often of runs that
/// hang.
pub(super) const OLDEST_WORK: usize = 1_000;
/// Most runs of those of which it is asked whether they have ended.
const OLDEST_RUNS: usize = 200;
/// How often that is done.
const AGAIN: Duration = Duration::from_secs(30);
/// Most open runs that are remembered.
const MOST: usize = 10_000;
/// Open runs that are read, to tell what they wait for: those that began first.
const READ: usize = 10;
/// A run in which nothing happened for so long is stuck, or at something long.
pub(super) const STILL: TimeDelta = TimeDelta::seconds(60);

/// The open runs that are known.
#[derive(Default)]
pub(super) struct OpenRuns {
    known: BTreeMap<RunId, Begun>,
    looked: Option<Instant>,
    /// Whether there were more than can be remembered.
    pub(super) is_full: bool,
}

/// An open run, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OpenRun {
    pub(super) run: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workflow: Option<WorkflowName>,
    pub(super) started: DateTime<Utc>,
    /// When something happened in it last, if it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_event: Option<DateTime<Utc>>,
    /// What it waits for, in words.
    pub(super) waiting_for: Vec<String>,
    /// Whether it cannot go on by itself, or nothing happened for long.
    pub(super) is_stuck: bool,
}

impl OpenRuns {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes over which runs began and ended meanwhile.
    pub(super) fn hear(&mut self, passed: &Passed) {
        for (run, begun) in &passed.runs {
            match begun {
                None => drop(self.known.remove(run)),
                Some(_) if self.known.len() >= MOST => self.is_full = true,
                Some(begun) => drop(self.known.entry(*run).or_insert_with(|| begun.clone())),
            }
        }
    }

    /// Looks for open runs among those with the oldest work, every now and then.
    pub(super) async fn look(&mut self, bus: &dyn Bus) -> Result<(), BusError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < AGAIN) {
            return Ok(());
        }
        let namespace = bus.namespace();
        let work =
            present(bus, Stream::Tasks, vec![format!("{namespace}.task.created.>")], From::Begin).await?;
        let mut work = work.take(OLDEST_WORK);
        let mut runs = BTreeSet::new();
        let mut order = Vec::new();
        while let Some(stored) = work.try_next().await? {
            let run = Subject::run_of(namespace, &stored.message.subject);
            order.extend(run.filter(|run| runs.insert(*run)));
        }
        drop(work);
        for run in order.into_iter().take(OLDEST_RUNS) {
            let itself = bus.read_run_itself(&run).await?.events;
            if itself.iter().any(|stored| Stage::of(namespace, stored) == Stage::End) {
                self.known.remove(&run);
                continue;
            }
            let begun =
                itself.iter().find_map(|stored| match Subject::parse(namespace, &stored.message.subject) {
                    Ok(Subject::Workflow { verb: WorkflowVerb::Started, workflow, .. }) => {
                        Some(Begun { workflow, at: stored.time })
                    }
                    _ => None,
                });
            self.known.extend(begun.map(|begun| (run, begun)));
        }
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// The runs that began first, with what they wait for.
    pub(super) async fn slowest(
        &mut self,
        bus: &dyn Bus,
        is_served: impl Fn(&Capability) -> bool,
    ) -> Result<Vec<OpenRun>, BusError> {
        let mut oldest: Vec<(RunId, Begun)> =
            self.known.iter().map(|(run, begun)| (*run, begun.clone())).collect();
        oldest.sort_by_key(|(_, begun)| begun.at);
        oldest.truncate(READ);
        let mut slowest = Vec::new();
        for (run, Begun { workflow, at }) in oldest {
            let mut open = OpenRun {
                run,
                workflow,
                started: at,
                last_event: None,
                waiting_for: Vec::new(),
                is_stuck: false,
            };
            if let Some(story) = story(bus, &run, &is_served).await? {
                if story.ended.is_some() {
                    // Its end passed unheard.
                    self.known.remove(&run);
                    continue;
                }
                open.read(&story, bus.now());
            }
            slowest.push(open);
        }
        Ok(slowest)
    }
}

impl OpenRun {
    /// Takes over what the course of the run tells.
    pub(super) fn read(&mut self, story: &Story, now: DateTime<Utc>) {
        let mut attempts = story.tasks.iter().flat_map(|task| &task.attempts);
        let is_unserved = attempts.any(|attempt| attempt.is_open() && attempt.is_unserved);
        self.started = story.started;
        self.last_event = Some(story.last_event);
        self.waiting_for.clone_from(&story.waiting_for);
        self.is_stuck = is_unserved || now - story.last_event >= STILL;
    }
}

/// The course of a run, if it is no long one: reading one costs the same however large the log is.
async fn story(
    bus: &dyn Bus,
    run: &RunId,
    is_served: &impl Fn(&Capability) -> bool,
) -> Result<Option<Story>, BusError> {
    let namespace = bus.namespace();
    let Some(log) = bus.read_short_run(run, MAX_SHORT_RUN).await? else { return Ok(None) };
    let mut facts: Vec<Fact> =
        log.events.iter().filter_map(|stored| Fact::of(namespace, Stream::Events, stored)).collect();
    for (stream, filters) in
        [(Stream::Tasks, run_filters(namespace, run)), (Stream::Notes, task_notes(namespace, run))]
    {
        let mut messages = present(bus, stream, filters, From::Begin).await?.take(MAX_SHORT_RUN);
        while let Some(stored) = messages.try_next().await? {
            facts.extend(Fact::of(namespace, stream, &stored));
        }
    }
    let Some(mut story) = Story::of(namespace, facts) else { return Ok(None) };
    for attempt in story.tasks.iter_mut().flat_map(|task| &mut task.attempts) {
        attempt.is_unserved = attempt.capability.as_ref().is_some_and(|needed| !is_served(needed));
    }
    story.settle(bus.now());
    Ok(Some(story))
}
