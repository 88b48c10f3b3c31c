//! Before work is done that may have been done already: is it still wanted?

use chrono::TimeDelta;
use mesh_bus::history::is_end;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError};
use mesh_schemas::payload::TaskCreated;
use mesh_schemas::{Subject, TaskKey, TaskVerb, WorkflowName};

/// From this age on, a task is looked up before it is done: a consumer that was made anew delivers old tasks as if
/// for the first time.
const OLD: TimeDelta = TimeDelta::seconds(30);

/// Whether the delivery is one that the log must be asked about.
pub(crate) fn is_needed(bus: &dyn Bus, task: &TaskCreated, delivered: u64) -> bool {
    delivered > 1 || bus.now() - task.basis > OLD
}

/// Whether the attempt has no outcome yet and its run goes on. Of a run that has ended, only its beginning and its end may
/// be left in the log, and later nothing. Where the task cannot be read, its workflow is not known.
pub(crate) async fn is_wanted(
    bus: &dyn Bus,
    key: &TaskKey,
    task: Option<&TaskCreated>,
) -> Result<bool, BusError> {
    for verb in [TaskVerb::Completed, TaskVerb::Failed] {
        if exists(bus, &key.subject(verb)).await? {
            return Ok(false);
        }
    }
    let workflow = match task {
        None => "*".to_owned(),
        Some(task) => task
            .workflow
            .parse::<WorkflowName>()
            .map_or_else(|_| "-".to_owned(), |workflow| workflow.to_string()),
    };
    let life = format!("{}.workflow.*.{workflow}.-.{}", bus.namespace(), key.run);
    let last = bus.last(Stream::Events, &life).await?;
    let last = last.and_then(|last| Subject::parse(bus.namespace(), &last.message.subject).ok());
    Ok(matches!(last, Some(Subject::Workflow { verb, .. }) if !is_end(verb)))
}

async fn exists(bus: &dyn Bus, subject: &Subject) -> Result<bool, BusError> {
    Ok(bus.last(Stream::Events, &subject.render(bus.namespace())).await?.is_some())
}
