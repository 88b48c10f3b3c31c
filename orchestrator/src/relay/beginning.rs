//! What a run begins with, if a request is one that can begin a run.

use std::sync::Arc;

use mesh_bus::{BusError, Target};
use mesh_schemas::payload::{WorkflowStarted, rejection};
use mesh_schemas::{Digest, TaskId, WorkflowName};

use super::reject::{self, Rejection};
use super::request::{RETRY_PAUSE, Request};
use super::{child, rerun};
use crate::capabilities;
use crate::definitions::{self, Known};
use crate::lease::Lease;
use crate::service::Shared;
use crate::store::Lost;

/// The first event of the run that a request asks for, or why there is none. Takes out of the request what goes into it.
pub(super) async fn beginning(
    shared: &Shared,
    lease: &Lease,
    request: &mut Request,
) -> Result<Result<WorkflowStarted, Rejection>, Lost> {
    if let Some(rejection) = request.parent.as_ref().and_then(child::too_many_levels) {
        return Ok(Err(rejection));
    }
    let mut taken_over = None;
    let mut version = request.parent.as_ref().and_then(|parent| parent.version.clone());
    if let Some(rerun) = &request.rerun {
        match rerun::prepare(shared, lease, &request.target, rerun).await? {
            Ok(again) => {
                version = Some(again.digest.clone());
                taken_over = Some(again.complete(request));
            }
            Err(rejection) => return Ok(Err(rejection)),
        }
    }
    if let Some(reason) = definitions::too_deep(&request.input) {
        return Ok(Err(Rejection::new(rejection::INVALID_INPUT, reason)));
    }
    let known = match find(shared, lease, &request.target, version.as_ref()).await? {
        Ok(known) => known,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if let Some(rejection) = unfit(request, &known) {
        return Ok(Err(rejection));
    }
    let is_taken = |task: &&TaskId| taken_over.as_ref().is_some_and(|taken| taken.tasks.contains_key(*task));
    if let Some(task) = request.pause_before.iter().find(is_taken) {
        return Ok(Err(rerun::no_stop(task)));
    }
    Ok(Ok(WorkflowStarted {
        digest: known.plan.digest.clone(),
        rules: shared.rules,
        input: std::mem::take(&mut request.input),
        config: request.config.take(),
        request: request.id.clone(),
        capability: match &request.target {
            Target::Task(capability) => Some(capability.clone()),
            Target::Workflow(_) => None,
        },
        parent: request.parent.clone(),
        taken_over,
        pause_before: std::mem::take(&mut request.pause_before),
    }))
}

/// What of a request does not fit the definition.
fn unfit(request: &Request, known: &Known) -> Option<Rejection> {
    let input = (rejection::INVALID_INPUT, known.input_errors(&request.input));
    let config = (rejection::INVALID_CONFIG, known.config_errors(request.config.as_ref()));
    let wrong = [input, config].into_iter().find(|(_, reasons)| !reasons.is_empty());
    if let Some((code, reasons)) = wrong {
        return Some(Rejection { code, reasons });
    }
    let task = request.pause_before.iter().find(|task| !known.plan.has_task(task))?;
    Some(rerun::no_task(&request.target, &known.plan, task))
}

/// The definition that the run is to follow.
async fn find(
    shared: &Shared,
    lease: &Lease,
    target: &Target,
    version: Option<&Digest>,
) -> Result<Result<Arc<Known>, Rejection>, Lost> {
    let find = async || match target {
        Target::Workflow(name) => definition(shared, name, version).await,
        Target::Task(capability) => capabilities::ensure(&*shared.bus, capability).await.map(|()| {
            shared.definitions.single_task(capability).ok_or_else(|| {
                Rejection::new(rejection::INVALID_CAPABILITY, format!("'{capability}' cannot be requested"))
            })
        }),
    };
    lease.until_read("the definition", RETRY_PAUSE, find).await.ok_or(Lost)
}

/// A version of a workflow, or else the one that is applied.
pub(super) async fn definition(
    shared: &Shared,
    name: &WorkflowName,
    version: Option<&Digest>,
) -> Result<Result<Arc<Known>, Rejection>, BusError> {
    let Some(latest) = shared.definitions.latest(name).await? else {
        return reject::unknown_workflow(shared, name).await.map(Err);
    };
    let digest = match version {
        None => latest,
        Some(version) if shared.definitions.has(name, version).await? => version.clone(),
        Some(version) => return Ok(Err(child::unknown_version(name, version))),
    };
    Ok(match shared.definitions.get(name, &digest).await {
        Ok(Some(known)) => Ok(known),
        Err(error @ BusError::Damaged { .. }) => {
            Err(Rejection::new(rejection::UNUSABLE_WORKFLOW, error.to_string()))
        }
        Err(error) => return Err(error),
        Ok(None) => Err(Rejection::new(
            rejection::UNUSABLE_WORKFLOW,
            format!(
                "the definition {digest} of '{name}' is missing or written for a newer mesh: apply it again, or \
                 update the orchestrator"
            ),
        )),
    })
}
