//! Stores the outcome of an attempt, until it is stored.

use mesh_bus::{Bus, DeadEnd, Persisted, Publish, PublishError, Stored, persist, publish_event};
use mesh_schemas::payload::{TaskCompleted, TaskError, TaskFailed, code};
use mesh_schemas::{Message, StoredMessage, TaskVerb};
use mesh_telemetry::metrics::table::{AGENT_OUTCOMES, DEAD_LETTERS, SEND_DURATION, SENT};
use tokio::time::Instant;
use tracing::warn;

use crate::context::Inner;
use crate::handler::Output;
use crate::trace::Sending;

/// The form of the subjects of outcomes.
const TEMPLATE: &str = "task.{completed,failed}.{capability}.{lane}.{shard}.{run}.{task}.{attempt}";

/// How an attempt ended.
pub(crate) enum Outcome {
    Completed(Output),
    Failed(TaskError),
}

/// Stores the outcome, unless one of its kind is stored already. Returns when it stands in the log, however long
/// that takes; the delivery stays un-acknowledged meanwhile, so nothing is lost if the process dies. Gives the code of
/// the error if it failed.
///
/// # Errors
/// What is wrong if there is no room for it, however little is said in it.
pub(crate) async fn store(context: &Inner, outcome: Outcome) -> Result<Option<String>, String> {
    let agent = Some(context.common.agent.clone());
    let capability = context.key.capability.as_str();
    let (verb, message, code) = match outcome {
        Outcome::Completed(Output { output, quality, usage }) => {
            let data = TaskCompleted { output, quality, usage, agent };
            (TaskVerb::Completed, context.event(&context.key.subject(TaskVerb::Completed), &data), None)
        }
        Outcome::Failed(error) => {
            let data = TaskFailed { error, agent };
            let message = context.event(&context.key.subject(TaskVerb::Failed), &data);
            (TaskVerb::Failed, message, Some(data.error.code))
        }
    };
    let too_large = match publish(context, verb, message).await {
        Ok(stored) => return Ok(told(capability, verb, stored, code)),
        Err(error) => error,
    };
    warn!(error = too_large, "the outcome is too large");
    let error = TaskError {
        code: code::PAYLOAD_TOO_LARGE.to_owned(),
        message: format!("the outcome is larger than an event may be: {too_large}"),
        retryable: false,
        retry_after: None,
    };
    let failed = TaskFailed { error, agent: Some(context.common.agent.clone()) };
    let smaller = context.event(&context.key.subject(TaskVerb::Failed), &failed);
    let stored = publish(context, TaskVerb::Failed, smaller).await?;
    Ok(told(capability, TaskVerb::Failed, stored, Some(failed.error.code)))
}

/// Counts an outcome, unless it was stored before. Gives the code.
fn told(capability: &str, verb: TaskVerb, stored: Option<Stored>, code: Option<String>) -> Option<String> {
    let is_new = matches!(stored, Some(Stored::Now(_)));
    AGENT_OUTCOMES.add(u64::from(is_new), [capability, verb.as_str()]);
    code
}

/// Puts a delivery among the dead letters, however long that takes.
pub(crate) async fn letter(bus: &dyn Bus, end: DeadEnd, stored: &StoredMessage, error: &str) {
    warn!(subject = stored.message.subject, reason = %end.reason(), error, "dead letter");
    let sent = until_stored(|| mesh_bus::dead_letter(bus, end, stored, error)).await;
    match sent {
        Ok(_) => DEAD_LETTERS.add(1, [end.reason().as_str()]),
        Err(error) => warn!(error, "the dead letter cannot be stored"),
    }
}

async fn publish(context: &Inner, verb: TaskVerb, mut message: Message) -> Result<Option<Stored>, String> {
    let (bus, run) = (&*context.common.bus, &context.key.run);
    let sending = Sending::begin(context, verb, &mut message);
    let publish = Publish::once(message);
    let begun = Instant::now();
    let stored = until_stored(|| publish_event(bus, run, &publish)).await?;
    SENT.add(1, [TEMPLATE]);
    SEND_DURATION.record(begun.elapsed(), [TEMPLATE]);
    if let Some(sending) = sending {
        sending.end(context, verb, &publish.message);
    }
    Ok(stored)
}

/// Repeats a publication until it is stored; the error is that the message is larger than the server takes.
async fn until_stored<T, F: Future<Output = Result<T, PublishError>>>(
    publish: impl FnMut() -> F,
) -> Result<Option<T>, String> {
    match persist(|| false, publish).await {
        Persisted::Stored(stored) => Ok(Some(stored)),
        Persisted::GivenUp => Ok(None),
        Persisted::TooLarge(error) => Err(error),
    }
}
