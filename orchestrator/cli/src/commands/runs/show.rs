use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use mesh_bus::{Bus, RunOutcome, RunWaiter};
use mesh_schemas::{ErrorCode, RunId};

use super::state::{RunReader, RunState, TaskState};
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::select::RunSelector;
use crate::text;
use crate::words::count;

/// Show one run: how it stands, its tasks, its output or error
#[derive(Args)]
pub(crate) struct Show {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    #[command(flatten)]
    output: Output,
}

impl Show {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let run = self.run.resolve(&*bus).await?;
        let Some(state) = RunReader::new(Arc::clone(&bus)).read_with_notes(&run).await? else {
            return Err(unknown(bus, run).await);
        };
        self.output.document(&state, || print(&state))?;
        Ok(Outcome::Done)
    }
}

/// Why the log has no run of that id.
pub(super) async fn unknown(bus: Arc<dyn Bus>, run: RunId) -> anyhow::Error {
    let failure = |message: String| Failure::new(ErrorCode::UnknownRun, message).into();
    let look = async { RunWaiter::new(bus, run).await?.look().await };
    match look.await {
        Ok(Some(RunOutcome::Rejected(rejected))) => {
            let reasons = rejected.reasons.iter().map(|reason| format!("\n  {}", text::one_line(reason)));
            let reasons: String = reasons.collect();
            failure(format!("run {run} never began: its request was rejected ({}):{reasons}", rejected.code))
        }
        Ok(_) => failure(format!("the log has no run {run}: `mesh runs list` shows those it has")),
        Err(error) => error.into(),
    }
}

fn print(state: &RunState) -> anyhow::Result<()> {
    output::line(&format!("{}  {}  {}", state.run, state.target, state.status.as_str()))?;
    output::line(&format!("started  {}", exact(state.started)))?;
    if let (Some(ended), Some(duration_ms)) = (state.ended, state.duration_ms) {
        output::line(&format!("ended    {} ({})", exact(ended), text::took(duration_ms)))?;
    }
    output::line(&format!("input    {}", text::printable(&state.input.to_string())))?;
    if let Some(result) = &state.output {
        output::line(&format!("output   {}", text::printable(&result.to_string())))?;
    }
    if let Some(error) = &state.error {
        output::line(&format!("error    {}", text::error(&error.code, &error.message)))?;
    }
    if let Some(reason) = &state.reason {
        output::line(&format!("reason   {}", text::one_line(reason)))?;
    }
    if state.archived {
        let late = match state.late {
            0 => String::new(),
            late => format!("; {} came after that", count(late as u64, "event")),
        };
        output::line(&format!("archived{late}"))?;
    }
    output::line("")?;
    let rows: Vec<_> = state.tasks.iter().map(row).collect();
    output::table(["TASK", "CAPABILITY", "STATUS", "ATTEMPT", "AGENT", "STARTED", "TOOK", "NOTE"], &rows)
}

fn exact(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn row(task: &TaskState) -> [String; 8] {
    [
        task.id.to_string(),
        task.capability.to_string(),
        task.status.to_owned(),
        task.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
        task.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
        task.started.map(text::clock).unwrap_or_default(),
        task.duration_ms.map(text::took).unwrap_or_default(),
        task.note(),
    ]
}
