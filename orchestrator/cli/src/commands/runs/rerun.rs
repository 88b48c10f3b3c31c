use std::sync::Arc;

use clap::Args;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, Target};
use mesh_schemas::payload::Rerun as Wish;
use mesh_schemas::{ErrorCode, RunId, Subject, TaskId, WorkflowName};
use serde_json::Value;

use super::show::unknown;
use crate::commands::start::{Overrides, Stay, read_input, request, request_id};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::Output;
use crate::select::RunSelector;

/// Do a run that has ended again in part, as a new run that takes over what went well
#[derive(Args)]
pub(crate) struct Rerun {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    /// A task to do again, with all that follows from it; what did not go well is done again in any case
    #[arg(long, value_name = "ID")]
    from: Vec<TaskId>,
    /// Input in place of that of the run: JSON, a file of JSON, or - for stdin
    #[arg(long, value_name = "JSON|FILE")]
    input: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    /// Pause the run before this task, as if the workflow said `pause_before`
    #[arg(long, value_name = "ID")]
    pause_before: Vec<TaskId>,
    /// Your own id of the request: asking again with the same id is the same run
    #[arg(long, value_name = "KEY", value_parser = request_id)]
    id: Option<String>,
    #[command(flatten)]
    stay: Stay,
    #[command(flatten)]
    output: Output,
}

impl Rerun {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let input = self.input.as_deref().map(read_input).transpose()?;
        let config = self.overrides.read()?;
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let of = self.run.resolve(&*bus).await?;
        let Some(target) = target(&*bus, &of).await? else { return Err(unknown(bus, of).await) };
        let Some(workflow) = target else {
            let message = format!("run {of} is a single task and has no parts: `mesh call` does it again");
            return Err(Failure::new(ErrorCode::Combination, message).into());
        };
        let mut request = request(&*bus, Target::Workflow(workflow), self.id, input.unwrap_or(Value::Null));
        request.config = config;
        request.pause_before = self.pause_before;
        request.rerun = Some(Wish { of, from: self.from });
        self.stay.begin(bus, &request, self.output).await
    }
}

/// The workflow of a run, which a single task has none of; `None` if nobody knows the run.
async fn target(bus: &dyn Bus, run: &RunId) -> Result<Option<Option<WorkflowName>>, BusError> {
    let namespace = bus.namespace();
    let places = [
        (Stream::Events, format!("{namespace}.workflow.started.*.-.{run}")),
        (Stream::History, format!("{namespace}.history.*.*.{run}")),
    ];
    for (stream, subject) in places {
        if let Some(found) = bus.last(stream, &subject).await?
            && let Ok(Subject::Workflow { workflow, .. } | Subject::History { workflow, .. }) =
                Subject::parse(namespace, &found.message.subject)
        {
            return Ok(Some(workflow));
        }
    }
    Ok(None)
}
