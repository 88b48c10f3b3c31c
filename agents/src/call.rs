//! One agent asking another.

use std::sync::Arc;

use mesh_bus::{Request, RunOutcome, RunWaiter, Target, run_of, submit};
use mesh_schemas::payload::code;
use mesh_schemas::{Digest, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Inner;
use crate::failure::{TaskFailure, timeout};

pub(crate) async fn call<I: Serialize, O: DeserializeOwned>(
    inner: &Arc<Inner>,
    capability: &str,
    input: I,
) -> Result<O, TaskFailure> {
    let capability = capability.parse().map_err(|error| invalid(&error))?;
    let input = serde_json::to_value(input).map_err(|error| invalid(&error))?;
    // The same question from another execution of this attempt is the same request. It is told apart by what is
    // asked, not by when, because executions need not ask in the same order.
    let question = format!("{capability}/{}", Digest::of(input.to_string().as_bytes()).hex());
    let times = inner.asked_before(&question);
    let id = format!("{}/{}/{question}/{times}", inner.idempotency_key, inner.key.attempt);
    let id = RequestId { source: inner.common.source.clone(), id };
    let request = Request {
        correlation_id: Some(inner.correlation_id.clone()),
        causation_id: Some(inner.created_id.clone()),
        trace: inner.hop(),
        ..Request::new(Target::Task(capability), id, input)
    };
    tokio::select! {
        biased;
        outcome = ask(inner, &request) => match outcome? {
            RunOutcome::Completed(completed) => serde_json::from_value(completed.output).map_err(|error| {
                TaskFailure::fatal(code::INVALID_INPUT, format!("the answer is not what was expected: {error}"))
            }),
            RunOutcome::Failed(failed) => Err(TaskFailure::fatal(failed.error.code, failed.error.message)),
            RunOutcome::Cancelled(cancelled) => {
                let reason = cancelled.reason.unwrap_or_else(|| "no reason given".to_owned());
                Err(TaskFailure::fatal(code::CANCELLED, format!("the called task was cancelled: {reason}")))
            }
            RunOutcome::Rejected(rejected) => {
                Err(TaskFailure::fatal(rejected.code, rejected.reasons.join("; ")))
            }
        },
        () = inner.cancelled.cancelled() => Err(timeout("the task's own time was over while it waited for a call")),
    }
}

async fn ask(inner: &Arc<Inner>, request: &Request) -> Result<RunOutcome, TaskFailure> {
    let run = run_of(&*inner.common.bus, request).await?;
    let mut waiter = RunWaiter::before_submit(Arc::clone(&inner.common.bus), run).await?;
    submit(&*inner.common.bus, request).await?;
    Ok(waiter.wait().await?)
}

fn invalid(error: &dyn std::error::Error) -> TaskFailure {
    TaskFailure::fatal(code::INVALID_INPUT, format!("the call cannot be made: {error}"))
}
