//! Requests to do a run again: what the new run takes over.

use std::sync::Arc;
use std::time::Duration;

use mesh_bus::history::{Stage, read_whole_run};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, Target};
use mesh_core::{Event, Fact, NotRerun, Plan, Replay, Started, Unreadable};
use mesh_schemas::payload::{Rerun, TakenOver, rejection};
use mesh_schemas::{
    Digest, MAX_DATA_BYTES, RunId, StoredMessage, Subject, TaskId, WorkflowName, WorkflowVerb,
};
use serde_json::{Map, Value};

use super::beginning::definition;
use super::reject::Rejection;
use super::request::Request;
use crate::lease::Lease;
use crate::log::{self, Events};
use crate::service::Shared;
use crate::shard::newer_rules;
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
    taken_over: TakenOver,
}

impl Again {
    /// Puts what the other run had in place of what a request leaves open. Returns what the new one takes over.
    pub(super) fn complete(self, request: &mut Request) -> TakenOver {
        if request.input.is_null() {
            request.input = self.input;
        }
        if let Some(mut config) = self.config {
            put_on_top(&mut config, request.config.take().unwrap_or_default());
            request.config = Some(config);
        }
        request.correlation_id.get_or_insert(self.correlation_id);
        self.taken_over
    }
}

/// Objects are merged key by key, all else is replaced.
fn put_on_top(config: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (config.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => put_on_top(inner, more),
            (_, value) => drop(config.insert(key, value)),
        }
    }
}

/// Why there is nothing to take over.
enum Stop {
    Rejection(Rejection),
    /// It cannot be told now.
    Bus(BusError),
}

impl From<BusError> for Stop {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

fn stop<T>(code: &'static str, reason: String) -> Result<T, Stop> {
    Err(Stop::Rejection(Rejection::new(code, reason)))
}

fn invalid<T>(reason: String) -> Result<T, Stop> {
    stop(rejection::INVALID_RERUN, reason)
}

/// What a run takes over that a request has done again, or why there is no such run.
pub(super) async fn prepare(
    shared: &Shared,
    lease: &Lease,
    target: &Target,
    rerun: &Rerun,
) -> Result<Result<Again, Rejection>, Lost> {
    let read = async || match again(shared, target, rerun).await {
        Ok(again) => Ok(Ok(again)),
        Err(Stop::Rejection(rejection)) => Ok(Err(rejection)),
        Err(Stop::Bus(error)) => Err(error),
    };
    lease.until_read("the run that is to be done again", READ_PAUSE, read).await.ok_or(Lost)
}

async fn again(shared: &Shared, target: &Target, rerun: &Rerun) -> Result<Again, Stop> {
    let Target::Workflow(workflow) = target else {
        let reason = "rerunof: runs of workflows are done again; request a single task as before".to_owned();
        return stop(rejection::MALFORMED, reason);
    };
    let _turn = shared.reads.long_run().await;
    let (bus, of) = (&*shared.bus, &rerun.of);
    let stored = read_whole_run(bus, of).await?.events;
    let (first, rest) = ended(bus, workflow, &stored, of).await?;
    let begin = read(bus, first, of).await?;
    let Fact::Started(started) = begin.fact.clone() else {
        return invalid(format!("run {of} has no beginning"));
    };
    fits(&started, workflow, of)?;
    if let Some(reason) = newer_rules(shared, &started) {
        return stop(rejection::UNUSABLE_WORKFLOW, reason);
    }
    let known = definition(shared, workflow, Some(&started.data.digest)).await?;
    let plan = Arc::clone(&known.map_err(Stop::Rejection)?.plan);
    let mut replay = Replay::keeping(&begin, &started, Arc::clone(&plan));
    let lost = log::lost(bus.namespace(), rest);
    for chunk in rest.chunks(AT_A_TIME) {
        match log::events(bus, chunk, &begin, &lost).await? {
            Ok(Events { events, .. }) => {
                events.iter().filter(|event| event.fact != Fact::Ended).for_each(|event| replay.take(event))
            }
            Err(newer) => return stop(rejection::UNUSABLE_WORKFLOW, newer),
        }
        tokio::task::yield_now().await;
    }
    let (run, _) = replay.finish();
    if !run.has_ended() {
        return invalid(format!(
            "what is kept of run {of} does not lead to its end, so it is not known what went well: the oldest histories are \
             dropped where --history-limit is reached. Start the workflow anew"
        ));
    }
    let taken_over = match run.taken_over(&rerun.from) {
        Ok(taken_over) => taken_over,
        Err(NotRerun::NoTask(task)) => return Err(Stop::Rejection(no_task(target, &plan, &task))),
        Err(NotRerun::NothingToDo) => {
            return invalid(format!(
                "everything in run {of} went well: name a task that is to be done again (--from TASK, rerunfrom)"
            ));
        }
    };
    let bytes = serde_json::to_string(&taken_over).map_or(0, |text| text.len());
    if bytes > MAX_DATA_BYTES {
        return invalid(format!(
            "what the new run would take over from run {of} is {bytes} bytes of JSON, and at most {MAX_DATA_BYTES} are \
             allowed: start the workflow anew"
        ));
    }
    let Started { data, correlation_id, .. } = *started;
    Ok(Again {
        digest: data.digest,
        input: data.input,
        config: data.config,
        correlation_id: correlation_id.unwrap_or_else(|| of.to_string()),
        taken_over,
    })
}

/// The beginning of a run, with what it refers to.
async fn read(bus: &dyn Bus, first: &StoredMessage, of: &RunId) -> Result<Event, Stop> {
    let event = match Event::read(bus.namespace(), first) {
        Err(Unreadable::Elsewhere(reference)) => {
            let (content, _) = log::content(bus, &reference).await?;
            Event::read_with(bus.namespace(), first, content)
        }
        read => read,
    };
    match event {
        Ok(begin) => Ok(begin),
        Err(Unreadable::Newer(error)) => stop(rejection::UNUSABLE_WORKFLOW, error),
        Err(error) => invalid(format!("the beginning of run {of} cannot be read: {error}")),
    }
}

/// The beginning of a run that has ended, and what came behind it.
async fn ended<'a>(
    bus: &dyn Bus,
    workflow: &WorkflowName,
    stored: &'a [StoredMessage],
    of: &RunId,
) -> Result<(&'a StoredMessage, &'a [StoredMessage]), Stop> {
    let place = |stage| stored.iter().position(|it| Stage::of(bus.namespace(), it) == stage);
    let begin = place(Stage::Beginning);
    if begin.is_none() || place(Stage::End).is_none() {
        // A server that is behind may have answered. That something is not there is asked of who knows.
        for &verb in WorkflowVerb::ALL {
            let subject = Subject::Workflow { verb, workflow: Some(workflow.clone()), run: *of };
            let is_there = bus.last(Stream::Events, &subject.render(bus.namespace())).await?.is_some();
            if is_there && (verb != WorkflowVerb::Started || begin.is_none()) {
                let operation = format!("read run {of}");
                let error = "the server that answered is behind".to_owned();
                return Err(BusError::Unavailable { operation, error }.into());
            }
        }
    }
    let Some(begin) = begin else {
        let reason =
            format!("there is no run {of}, or it is kept no longer: `mesh runs list` shows those there are");
        return stop(rejection::UNKNOWN_RUN, reason);
    };
    if place(Stage::End).is_none() {
        return invalid(format!(
            "run {of} has not ended: wait for that, or end it with `mesh runs cancel {of}`"
        ));
    }
    Ok((&stored[begin], &stored[begin + 1..]))
}

/// Whether a run can be done again by a request for this workflow.
fn fits(started: &Started, workflow: &WorkflowName, of: &RunId) -> Result<(), Stop> {
    match (&started.workflow, &started.lost) {
        (_, Some(lost)) => invalid(format!("run {of} cannot be done again: {}", lost.told_of_beginning())),
        (None, _) => invalid(format!("run {of} is a single task: request it as before")),
        (Some(other), _) if other != workflow => invalid(format!("run {of} is one of workflow '{other}'")),
        _ => Ok(()),
    }
}

/// The rejection of a request to stop before a task that is not begun, as it is taken over.
pub(super) fn no_stop(task: &TaskId) -> Rejection {
    let reason = format!(
        "task '{task}' is taken over, so the run does not stop before it: have it done again (--from {task}, rerunfrom), or leave \
         it out of --pause-before (pausebefore)"
    );
    Rejection::new(rejection::INVALID_RERUN, reason)
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
