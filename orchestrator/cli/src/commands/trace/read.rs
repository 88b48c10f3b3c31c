//! Reading the course of a run, and of the runs that it started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_bus::Bus;
use mesh_schemas::payload::child_run;
use mesh_schemas::{AgentId, Lane, Namespace, RunId, Shards, TaskId, TaskKey};

use super::story::{AttemptStory, Fact, Outcome, Story, TaskStory};
use crate::commands::events;
use crate::commands::runs::{RunReader, RunState, Served, Waiting};
use crate::supply;

/// Most runs that are told within one: a loop may start thousands.
const MOST_RUNS: usize = 100;

/// The course of a run with those that it started, as the log and the histories tell it. `None` if it has not begun.
pub(super) async fn story(bus: &Arc<dyn Bus>, run: RunId) -> anyhow::Result<Option<Story>> {
    let mut left = MOST_RUNS;
    let mut seen = BTreeSet::new();
    let story = Box::pin(with_children(bus, run, &mut left, &mut seen)).await?;
    let Some(mut story) = story else { return Ok(None) };
    let alive: BTreeSet<AgentId> =
        supply::alive(&**bus).await?.into_iter().map(|alive| alive.agent.agent).collect();
    story.note_silence(&|agent| alive.contains(agent));
    story.settle(bus.now());
    Ok(Some(story))
}

async fn with_children(
    bus: &Arc<dyn Bus>,
    run: RunId,
    left: &mut usize,
    seen: &mut BTreeSet<RunId>,
) -> anyhow::Result<Option<Story>> {
    seen.insert(run);
    let namespace = bus.namespace();
    let mut facts = Vec::new();
    events::each_of_run(&**bus, run, async |event| {
        facts.extend(Fact::of(namespace, event.stream(), &event.stored));
        Ok(())
    })
    .await?;
    let Some(mut story) = Story::of(namespace, facts) else { return Ok(None) };
    match RunReader::new(Arc::clone(bus)).read_with_notes(&run).await {
        Ok(Some(state)) => complete(&mut story, &state),
        Ok(None) => {}
        // Its definition may be gone, or be too new for this program: then the events alone tell.
        Err(error) => story.untold.push(format!("what only the definition tells is left out: {error:#}")),
    }
    let shards = bus.shards().await?;
    let mut untold = 0;
    for task in &mut story.tasks {
        let id = task.id.clone();
        for attempt in &mut task.attempts {
            attempt.run = attempt.run.or_else(|| started_run(namespace, shards, run, &id, attempt));
            let Some(child) = attempt.run.filter(|child| !seen.contains(child)) else { continue };
            if *left == 0 {
                untold += 1;
                continue;
            }
            *left -= 1;
            let story = Box::pin(with_children(bus, child, left, seen)).await?;
            match story {
                Some(story) => attempt.story = Some(Box::new(story)),
                // An outcome that nobody was asked for need not come from a run.
                None if attempt.outcome == Outcome::GivenUp => attempt.run = None,
                None => {}
            }
        }
    }
    if untold > 0 {
        story
            .untold
            .push(format!("{untold} more runs that it started: `mesh trace` of their ids tells of them"));
    }
    Ok(Some(story))
}

/// The run that an attempt consists of, if its outcome looks like that of one: nobody was asked for it, and it came about.
pub(crate) fn started_run(
    namespace: &Namespace,
    shards: Shards,
    run: RunId,
    task: &TaskId,
    attempt: &AttemptStory,
) -> Option<RunId> {
    let was_asked = attempt.agent.is_some() || !attempt.deliveries.is_empty();
    let is_told = attempt.ended == Some(attempt.created) && !was_asked;
    let capability = attempt.capability.clone().filter(|_| is_told)?;
    let (lane, task, attempt) = (Lane::Normal, task.clone(), attempt.attempt);
    Some(child_run(namespace, shards, &TaskKey { capability, lane, run, task, attempt }))
}

/// Adds what the definition tells: what is still to come, what it waits for, and the runs that are under way.
fn complete(story: &mut Story, state: &RunState) {
    let places = story.tasks.iter().enumerate().map(|(place, task)| (task.id.clone(), place));
    let places: BTreeMap<TaskId, usize> = places.collect();
    for known in &state.tasks {
        let place = places.get(&known.id).copied().unwrap_or_else(|| {
            story.tasks.push(TaskStory::new(known.id.clone()));
            story.tasks.len() - 1
        });
        let task = &mut story.tasks[place];
        task.status = Some(known.status);
        task.needs = state.needs(&known.id);
        task.capability = task.capability.take().or_else(|| known.capability.clone());
        if let Some(workflow) = &known.workflow {
            task.starts(workflow.clone());
        }
        for told in &known.attempts {
            let place = task.attempts.iter().position(|attempt| attempt.attempt == told.attempt);
            let attempt = match place {
                Some(place) => &mut task.attempts[place],
                // The run was asked for, which the log does not tell before it has ended.
                None if told.run.is_some() => {
                    task.attempts.push(AttemptStory::new(told.attempt, told.started));
                    task.attempts.sort_by_key(|attempt| attempt.attempt);
                    let place = task.attempts.iter().position(|attempt| attempt.attempt == told.attempt);
                    let Some(place) = place else { continue };
                    task.attempts[place].outcome = Outcome::Running;
                    &mut task.attempts[place]
                }
                None => continue,
            };
            if told.run.is_some() {
                (attempt.run, attempt.created) = (told.run, told.started);
            }
            if story.ended.is_none() && known.status == "retrying" {
                attempt.retry_at = told.retry_at;
            }
            attempt.is_unserved = known.waiting == Some(Waiting::Agent(Served::ByNobody));
        }
    }
}
