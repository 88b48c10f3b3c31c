//! What agents report is what the workload lets them do, and they do nothing for nothing.

use std::time::Duration;

use mesh_agents::Context;
use mesh_schemas::payload::{TaskCompleted, TaskError, TaskFailed, code};
use mesh_schemas::{AgentId, Attempt, Namespace, StoredMessage, Subject, TaskId, TaskKey, TaskVerb};

use super::Observer;
use super::record::{Record, read};
use crate::interpreter::Expected;
use crate::storm::{Pace, Storm};
use crate::workload::{Behaviour, Ending, Script, Workflow, behaviour};
use crate::world::DOUBLE;

/// What a handler's time may be off by.
const SLACK: Duration = Duration::from_millis(50);
/// An attempt that was lost so often is not tried again.
const MOST_LOST: u64 = 5;

/// An execution of work that came again is for nothing if its outcome stood in the log when it came.
pub(super) fn is_needed(observer: &Observer, context: &Context) -> Result<(), String> {
    let (run, delivery) = (context.run(), context.delivery());
    let record =
        observer.records.get(&run).ok_or_else(|| format!("work of run {run}, which nobody asked for"))?;
    if delivery < 2 || observer.may_read_behind {
        return Ok(());
    }
    let handed = record.handed.get(&(context.task().clone(), context.attempt(), delivery));
    let before = handed.map_or(&[][..], |events| &record.log[..*events]);
    let outcome = before.iter().find(|event| {
        matches!(
            Subject::parse(&observer.namespace, &event.message.subject),
            Ok(Subject::Task { verb: TaskVerb::Completed | TaskVerb::Failed, key })
                if key.task == *context.task() && key.attempt == context.attempt()
        )
    });
    outcome.map_or(Ok(()), |event| {
        Err(format!(
            "delivery {delivery} was executed although {} was stored before it came",
            event.message.subject
        ))
    })
}

/// What agents were to do.
pub(super) struct Agents<'a> {
    pub(super) script: &'a Script,
    pub(super) workflow: &'a Workflow,
    pub(super) storm: &'a Storm,
}

impl Agents<'_> {
    /// Every outcome that an agent has stored is one that it may have had.
    pub(super) fn judge(
        &self,
        namespace: &Namespace,
        record: &Record,
        follows: &Expected,
    ) -> Result<(), String> {
        let Self { script, workflow, storm } = self;
        record.log.iter().try_for_each(|event| {
            let Ok(Subject::Task { verb, key }) = Subject::parse(namespace, &event.message.subject) else {
                return Ok(());
            };
            let task = (key.task.clone(), key.attempt);
            if record.of_runs.contains(&event.message.subject) {
                return Ok(());
            }
            let behaviour = behaviour(script, &key.task, key.attempt);
            let created = record.found.created.get(&task);
            let right = match verb {
                TaskVerb::Completed => {
                    let (_, data) = read::<TaskCompleted>(event)?;
                    if is_double(data.agent.as_ref()) {
                        return Ok(());
                    }
                    let (_, created) = created.ok_or("an outcome of what was never created")?;
                    matches!(behaviour.ending, Ending::Returns(answer)
                    if workflow.answer(&key.task, answer, &created.input) == data.output)
                        && data.quality == behaviour.quality()
                }
                TaskVerb::Failed => {
                    let (_, data) = read::<TaskFailed>(event)?;
                    data.agent.is_none() || is_double(data.agent.as_ref()) || {
                        let timeout = workflow.work(&key.task).and_then(|work| work.timeout);
                        let (_, created) = created.ok_or("an outcome of what was never created")?;
                        let is_late = created
                            .deadline
                            .is_some_and(|deadline| event.time + behaviour.takes.min(SLACK) >= deadline);
                        match data.error.code.as_str() {
                            code::RUN_ENDED => was_given_up(record, event, follows, &task),
                            code::POISON => was_lost_too_often(record, &key),
                            _ => is_right(behaviour, &data.error, timeout, is_late, storm),
                        }
                    }
                }
                _ => true,
            };
            if right {
                return Ok(());
            }
            Err(format!("{} does not come from an agent that {behaviour}", event.message.subject))
        })
    }
}

fn is_right(
    behaviour: &Behaviour,
    error: &TaskError,
    timeout: Option<Duration>,
    is_late: bool,
    storm: &Storm,
) -> bool {
    let as_scripted = match &behaviour.ending {
        Ending::Fails { code, retryable, retry_after } => {
            *code == error.code
                && *retryable == error.retryable
                && retry_after.map(|pause| pause.as_secs_f64()) == error.retry_after
        }
        Ending::Panics => error.code == code::PANIC && error.retryable,
        Ending::Returns(_) | Ending::Hangs => false,
    };
    // An agent that stood still may have been too late to begin.
    let may_lose_time = timeout.is_some() && (storm.freeze > 0 || storm.pace == Pace::Uneven);
    let is_slow = may_lose_time
        || behaviour.ending == Ending::Hangs
        || timeout.is_some_and(|timeout| behaviour.takes + SLACK >= timeout);
    as_scripted || error.code == code::TIMEOUT && error.retryable && (is_late || is_slow)
}

/// Whether an attempt came to agents once more than it may be lost.
fn was_lost_too_often(record: &Record, key: &TaskKey) -> bool {
    let mut handed = record.handed.keys();
    handed.any(|(task, attempt, delivery)| {
        *task == key.task && *attempt == key.attempt && *delivery > MOST_LOST
    })
}

/// Whether it comes from who contradicts others on purpose.
fn is_double(agent: Option<&AgentId>) -> bool {
    agent.is_some_and(|agent| agent.as_str() == DOUBLE)
}

/// Whether the event by which an attempt was given up stands before an outcome: then whoever was at work may have been told.
fn was_given_up(
    record: &Record,
    outcome: &StoredMessage,
    follows: &Expected,
    task: &(TaskId, Attempt),
) -> bool {
    let place = record.log.iter().position(|event| event.message.subject == outcome.message.subject);
    follows.given_up.get(task).is_some_and(|given_up| Some(given_up.at) < place)
}
