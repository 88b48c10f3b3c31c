use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use mesh_bus::{Bus, Publish, RunOutcome, RunWaiter};
use mesh_schemas::payload::CancelSignal;
use mesh_schemas::{Decoded, Envelope, Message, RunId, SignalId, StoredMessage, Subject};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::begin::{Beginning, Begun};
use super::show::unknown;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::select::RunSelector;

/// How long a run may take to begin: `mesh runs cancel $(mesh start …)` is not to fail.
pub(super) const BEGINS_WITHIN: Duration = Duration::from_secs(5);
/// How long to try to have the signal stored: longer than a server takes to start again.
const PUBLISH_FOR: Duration = Duration::from_secs(30);
/// Pause between two tries.
const PUBLISH_PAUSE: Duration = Duration::from_millis(250);

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
        publish(&**bus, signal(&**bus, run, started, self.reason.clone())?).await?;
        if self.wait { Ok(result(&waiter.wait().await?)) } else { Ok(CancelResult::Requested) }
    }
}

/// Has a run end that has begun or is about to, for a reason. One that does not begin is left alone.
pub(crate) async fn ask_to_end(bus: &dyn Bus, run: RunId, reason: &str) -> anyhow::Result<()> {
    if let Begun::Started(started) = Beginning::of(bus, &run).await?.within(BEGINS_WITHIN).await? {
        publish(bus, signal(bus, run, &started, Some(reason.to_owned()))?).await?;
    }
    Ok(())
}

/// A signal with an id of its own: each asking is a fact.
fn signal(
    bus: &dyn Bus,
    run: RunId,
    started: &StoredMessage,
    reason: Option<String>,
) -> anyhow::Result<Message> {
    let workflow = match Subject::parse(bus.namespace(), &started.message.subject)? {
        Subject::Workflow { workflow, .. } => workflow,
        _ => None,
    };
    let id = SignalId::new(Uuid::new_v4().to_string())?;
    let subject = Subject::Signalled { workflow, run, signal: SignalId::new("cancel")?, id };
    let data = serde_json::to_value(CancelSignal { reason })?;
    let id = subject.render(bus.namespace());
    let source = format!("/{}/cli", bus.namespace());
    let mut event = Envelope::new(id.clone(), source, subject.event_type(), data);
    event.time = Some(bus.now());
    event.correlationid = match Envelope::decode(&started.message.headers, &started.message.payload) {
        Ok(Decoded::Event(started)) => started.correlationid,
        _ => None,
    };
    let (headers, body) = event.encode()?;
    Ok(Message { subject: id, headers, payload: Bytes::from(body) })
}

async fn publish(bus: &dyn Bus, signal: Message) -> anyhow::Result<()> {
    let give_up = Instant::now() + PUBLISH_FOR;
    loop {
        match bus.publish(Publish::once(signal.clone())).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() && Instant::now() + PUBLISH_PAUSE < give_up => {
                tracing::debug!(%error, "signalling again");
                tokio::time::sleep(PUBLISH_PAUSE).await;
            }
            Err(error) => return Err(anyhow::Error::new(error).context("the run could not be signalled")),
        }
    }
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
