//! Staying with a run until it ends.

mod describe;
mod lines;
mod live;
mod patience;
mod wait;
mod watcher;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Args;
use mesh_bus::{Bus, Request, RunOutcome};
use mesh_schemas::RunId;

use super::report::report;
use super::state::RunState;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::Output;
use crate::select::RunSelector;
use lines::Lines;
use live::Live;

pub(crate) use patience::not_taken_up;

/// Watch the tasks of a run until it ends, then print its output; the exit code tells the outcome
#[derive(Args)]
pub(crate) struct Watch {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    #[command(flatten)]
    output: Output,
}

impl Watch {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let run = self.run.resolve(&*bus).await?;
        attend(bus, run, Attending::Watch(None), self.output).await
    }
}

/// How to stay with a run, and the request that it begins with.
#[derive(Clone, Copy)]
pub(crate) enum Attending<'a> {
    /// Silently.
    Wait(&'a Request),
    /// Showing every change; without a request if the run was asked for before.
    Watch(Option<&'a Request>),
}

/// Shows a run as it goes on.
trait Display: Send {
    /// The run began, or is seen for the first time.
    fn begin(&mut self, state: &RunState);
    /// The tasks at these places stand otherwise than before, since a time.
    fn change(&mut self, state: &RunState, places: &[usize], at: DateTime<Utc>);
    /// Some time has passed in which the run did not end.
    fn progress(&mut self, state: &RunState, now: DateTime<Utc>);
    /// The run ended.
    fn end(&mut self, state: &RunState);
    /// Something else is to be told.
    fn say(&mut self, text: &str);
}

/// Submits a request, if there is one, and stays with its run until it ends, or until Ctrl-C: then the run goes on
/// without us.
pub(crate) async fn attend(
    bus: Arc<dyn Bus>,
    run: RunId,
    how: Attending<'_>,
    output: Output,
) -> anyhow::Result<Outcome> {
    let outcome = tokio::select! {
        outcome = until_the_end(bus, run, how) => outcome?,
        pressed = tokio::signal::ctrl_c() => {
            pressed.context("listening for Ctrl-C")?;
            eprintln!("interrupted: run {run} goes on. `mesh runs watch {run}` comes back to it, `mesh runs cancel {run}` ends it");
            return Ok(Outcome::Interrupted);
        }
    };
    report(&outcome, output, Some(&format!("`mesh runs show {run}` tells more")))
}

/// Submits a request, if there is one, and stays with its run until it ends.
pub(crate) async fn until_the_end(
    bus: Arc<dyn Bus>,
    run: RunId,
    how: Attending<'_>,
) -> anyhow::Result<RunOutcome> {
    match how {
        Attending::Wait(request) => wait::wait(bus, run, request).await,
        Attending::Watch(request) => watcher::watch(bus, run, request, &mut *display()).await,
    }
}

/// Moving lines on a terminal that can do that, else a line for each change.
fn display() -> Box<dyn Display> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if io::stderr().is_terminal() && !is_dumb { Box::new(Live::new()) } else { Box::new(Lines::default()) }
}
