mod flow;
mod open;
mod print;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use mesh_bus::{Bus, BusError};
use mesh_schemas::definition::Span;
use tokio::time::MissedTickBehavior;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Format, Output};
use crate::terminal::Terminal;
use flow::Flow;
use open::OpenRuns;
use snapshot::Snapshot;

/// The shortest time between two looks: each asks the server for its streams and consumers.
const SHORTEST: Duration = Duration::from_millis(200);
/// To the upper left, and from there on nothing.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Show what goes on now, again and again, until Ctrl-C: runs and tasks per second, queues, agents, and the runs that are open longest or stuck
///
/// It listens to events as they pass, which puts no load on the log, and reads the same little of it however large it is. Open runs
/// are those that began since, those of the last hour as far as its first 2000 beginnings and ends tell, and those with the 1000 oldest
/// tasks: there may be more. What a run waits for is told of ten, if they have no more than 1024 events. Where stdout is no terminal, it
/// shows the state once and ends; with --output json it prints an object a line.
#[derive(Args)]
pub(crate) struct Top {
    /// Time between two looks, over which rates are measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Span,
    /// Measure for one interval, show that, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: Output,
}

fn interval(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    if span.get() < SHORTEST { Err(format!("{} at least", Span::from_millis(200))) } else { Ok(span) }
}

impl Top {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        // A namespace that is not there is an error, and not an empty screen.
        bus.shards().await?;
        tokio::select! {
            result = self.show(&bus) => result,
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("listening for Ctrl-C")?;
                Ok(Outcome::Done)
            }
        }
    }

    async fn show(&self, bus: &Arc<dyn Bus>) -> anyhow::Result<Outcome> {
        let terminal = Terminal::of_stdout();
        let is_table = self.output.format == Format::Table;
        let is_live = is_table && terminal.is_there && !self.once;
        let goes_on = is_live || (!is_table && !self.once);
        let flow = Flow::listen(&**bus).await?;
        let mut open = OpenRuns::default();
        let mut ticks = tokio::time::interval(self.interval.get());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once: there is no rate yet, but everything else.
        ticks.tick().await;
        if is_live {
            self.look(bus, &flow, &mut open, terminal, true).await?;
        }
        loop {
            ticks.tick().await;
            self.look(bus, &flow, &mut open, terminal, is_live).await?;
            if !goes_on {
                return Ok(Outcome::Done);
            }
        }
    }

    /// Looks once, and shows what there is.
    async fn look(
        &self,
        bus: &Arc<dyn Bus>,
        flow: &Flow,
        open: &mut OpenRuns,
        terminal: Terminal,
        is_live: bool,
    ) -> anyhow::Result<()> {
        let snapshot = match Snapshot::take(&**bus, flow, open).await {
            Ok(snapshot) => snapshot,
            // It comes back, or says later why it does not.
            Err(error) if is_live && error.downcast_ref().is_some_and(BusError::is_retryable) => {
                return Ok(output::text(&format!("{CLEAR}{error:#}\ntrying again…\n"))?);
            }
            Err(error) => return Err(error),
        };
        self.output.item(&snapshot, || {
            let lines = print::lines(&snapshot, terminal);
            let clear = if is_live { CLEAR } else { "" };
            Ok(output::text(&format!("{clear}{}\n", lines.join("\n")))?)
        })
    }
}
