use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use mesh_bus::{Bus, Request, RunOutcome, RunWaiter, Target, run_id, submit};
use mesh_schemas::{RequestId, WorkflowName};
use serde_json::Value;
use uuid::Uuid;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output;

/// Start a run of a workflow
#[derive(Args)]
pub(crate) struct Start {
    /// The workflow
    name: WorkflowName,
    /// Input: JSON, a file of JSON, or - for stdin
    #[arg(long, default_value = "{}")]
    input: String,
    /// Your own id of the request: starting again with the same id is the same run
    #[arg(long)]
    id: Option<String>,
    /// Wait for the end of the run and print its output; the exit code tells the outcome
    #[arg(long)]
    wait: bool,
}

impl Start {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let input = read_input(&self.input)?;
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let request = Request {
            target: Target::Workflow(self.name),
            id: RequestId {
                source: format!("/{}/cli", bus.namespace()),
                id: self.id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            },
            input,
            correlation_id: None,
            causation_id: None,
            trace: None,
        };
        let run = run_id(&request, bus.shards().await?);
        if !self.wait {
            submit(&*bus, &request).await?;
            output::line(&run.to_string())?;
            return Ok(Outcome::Done);
        }
        let mut waiter = RunWaiter::before_submit(Arc::clone(&bus), run).await?;
        submit(&*bus, &request).await?;
        eprintln!("run {run}");
        report(waiter.wait().await?)
    }
}

fn report(outcome: RunOutcome) -> anyhow::Result<Outcome> {
    Ok(match outcome {
        RunOutcome::Completed(completed) => {
            output::json(&completed.output)?;
            Outcome::Done
        }
        RunOutcome::Failed(failed) => {
            eprintln!("failed: {} ({})", failed.error.message, failed.error.code);
            Outcome::RunFailed
        }
        RunOutcome::Cancelled(cancelled) => {
            eprintln!("cancelled: {}", cancelled.reason.as_deref().unwrap_or("no reason given"));
            Outcome::RunCancelled
        }
        RunOutcome::Rejected(rejected) => {
            eprintln!("rejected ({}):", rejected.code);
            for reason in rejected.reasons {
                eprintln!("  {reason}");
            }
            Outcome::Rejected
        }
    })
}

/// Reads JSON from the argument itself, from stdin for `-`, else from the file of that name.
fn read_input(argument: &str) -> anyhow::Result<Value> {
    if argument == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading the input from stdin")?;
        return serde_json::from_str(&text).context("the input on stdin is not JSON");
    }
    if let Ok(value) = serde_json::from_str(argument) {
        return Ok(value);
    }
    if !Path::new(argument).exists() {
        bail!("--input is neither JSON nor a file that exists: {argument}");
    }
    let text = std::fs::read_to_string(argument).with_context(|| format!("reading {argument}"))?;
    serde_json::from_str(&text).with_context(|| format!("{argument} is not JSON"))
}
