//! Requests that come from tasks of other runs: what the task is told.

use std::time::Duration;

use chrono::TimeDelta;
use mesh_bus::topology::Stream;
use mesh_bus::{Publish, Target};
use mesh_schemas::payload::{MAX_RUN_DEPTH, Parent, TaskError, child_request, rejection};
use mesh_schemas::{
    Attempt, Digest, Frame, Namespace, RequestId, RunId, StoredMessage, TaskId, TaskKey, TaskVerb,
    TraceContext, WorkflowName,
};
use serde_json::{Value, json};
use tracing::warn;

use super::archived::is_archived;
use super::reject::Rejection;
use super::request::{Request, started_subject};
use crate::encode;
use crate::lease::Lease;
use crate::service::Shared;
use crate::store::{self, Lost};

/// From this age on, it is looked whether the run is still wanted before it is started: about as long as the signal that would
/// cancel it waits for it.
const OLD: TimeDelta = TimeDelta::seconds(10);
/// Pause before the bus is asked again.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The attempt that asks for a run, by the subject of the request.
pub(super) struct Caller {
    pub(super) run: RunId,
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
}

impl Caller {
    /// What makes the request the same request.
    pub(super) fn request(&self, namespace: &Namespace) -> RequestId {
        child_request(namespace, self.run, &self.task, self.attempt)
    }
}

/// Takes the input of the run, and what is said of the task, out of what was sent.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(caller: &Caller, request: &mut Request) -> Result<(), String> {
    let Value::Object(mut data) = request.input.take() else {
        return Err("the data is no object".to_owned());
    };
    request.input = data.remove("input").unwrap_or_default();
    let parent = data.remove("parent").unwrap_or_default();
    let parent: Parent =
        serde_json::from_value(parent).map_err(|error| format!("the data is wrong: parent: {error}"))?;
    if (parent.run, &parent.task, parent.attempt) != (caller.run, &caller.task, caller.attempt) {
        return Err("the data is wrong: parent: it is another task than that in the subject".to_owned());
    }
    request.parent = Some(parent);
    Ok(())
}

/// Why a run is not started that would stand too deep in others.
pub(super) fn too_many_levels(parent: &Parent) -> Option<Rejection> {
    (parent.depth > MAX_RUN_DEPTH).then(|| {
        let reason = format!(
            "task '{}' of run {} would start a run within {} others, one within the other, and at most {MAX_RUN_DEPTH} are \
             allowed: does a workflow start itself?",
            parent.task, parent.run, parent.depth
        );
        Rejection::new(rejection::TOO_MANY_LEVELS, reason)
    })
}

/// Why a run is not started that was to follow a version of its workflow.
pub(super) fn unknown_version(name: &WorkflowName, version: &Digest) -> Rejection {
    let reason = format!(
        "the workflow '{name}' has no version {version}: `mesh workflow list` shows those it has, and `mesh workflow apply` \
         adds one"
    );
    Rejection::new(rejection::UNKNOWN_VERSION, reason)
}

/// Whether a run that is to be started is still waited for: its task has no outcome, and is not archived. A young request is
/// not looked up, as the signal that cancels the run finds it.
pub(super) async fn is_wanted(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    parent: &Parent,
    target: &Target,
) -> Result<bool, Lost> {
    let Some(key) = key(parent, target).filter(|_| parent.wait) else { return Ok(true) };
    if lease.delivered <= 1 && (shared.bus.now() - stored.time).abs() < OLD {
        return Ok(true);
    }
    let bus = &*shared.bus;
    for verb in [TaskVerb::Completed, TaskVerb::Failed] {
        let subject = key.subject(verb).render(bus.namespace());
        let look = || bus.last(Stream::Events, &subject);
        if lease.until_read("the outcome of a task", LOOK_PAUSE, look).await.ok_or(Lost)?.is_some() {
            return Ok(false);
        }
    }
    let around = parent.workflow.parse::<WorkflowName>().ok();
    Ok(!is_archived(shared, lease, around.as_ref(), &parent.run).await?)
}

/// Tells a task that does not wait for its run that this has started.
pub(super) async fn has_started(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
) -> Result<(), Lost> {
    match &request.parent {
        Some(parent) if !parent.wait => {
            let output = json!({ "run": request.run });
            let started = started_subject(request).render(shared.bus.namespace());
            tell(shared, lease, stored, request, parent, &started, Ok(output)).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Tells a task that its run does not start. It is not tried again: the same request would be refused for the same reason.
pub(super) async fn was_refused(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
    rejection: &Rejection,
) -> Result<(), Lost> {
    let Some(parent) = &request.parent else { return Ok(()) };
    let reasons = rejection.reasons.join("; ");
    let error = TaskError {
        code: rejection.code.to_owned(),
        message: store::shorten(&format!("run {} was not started: {reasons}", request.run)),
        retryable: false,
        retry_after: None,
    };
    // The request is in no log: what led to it led to this.
    let cause = request.causation_id.as_ref().unwrap_or(&request.id.id);
    tell(shared, lease, stored, request, parent, cause, Err(error)).await
}

async fn tell(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    request: &Request,
    parent: &Parent,
    cause: &str,
    result: Result<Value, TaskError>,
) -> Result<(), Lost> {
    let Some(key) = key(parent, &request.target) else { return Ok(()) };
    let hop = TraceContext::from_headers(&stored.message.headers).or_else(|| request.trace.clone());
    let correlation_id = request.correlation_id();
    let frame = Frame {
        namespace: shared.bus.namespace(),
        correlation_id: &correlation_id,
        cause,
        time: stored.time,
        trace: request.trace.as_ref(),
        hop: hop.as_ref(),
    };
    let outcome = Publish::once(encode::report(&frame, &key, &result));
    if let store::Outcome::TooLarge(error) = store::event(&*shared.bus, lease, &key.run, &outcome).await? {
        warn!(run = %parent.run, task = %parent.task, error, "the task cannot be told what became of its run");
    }
    Ok(())
}

/// The attempt that a run is to be started for.
fn key(parent: &Parent, target: &Target) -> Option<TaskKey> {
    let Target::Workflow(workflow) = target else { return None };
    Some(parent.key(workflow))
}
