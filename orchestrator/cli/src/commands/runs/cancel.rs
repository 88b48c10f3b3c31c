use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mesh_bus::{Bus, RunOutcome, RunWaiter};
use mesh_schemas::payload::CancelSignal;
use mesh_schemas::{RunId, StoredMessage};
use serde::Serialize;

use super::begin::{Beginning, Begun};
use super::show::unknown;
use super::signal;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::select::RunSelector;

/// How long a run may take to begin: `mesh runs cancel $(mesh start …)` is not to fail.
pub(super) const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// End runs before they are done; what their agents are at is given up
#[derive(Args)]
pub(crate) struct Cancel {
    /// The runs: their ids, the beginnings of them, or @last
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<RunSelector>,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until they have ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: Output,
}

/// What became of one run.
#[derive(Serialize)]
struct Cancelled {
    run: RunId,
    result: CancelResult,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CancelResult {
    /// The signal is stored; the run ends when it is read.
    Requested,
    Cancelled,
    AlreadyCancelled,
    Completed,
    Failed,
}

impl Cancel {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        // All are found before any is cancelled.
        let mut runs = Vec::new();
        for run in &self.runs {
            let run = run.resolve(&*bus).await?;
            match Beginning::of(&*bus, &run).await?.within(BEGINS_WITHIN).await? {
                Begun::Started(started) => runs.push((run, started)),
                Begun::Rejected(_) | Begun::NotYet => return Err(unknown(bus, run).await),
            }
        }
        let mut outcome = Outcome::Done;
        for (run, started) in runs {
            let result = self.cancel(&bus, run, &started).await?;
            self.output.item(&Cancelled { run, result }, || Ok(output::line(&describe(run, result))?))?;
            if matches!(result, CancelResult::Completed | CancelResult::Failed) {
                outcome = Outcome::Error;
            }
        }
        Ok(outcome)
    }

    async fn cancel(
        &self,
        bus: &Arc<dyn Bus>,
        run: RunId,
        started: &StoredMessage,
    ) -> anyhow::Result<CancelResult> {
        let mut waiter = RunWaiter::new(Arc::clone(bus), run).await?;
        if let Some(outcome) = waiter.look().await? {
            return Ok(match result(&outcome) {
                CancelResult::Cancelled => CancelResult::AlreadyCancelled,
                other => other,
            });
        }
        let data = CancelSignal { reason: self.reason.clone() };
        signal::send(&**bus, run, started, "cancel", &data).await?;
        if self.wait { Ok(result(&waiter.wait().await?)) } else { Ok(CancelResult::Requested) }
    }
}

/// Has a run end that has begun or is about to, for a reason. One that does not begin is left alone.
pub(crate) async fn ask_to_end(bus: &dyn Bus, run: RunId, reason: &str) -> anyhow::Result<()> {
    if let Begun::Started(started) = Beginning::of(bus, &run).await?.within(BEGINS_WITHIN).await? {
        let data = CancelSignal { reason: Some(reason.to_owned()) };
        signal::send(bus, run, &started, "cancel", &data).await?;
    }
    Ok(())
}

fn result(outcome: &RunOutcome) -> CancelResult {
    match outcome {
        RunOutcome::Completed(_) => CancelResult::Completed,
        RunOutcome::Cancelled(_) => CancelResult::Cancelled,
        // A run that began is not rejected.
        RunOutcome::Failed(_) | RunOutcome::Rejected(_) => CancelResult::Failed,
    }
}

fn describe(run: RunId, result: CancelResult) -> String {
    match result {
        CancelResult::Requested => format!("run {run} is asked to end"),
        CancelResult::Cancelled => format!("run {run} was cancelled"),
        CancelResult::AlreadyCancelled => format!("run {run} had been cancelled before"),
        CancelResult::Completed => format!("run {run} completed before it could be cancelled"),
        CancelResult::Failed => format!("run {run} failed before it could be cancelled"),
    }
}
