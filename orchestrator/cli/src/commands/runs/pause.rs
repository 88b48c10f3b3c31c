use std::sync::Arc;

use clap::Args;
use mesh_bus::Bus;
use mesh_schemas::payload::{CancelSignal, RetrySignal};
use mesh_schemas::{ErrorCode, RunId, StoredMessage, TaskId};
use serde::Serialize;

use super::begin::{Beginning, Begun};
use super::cancel::BEGINS_WITHIN;
use super::show::unknown;
use super::signal;
use super::state::{RunReader, RunState};
use crate::commands::start::read_input;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::select::RunSelector;

/// Have a run begin nothing new until it is resumed; what its agents are at goes on
#[derive(Args)]
pub(crate) struct Pause {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// Have a paused run go on; what failed and paused it is tried again
#[derive(Args)]
pub(crate) struct Resume {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    #[command(flatten)]
    output: Output,
}

/// Have work tried again that failed and paused its run
#[derive(Args)]
pub(crate) struct Retry {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    /// The task; all that failed if none is named
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
    /// The input that it gets from now on: JSON, a file, or - for stdin
    #[arg(long, value_name = "JSON|FILE", requires = "task")]
    input: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// What a run was told.
#[derive(Serialize)]
struct Told {
    run: RunId,
    result: &'static str,
}

impl Pause {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let open = Open::find(connection, &self.run).await?;
        if open.state.is_paused() {
            return open.say(&self.output, "already_paused", "is paused already");
        }
        signal::send(&*open.bus, open.run, &open.started, "pause", &CancelSignal { reason: self.reason })
            .await?;
        open.say(&self.output, "requested", "is asked to pause")
    }
}

impl Resume {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let open = Open::find(connection, &self.run).await?;
        if !open.state.is_paused() {
            return open.say(&self.output, "not_paused", "is not paused");
        }
        signal::send(&*open.bus, open.run, &open.started, "resume", &serde_json::json!({})).await?;
        open.say(&self.output, "requested", "is asked to go on")
    }
}

impl Retry {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let input = self.input.as_deref().map(read_input).transpose()?;
        let open = Open::find(connection, &self.run).await?;
        let stuck = open.state.stuck();
        let is_stuck = self.task.as_ref().map_or(!stuck.is_empty(), |task| stuck.contains(task));
        if !is_stuck {
            let what = match &self.task {
                Some(task) => format!("task '{task}' of run {} did not fail for good", open.run),
                None => format!("no task of run {} failed for good", open.run),
            };
            let message = format!(
                "{what}, or its run goes on without it: there is something to try again where the workflow says \
                 'recovery: pause' and the run is paused"
            );
            return Err(Failure::new(ErrorCode::Combination, message).into());
        }
        let data = RetrySignal { task: self.task, input };
        signal::send(&*open.bus, open.run, &open.started, "retry", &data).await?;
        open.say(&self.output, "requested", "is asked to try again what failed")
    }
}

/// A run that has not ended.
struct Open {
    bus: Arc<dyn Bus>,
    run: RunId,
    started: StoredMessage,
    state: RunState,
}

impl Open {
    async fn find(connection: &Connection, run: &RunSelector) -> anyhow::Result<Self> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let run = run.resolve(&*bus).await?;
        let Begun::Started(started) = Beginning::of(&*bus, &run).await?.within(BEGINS_WITHIN).await? else {
            return Err(unknown(bus, run).await);
        };
        let Some(state) = RunReader::new(Arc::clone(&bus)).read(&run).await? else {
            return Err(unknown(bus, run).await);
        };
        if !state.status.is_open() {
            let message = format!("run {run} is over: it {}", state.status.as_str());
            return Err(Failure::new(ErrorCode::Combination, message).into());
        }
        Ok(Self { bus, run, started: *started, state })
    }

    fn say(&self, output: &Output, result: &'static str, words: &str) -> anyhow::Result<Outcome> {
        let line = format!("run {} {words}", self.run);
        output.item(&Told { run: self.run, result }, || Ok(output::line(&line)?))?;
        Ok(Outcome::Done)
    }
}
