use std::sync::Arc;

use clap::Args;
use mesh_bus::{Bus, Target, run_of};
use mesh_schemas::definition::Span;
use mesh_schemas::{Capability, ErrorCode};

use super::runs::{Attending, attend};
use super::start::{read_input, request, request_id, traced};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::Output;

/// Have one task done, without a workflow, and print its output
#[derive(Args)]
pub(crate) struct Call {
    /// What an agent must be able to do
    capability: Capability,
    /// Input: JSON, a file of JSON, or - for stdin
    #[arg(required_unless_present = "as_option")]
    input: Option<String>,
    // As for `mesh start`.
    #[arg(id = "as_option", long = "input", value_name = "INPUT", hide = true, conflicts_with = "input")]
    as_option: Option<String>,
    /// Your own id of the request: calling again with the same id is the same task, done once
    #[arg(long, value_name = "KEY", value_parser = request_id)]
    id: Option<String>,
    /// How long to wait, such as 10s or 5m; after that, the task goes on without being waited for
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    #[command(flatten)]
    output: Output,
}

impl Call {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let input = read_input(&self.input.or(self.as_option).unwrap_or_default())?;
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let request = request(&*bus, Target::Task(self.capability), self.id, input);
        let run = run_of(&*bus, &request).await?;
        let request = traced(&request, bus.namespace(), &run);
        let attended = attend(bus, run, Attending::Wait(&request), self.output);
        let Some(timeout) = self.timeout else { return attended.await };
        match tokio::time::timeout(timeout.get(), attended).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = format!(
                    "no outcome within {timeout}: run {run} goes on. `mesh runs watch {run}` comes back to it, `mesh runs \
                     cancel {run}` ends it"
                );
                Err(Failure::new(ErrorCode::NoOutcome, message).into())
            }
        }
    }
}
