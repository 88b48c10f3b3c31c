mod input;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mesh_bus::{Bus, Request, Target, run_id, submit};
use mesh_schemas::{RequestId, RunId, WorkflowName};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::commands::runs::{Attending, Beginning, Begun, NOT_TAKEN_UP, attend, rejected};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

pub(crate) use input::read_input;

/// How long to wait for an orchestrator to take up a request: one that runs does so at once.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(2);

/// Start a run of a workflow
#[derive(Args)]
pub(crate) struct Start {
    /// The workflow
    name: WorkflowName,
    /// Input: JSON, a file of JSON, or - for stdin
    #[arg(long, default_value = "{}")]
    input: String,
    /// Your own id of the request: starting again with the same id is the same run
    #[arg(long, value_name = "KEY", value_parser = request_id)]
    id: Option<String>,
    /// What you call the whole piece of work; every event of the run carries it
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Wait for the end of the run and print its output; the exit code tells the outcome
    #[arg(long, conflicts_with = "watch")]
    wait: bool,
    /// Show every task until the end of the run, then print its output; the exit code tells the outcome
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: Output,
}

impl Start {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let input = read_input(&self.input)?;
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let mut request = request(&*bus, Target::Workflow(self.name), self.id, input);
        request.correlation_id = self.correlation_id;
        let run = run_id(&request, bus.shards().await?);
        if self.watch {
            return attend(bus, run, Attending::Watch(Some(&request)), self.output).await;
        }
        if self.wait {
            return attend(bus, run, Attending::Wait(&request), self.output).await;
        }
        start(&*bus, run, &request, self.output).await
    }
}

/// An id that a request can have: it becomes an attribute of an event.
pub(crate) fn request_id(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("use text that is not empty, on one line".to_owned());
    }
    Ok(text.to_owned())
}

/// A request from this command line, under an id of the caller's or a new one.
pub(crate) fn request(bus: &dyn Bus, target: Target, id: Option<String>, input: Value) -> Request {
    Request {
        target,
        id: RequestId {
            source: format!("/{}/cli", bus.namespace()),
            id: id.unwrap_or_else(|| Uuid::new_v4().to_string()),
        },
        input,
        correlation_id: None,
        causation_id: None,
        trace: None,
    }
}

/// Submits a request and prints which run it is, unless it is rejected at once.
async fn start(bus: &dyn Bus, run: RunId, request: &Request, output: Output) -> anyhow::Result<Outcome> {
    let beginning = Beginning::before_submit(bus, &run).await?;
    submit(bus, request).await?;
    match beginning.within(TAKEN_UP_WITHIN).await {
        Ok(Begun::Rejected(reasons)) => return Ok(rejected(&reasons)),
        Ok(Begun::Started(_)) => {}
        // The request is stored, so nothing has failed.
        Ok(Begun::NotYet) | Err(_) => {
            eprintln!("{NOT_TAKEN_UP}");
        }
    }
    output.document(&json!({ "run": run }), || Ok(output::line(&run.to_string())?))?;
    Ok(Outcome::Done)
}
