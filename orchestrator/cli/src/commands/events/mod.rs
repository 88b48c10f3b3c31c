mod archived;
mod merge;
mod print;
mod selection;
mod types;

use std::collections::VecDeque;

use clap::Args;
use mesh_bus::{Bus, From};
use mesh_orchestrator::log;
use mesh_schemas::{ErrorCode, RunId, WorkflowName};

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::select::{RunSelector, Since};
use archived::WithArchived;
use merge::Merged;
pub(crate) use merge::Placed;
pub(crate) use print::Shown;
pub(crate) use selection::OfWorkflow;
use selection::Selection;
use types::Types;

/// Show events, in the order of the log
#[derive(Args)]
pub(crate) struct Events {
    /// Stay and show events as they come
    #[arg(long, short)]
    follow: bool,
    /// Only events of this run: its id, the beginning of it, or @last
    #[arg(long, value_name = "RUN")]
    run: Option<RunSelector>,
    /// Only events of this type, such as task.completed, or task.* for all about tasks; may be given again
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<Types>,
    /// Only events of runs of this workflow, and of requests for it
    #[arg(long, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// Only events since then: 10s, 5m or 24h ago, or since a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Of the events that are there, only so many, the newest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show events with the data that they refer to (`dataref`) instead of carrying it
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    output: Output,
}

impl Events {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let namespace = bus.namespace();
        let run = match &self.run {
            Some(run) => Some(run.resolve(&bus).await?),
            None => None,
        };
        let from = Since::begin(self.since, bus.now());
        let mut selection = Selection::new(&bus, run, types::all(&self.types), self.workflow.clone()).await?;
        let filters = selection.filters(namespace);
        if filters.iter().all(Vec::is_empty) {
            let message =
                "events of these types belong to no run and no workflow: leave out --run and --workflow";
            return Err(Failure::new(ErrorCode::Combination, message).into());
        }
        let mut events = Merged::new(&bus, &filters, from).await?;
        let mut held = VecDeque::new();
        let mut archived = match &run {
            Some(run) => WithArchived::read(&bus, run, &mut events, from).await?,
            None => WithArchived::none(),
        };
        while let Some(event) = archived.next(&mut events).await? {
            if !selection.takes(namespace, &event) {
                continue;
            }
            let Some(limit) = self.limit else {
                self.print(&bus, event).await?;
                continue;
            };
            held.push_back(event);
            if held.len() > limit {
                held.pop_front();
            }
        }
        for event in held {
            self.print(&bus, event).await?;
        }
        if !self.follow {
            return Ok(Outcome::Done);
        }
        let mut events = events.live();
        loop {
            let event = events.next().await?;
            if selection.takes(namespace, &event) {
                self.print(&bus, event).await?;
            }
        }
    }

    async fn print(&self, bus: &dyn Bus, mut event: Placed) -> anyhow::Result<()> {
        if self.whole {
            event.stored = log::whole_message(bus, event.stored).await?;
        }
        Ok(output::text(&print::rendered(bus.namespace(), &event, self.output)?)?)
    }
}

/// Gives every event of a run that there is, in order and with all of its data, as it is printed.
pub(crate) async fn of_run(
    bus: &dyn Bus,
    run: RunId,
    output: Output,
    mut give: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    each_of_run(bus, run, async |mut event| {
        event.stored = log::whole_message(bus, event.stored).await?;
        give(&print::rendered(bus.namespace(), &event, output)?)
    })
    .await
}

/// Gives every event of a run that there is, in order, as it is stored.
pub(crate) async fn each_of_run(
    bus: &dyn Bus,
    run: RunId,
    mut give: impl AsyncFnMut(Placed) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let namespace = bus.namespace();
    let mut selection = Selection::new(bus, Some(run), None, None).await?;
    let mut events = Merged::new(bus, &selection.filters(namespace), From::Begin).await?;
    let mut archived = WithArchived::read(bus, &run, &mut events, From::Begin).await?;
    while let Some(event) = archived.next(&mut events).await? {
        if selection.takes(namespace, &event) {
            give(event).await?;
        }
    }
    Ok(())
}
