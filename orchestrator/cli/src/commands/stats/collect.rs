//! Which runs are looked at, and reading one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From, History, read_whole_run};
use mesh_schemas::{RunId, StoredMessage, Subject, WorkflowName, WorkflowVerb};

use crate::commands::runs::task_notes;
use crate::commands::trace::started_run;
use crate::commands::trace::story::{Fact, Story};
use crate::follow::present;

/// Most runs that a run started of which it is looked up when they began.
const MOST_CHILDREN: usize = 100;

/// Runs whose notes are read together.
pub(super) const TOGETHER: usize = 20;
/// Most notes of those: of very long runs, it is not told when all of their work was taken.
const MOST_NOTES: usize = 100_000;

/// The runs that are looked at.
pub(super) struct Chosen {
    /// The newest last.
    pub(super) runs: Vec<RunId>,
    /// How many more there are.
    pub(super) left_out: u64,
}

/// The newest runs of a workflow that began since a time, no more than so many. No more than those are in memory at a time,
/// however many there are.
pub(super) async fn newest(
    bus: &dyn Bus,
    workflow: &WorkflowName,
    since: DateTime<Utc>,
    limit: usize,
) -> anyhow::Result<Chosen> {
    let namespace = bus.namespace();
    let mut newest = VecDeque::new();
    let mut left_out = 0;
    let filter = format!("{namespace}.workflow.started.{workflow}.-.*.*");
    let mut started = present(bus, Stream::Events, vec![filter], From::Time(since)).await?;
    while let Some(stored) = started.try_next().await? {
        let subject = Subject::parse(namespace, &stored.message.subject).ok();
        newest.extend(subject.and_then(|subject| subject.run()));
        if newest.len() > limit {
            newest.pop_front();
            left_out += 1;
        }
    }
    if newest.len() < limit && left_out == 0 {
        // Those of which nothing is left in the log are older than all that are.
        let known: BTreeSet<RunId> = newest.iter().copied().collect();
        let (archived, more) = archived(bus, workflow, since, &known, limit - newest.len()).await?;
        left_out = more;
        newest = archived.into_iter().chain(newest).collect();
    }
    Ok(Chosen { runs: newest.into(), left_out })
}

/// Runs that are known by their histories only, in the order in which they were archived.
async fn archived(
    bus: &dyn Bus,
    workflow: &WorkflowName,
    since: DateTime<Utc>,
    known: &BTreeSet<RunId>,
    limit: usize,
) -> anyhow::Result<(Vec<RunId>, u64)> {
    let namespace = bus.namespace();
    let filter = format!("{namespace}.history.{workflow}.*.*.*");
    // A run is archived after it has begun.
    let mut histories = present(bus, Stream::History, vec![filter], From::Time(since)).await?;
    let (mut newest, mut left_out) = (VecDeque::new(), 0);
    while let Some(stored) = histories.try_next().await? {
        // Of a run in several parts, the first has its beginning.
        let history = History::read(namespace, &[stored]);
        let begun = history.of(Stream::Events).find_map(|event| {
            match Subject::parse(namespace, &event.message.subject) {
                Ok(Subject::Workflow { verb: WorkflowVerb::Started, run, .. }) => Some((run, event.time)),
                _ => None,
            }
        });
        newest.extend(begun.filter(|(run, time)| *time >= since && !known.contains(run)).map(|(run, _)| run));
        if newest.len() > limit {
            newest.pop_front();
            left_out += 1;
        }
    }
    Ok((newest.into(), left_out))
}

/// Who took work of some runs, and when: read together, as each reading is a consumer of the server.
pub(super) async fn notes(bus: &dyn Bus, runs: &[RunId]) -> anyhow::Result<BTreeMap<RunId, Vec<Fact>>> {
    let namespace = bus.namespace();
    let filters = runs.iter().flat_map(|run| task_notes(namespace, run)).collect();
    let mut messages = present(bus, Stream::Notes, filters, From::Begin).await?.take(MOST_NOTES);
    let mut notes: BTreeMap<RunId, Vec<Fact>> = BTreeMap::new();
    while let Some(stored) = messages.try_next().await? {
        let fact = Fact::of(namespace, Stream::Notes, &stored);
        if let Some((run, fact)) = fact.and_then(|fact| Some((fact.subject.run()?, fact))) {
            notes.entry(run).or_default().push(fact);
        }
    }
    Ok(notes)
}

/// The course of a run, to be settled, without that of the runs that it started. `None` if its beginning is gone.
pub(super) async fn story(bus: &dyn Bus, run: RunId, notes: Vec<Fact>) -> anyhow::Result<Option<Story>> {
    let namespace = bus.namespace();
    let whole = read_whole_run(bus, &run).await?;
    let mut facts = notes;
    let mut take = |stream, stored: &StoredMessage| facts.extend(Fact::of(namespace, stream, stored));
    whole.events.iter().for_each(|stored| take(Stream::Events, stored));
    let mut works: BTreeSet<String> = BTreeSet::new();
    let work = bus.read_work(&run).await?;
    for stored in whole.history.of(Stream::Tasks).chain(&work) {
        if works.insert(stored.message.subject.clone()) {
            take(Stream::Tasks, stored);
        }
    }
    let Some(mut story) = Story::of(namespace, facts) else { return Ok(None) };
    find_beginnings(bus, &mut story).await?;
    Ok(Some(story))
}

/// When attempts began that are runs of their own: the log of a run tells only how those ended.
async fn find_beginnings(bus: &dyn Bus, story: &mut Story) -> anyhow::Result<()> {
    let (namespace, shards) = (bus.namespace(), bus.shards().await?);
    let run = story.run;
    let mut left = MOST_CHILDREN;
    for task in &mut story.tasks {
        for attempt in &mut task.attempts {
            let child = started_run(namespace, shards, run, &task.id, attempt).filter(|_| left > 0);
            let Some(child) = child else { continue };
            left -= 1;
            let itself = bus.read_run_itself(&child).await?.events;
            if let Some(began) = itself.first() {
                (attempt.run, attempt.created) = (Some(child), began.time.min(attempt.created));
            }
        }
    }
    Ok(())
}
