//! Requests to do a run again: what the new run takes over.

use std::time::Duration;

use mesh_bus::history::{Stage, WholeRun, read_whole_run};
use mesh_bus::{BusError, Target};
use mesh_core::{Event, Fact, NotRerun, Plan, Replay, Started, Unreadable};
use mesh_schemas::payload::{Rerun, TakenOver, rejection};
use mesh_schemas::{Digest, StoredMessage, TaskId, WorkflowName};
use serde_json::{Map, Value};

use super::reject::Rejection;
use super::request::{Request, definition};
use crate::lease::Lease;
use crate::log::{self, Events};
use crate::service::Shared;
use crate::store::Lost;

/// Pause before the run is read again.
const READ_PAUSE: Duration = Duration::from_millis(100);
/// Events that are read and folded between two looks at what else there is to do.
const AT_A_TIME: usize = 256;
/// Tasks of a workflow that are named to somebody who named one that it does not have.
const NAMED: usize = 20;

/// What there is of a run that is done again.
pub(super) struct Again {
    /// The definition that it followed, and that the new one follows.
    pub(super) digest: Digest,
    input: Value,
    config: Option<Map<String, Value>>,
    correlation_id: String,
    pub(super) taken_over: TakenOver,
}

impl Again {
    /// Puts what the other run had in place of what a request leaves open.
    pub(super) fn complete(&mut self, request: &mut Request) {
        if request.input.is_null() {
            request.input = self.input.take();
        }
        if let Some(mut config) = self.config.take() {
            config.extend(request.config.take().unwrap_or_default());
            request.config = Some(config);
        }
        request.correlation_id.get_or_insert_with(|| self.correlation_id.clone());
    }
}

/// What a run takes over that a request has done again, or why there is no such run.
pub(super) async fn prepare(
    shared: &Shared,
    lease: &Lease,
    target: &Target,
    rerun: &Rerun,
) -> Result<Result<Again, Rejection>, Lost> {
    let Target::Workflow(workflow) = target else {
        let reason = "rerunof: runs of workflows are done again; request a single task as before".to_owned();
        return Ok(Err(Rejection::new(rejection::MALFORMED, reason)));
    };
    let _turn = shared.reads.long_run().await;
    let read = || again(shared, target, workflow, rerun);
    lease.until_read("the run that is to be done again", READ_PAUSE, read).await.ok_or(Lost)
}

async fn again(
    shared: &Shared,
    target: &Target,
    workflow: &WorkflowName,
    rerun: &Rerun,
) -> Result<Result<Again, Rejection>, BusError> {
    let bus = &*shared.bus;
    let WholeRun { events: stored, .. } = read_whole_run(bus, &rerun.of).await?;
    let (first, rest) = match ended(shared, &stored, rerun) {
        Ok(parts) => parts,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let begin = match Event::read(bus.namespace(), first) {
        Err(Unreadable::Elsewhere(reference)) => {
            let (content, _) = log::content(bus, &reference).await?;
            Event::read_with(bus.namespace(), first, content)
        }
        read => read,
    };
    let invalid = |reason: String| Ok(Err(Rejection::new(rejection::INVALID_RERUN, reason)));
    let started = match begin.as_ref().map(|begin| &begin.fact) {
        Ok(Fact::Started(started)) => started.clone(),
        Ok(_) => return invalid(format!("run {} has no beginning", rerun.of)),
        Err(error) => return invalid(format!("run {} cannot be read: {error}", rerun.of)),
    };
    let Ok(begin) = begin else { return invalid(format!("run {} has no beginning", rerun.of)) };
    if let Some(reason) = unfit(&started, workflow, rerun, shared.rules) {
        return invalid(reason);
    }
    let plan = match definition(shared, workflow, Some(&started.data.digest)).await? {
        Ok(known) => std::sync::Arc::clone(&known.plan),
        Err(rejection) => return Ok(Err(rejection)),
    };
    let mut replay = Replay::keeping(&begin, &started, std::sync::Arc::clone(&plan));
    let lost = log::lost(bus.namespace(), rest);
    for chunk in rest.chunks(AT_A_TIME) {
        match log::events(bus, chunk, &begin, &lost).await? {
            Ok(Events { events, .. }) => events.iter().for_each(|event| replay.take(event)),
            Err(newer) => return invalid(format!("run {} cannot be read: {newer}", rerun.of)),
        }
        tokio::task::yield_now().await;
    }
    let tasks = match replay.finish().0.taken_over(&rerun.from) {
        Ok(tasks) => tasks,
        Err(NotRerun::NoTask(task)) => {
            return Ok(Err(no_task(target, &plan, &task)));
        }
        Err(NotRerun::NothingToDo) => {
            return invalid(format!(
                "everything in run {} went well: name a task that is to be done again (--from TASK, rerunfrom)",
                rerun.of
            ));
        }
    };
    let Started { data, correlation_id, .. } = *started;
    Ok(Ok(Again {
        digest: data.digest,
        input: data.input,
        config: data.config,
        correlation_id: correlation_id.unwrap_or_else(|| rerun.of.to_string()),
        taken_over: TakenOver { run: rerun.of, tasks },
    }))
}

/// The beginning of a run that has ended, and what came behind it.
fn ended<'a>(
    shared: &Shared,
    stored: &'a [StoredMessage],
    rerun: &Rerun,
) -> Result<(&'a StoredMessage, &'a [StoredMessage]), Rejection> {
    let place = |stage| stored.iter().position(|it| Stage::of(shared.bus.namespace(), it) == stage);
    let Some(begin) = place(Stage::Beginning) else {
        let reason = format!(
            "there is no run {}, or it is kept no longer: `mesh runs list` shows those there are",
            rerun.of
        );
        return Err(Rejection::new(rejection::UNKNOWN_RUN, reason));
    };
    if place(Stage::End).is_none() {
        let reason = format!(
            "run {} has not ended: wait for that, or end it with `mesh runs cancel {}`",
            rerun.of, rerun.of
        );
        return Err(Rejection::new(rejection::INVALID_RERUN, reason));
    }
    Ok((&stored[begin], &stored[begin + 1..]))
}

/// Why a run cannot be done again by a request for this workflow.
fn unfit(started: &Started, workflow: &WorkflowName, rerun: &Rerun, rules: u32) -> Option<String> {
    let run = &rerun.of;
    match (&started.workflow, &started.lost) {
        (_, Some(error)) => Some(format!("what run {run} began with is lost: {error}")),
        (None, _) => Some(format!("run {run} is a single task: request it as before")),
        (Some(other), _) if other != workflow => Some(format!("run {run} is one of workflow '{other}'")),
        _ if started.data.rules > rules => Some(format!(
            "run {run} is one by rules {}, and {rules} are the newest known here",
            started.data.rules
        )),
        _ => None,
    }
}

/// The rejection of a request that names a task which the workflow itself does not have.
pub(super) fn no_task(target: &Target, plan: &Plan, task: &TaskId) -> Rejection {
    let tasks = &plan.definition.tasks;
    let mut named: Vec<&str> = tasks.keys().take(NAMED).map(TaskId::as_str).collect();
    if tasks.len() > NAMED {
        named.push("…");
    }
    let what = match target {
        Target::Workflow(workflow) => format!("workflow '{workflow}'"),
        Target::Task(capability) => format!("a request for '{capability}'"),
    };
    let reason = format!("{what} has no task '{task}' of its own: it has {}", named.join(", "));
    Rejection::new(rejection::UNKNOWN_TASK, reason)
}
