//! Which runs are open, as far as that can be told with little work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_bus::history::Stage;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, From, MAX_SHORT_RUN};
use mesh_schemas::{AgentId, Capability, RunId, Subject, WorkflowName, WorkflowVerb};
use serde::Serialize;

use super::flow::{Begun, Passed};
use crate::commands::runs::{run_filters, task_notes};
use crate::commands::trace::story::{Fact, Story};
use crate::follow::present;

/// Most messages of work that are looked at for open runs: the oldest, as what is old and still there is most often of runs that
/// hang.
const OLDEST_WORK: usize = 1_000;
/// Runs that began since then are looked for among beginnings and ends. It is how long runs stay in the log after their end, if
/// nothing else is said: what is older and has work is among the oldest work.
const RECENT: TimeDelta = TimeDelta::hours(1);
/// Most beginnings and ends that are looked at.
const RECENT_EVENTS: usize = 2_000;
/// Most runs of either kind of which it is asked whether they have ended.
const ASKED: usize = 200;
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
        self.is_full |= passed.is_full;
        for (run, begun) in &passed.runs {
            match begun {
                None => drop(self.known.remove(run)),
                Some(_) if self.known.len() >= MOST => self.is_full = true,
                Some(begun) => drop(self.known.entry(*run).or_insert_with(|| begun.clone())),
            }
        }
    }

    /// Looks for open runs among those of the last hour and those with the oldest work, every now and then.
    pub(super) async fn look(&mut self, bus: &dyn Bus) -> Result<(), BusError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < AGAIN) {
            return Ok(());
        }
        for (run, begun) in recent(bus).await? {
            self.known.entry(run).or_insert(begun);
        }
        for run in with_oldest_work(bus).await? {
            match begun(bus, &run).await? {
                Some(begun) => drop(self.known.insert(run, begun)),
                None => drop(self.known.remove(&run)),
            }
        }
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// The runs that began first, with what they wait for.
    pub(super) async fn slowest(
        &mut self,
        bus: &dyn Bus,
        is_served: impl Fn(&Capability) -> bool,
        is_alive: impl Fn(&AgentId) -> bool,
    ) -> Result<Vec<OpenRun>, BusError> {
        let mut oldest: Vec<(RunId, Begun)> =
            self.known.iter().map(|(run, begun)| (*run, begun.clone())).collect();
        oldest.sort_by_key(|(_, begun)| begun.at);
        oldest.truncate(READ);
        let runs: Vec<RunId> = oldest.iter().map(|(run, _)| *run).collect();
        let mut facts = facts(bus, &runs).await?;
        let mut slowest = Vec::new();
        for (run, Begun { workflow, at }) in oldest {
            let (last_event, waiting_for) = (None, Vec::new());
            let mut open = OpenRun { run, workflow, started: at, last_event, waiting_for, is_stuck: false };
            let facts = facts.remove(&run).unwrap_or_default();
            if let Some(mut story) = Story::of(bus.namespace(), facts) {
                story.note_unserved(&is_served);
                story.note_silence(&is_alive);
                story.settle(bus.now());
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

/// Open runs that began not long ago: those that have no end among the events that are looked at.
async fn recent(bus: &dyn Bus) -> Result<Vec<(RunId, Begun)>, BusError> {
    let namespace = bus.namespace();
    let filter = format!("{namespace}.workflow.*.*.-.*.*");
    let from = From::Time(bus.now() - RECENT);
    let mut events = present(bus, Stream::Events, vec![filter], from).await?.take(RECENT_EVENTS);
    let mut open = BTreeMap::new();
    let mut looked_at = 0;
    while let Some(stored) = events.try_next().await? {
        looked_at += 1;
        match Subject::parse(namespace, &stored.message.subject) {
            Ok(Subject::Workflow { verb: WorkflowVerb::Started, workflow, run }) => {
                open.insert(run, Begun { workflow, at: stored.time });
            }
            Ok(Subject::Workflow { run, .. }) => drop(open.remove(&run)),
            _ => {}
        }
    }
    let mut open: Vec<(RunId, Begun)> = open.into_iter().collect();
    if looked_at < RECENT_EVENTS {
        return Ok(open);
    }
    // The ends of some may stand behind what was looked at.
    open.sort_by_key(|(_, begun)| begun.at);
    open.truncate(ASKED);
    let mut surely = Vec::new();
    for (run, _) in open {
        surely.extend(begun(bus, &run).await?.map(|begun| (run, begun)));
    }
    Ok(surely)
}

/// The runs of the oldest work, in its order.
async fn with_oldest_work(bus: &dyn Bus) -> Result<Vec<RunId>, BusError> {
    let namespace = bus.namespace();
    let filter = format!("{namespace}.task.created.>");
    let mut work = present(bus, Stream::Tasks, vec![filter], From::Begin).await?.take(OLDEST_WORK);
    let mut seen = BTreeSet::new();
    let mut runs = Vec::new();
    while let Some(stored) = work.try_next().await? {
        let run = Subject::run_of(namespace, &stored.message.subject);
        runs.extend(run.filter(|run| seen.insert(*run)));
    }
    runs.truncate(ASKED);
    Ok(runs)
}

/// The beginning of a run, if it has not ended.
async fn begun(bus: &dyn Bus, run: &RunId) -> Result<Option<Begun>, BusError> {
    let namespace = bus.namespace();
    let itself = bus.read_run_itself(run).await?.events;
    if itself.iter().any(|stored| Stage::of(namespace, stored) == Stage::End) {
        return Ok(None);
    }
    Ok(itself.iter().find_map(|stored| match Subject::parse(namespace, &stored.message.subject) {
        Ok(Subject::Workflow { verb: WorkflowVerb::Started, workflow, .. }) => {
            Some(Begun { workflow, at: stored.time })
        }
        _ => None,
    }))
}

impl OpenRun {
    /// Takes over what the course of the run tells.
    pub(super) fn read(&mut self, story: &Story, now: DateTime<Utc>) {
        self.started = story.started;
        self.last_event = Some(story.last_event);
        self.waiting_for.clone_from(&story.waiting_for);
        self.is_stuck = story.is_left_alone() || now - story.last_event >= STILL;
    }
}

/// The events of some runs that are no long ones: reading them costs the same however large the log is.
async fn facts(bus: &dyn Bus, runs: &[RunId]) -> Result<BTreeMap<RunId, Vec<Fact>>, BusError> {
    let namespace = bus.namespace();
    let mut facts: BTreeMap<RunId, Vec<Fact>> = BTreeMap::new();
    for run in runs {
        if let Some(log) = bus.read_short_run(run, MAX_SHORT_RUN).await? {
            let events = log.events.iter();
            let events = events.filter_map(|stored| Fact::of(namespace, Stream::Events, stored)).collect();
            facts.insert(*run, events);
        }
    }
    // All of them together, as each reading is a consumer of the server.
    let of_work = facts.keys().flat_map(|run| run_filters(namespace, run)).collect();
    let of_notes = facts.keys().flat_map(|run| task_notes(namespace, run)).collect();
    for (stream, filters) in [(Stream::Tasks, of_work), (Stream::Notes, of_notes)] {
        if facts.is_empty() {
            break;
        }
        let messages = present(bus, stream, filters, From::Begin).await?;
        let mut messages = messages.take(READ * MAX_SHORT_RUN);
        while let Some(stored) = messages.try_next().await? {
            let fact = Fact::of(namespace, stream, &stored);
            if let Some((run, fact)) = fact.and_then(|fact| Some((fact.subject.run()?, fact))) {
                facts.entry(run).or_default().push(fact);
            }
        }
    }
    Ok(facts)
}
