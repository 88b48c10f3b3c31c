//! How long the tasks of a workflow took when it was done before.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, read_whole_run, without_large};
use mesh_schemas::payload::{WorkflowCompleted, WorkflowStarted};
use mesh_schemas::{RunId, StoredMessage, Subject, TaskId, TaskVerb, WorkflowName, WorkflowVerb};

use super::RunState;
use super::read::data;
use crate::text;

/// From so many tasks on nobody waits for another run to be read, to tell how long this one may take.
const MANY_TASKS: u32 = 5_000;

/// How long the tasks of a workflow took in a run that completed.
#[derive(Debug)]
pub(crate) struct Past {
    pub(super) run: RunId,
    /// Milliseconds from when everything was there that a task of the workflow itself needs to its end.
    pub(super) millis: BTreeMap<TaskId, u64>,
}

impl Past {
    /// That of the run which completed last of a run's workflow. `None` if there is none that tells: it had very many tasks, it
    /// took some over from another, or it cannot be read now.
    pub(crate) async fn of(bus: &dyn Bus, state: &RunState) -> Option<Self> {
        let workflow = state.target.workflow.as_ref().filter(|_| state.status.is_open())?;
        match last(bus, workflow).await {
            Ok(Some((run, events))) => Self::read(bus, run, &events, state),
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "how long the workflow took before cannot be read");
                None
            }
        }
    }

    fn read(bus: &dyn Bus, run: RunId, events: &[StoredMessage], state: &RunState) -> Option<Self> {
        let namespace = bus.namespace();
        let mut began = None;
        let mut ended: BTreeMap<TaskId, DateTime<Utc>> = BTreeMap::new();
        for stored in events {
            match Subject::parse(namespace, &stored.message.subject) {
                Ok(Subject::Workflow { verb: WorkflowVerb::Started, .. }) => {
                    let started: WorkflowStarted = data(&without_large(namespace, stored))?;
                    began = Some(stored.time).filter(|_| started.taken_over.is_none());
                }
                Ok(Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, key }) => {
                    let task = key.task.parts().next().and_then(|id| id.parse().ok())?;
                    ended.insert(task, stored.time);
                }
                _ => {}
            }
        }
        let began = began?;
        let tasks = &state.plan.definition.tasks;
        let took = |(id, end): (&TaskId, &DateTime<Utc>)| {
            let needs = tasks.get(id)?.needs.iter().filter_map(|need| ended.get(need));
            let begin = needs.copied().max().unwrap_or(began).max(began);
            Some((id.clone(), text::millis(begin, *end)))
        };
        Some(Self { run, millis: ended.iter().filter_map(took).collect() })
    }
}

/// The run of a workflow that completed last, with its events.
async fn last(
    bus: &dyn Bus,
    workflow: &WorkflowName,
) -> Result<Option<(RunId, Vec<StoredMessage>)>, BusError> {
    let namespace = bus.namespace();
    let places = [
        (Stream::Events, format!("{namespace}.workflow.completed.{workflow}.-.*.*")),
        (Stream::History, format!("{namespace}.history.{workflow}.completed.*.*")),
    ];
    for (stream, subject) in places {
        let Some(last) = bus.last(stream, &subject).await? else { continue };
        let end: Option<WorkflowCompleted> = data(&without_large(namespace, &last));
        let is_long = end.is_some_and(|end| end.tasks.done + end.tasks.failed > MANY_TASKS);
        let run = Subject::parse(namespace, &last.message.subject).ok().and_then(|subject| subject.run());
        return match run.filter(|_| !is_long) {
            Some(run) => Ok(Some((run, read_whole_run(bus, &run).await?.events))),
            None => Ok(None),
        };
    }
    Ok(None)
}
