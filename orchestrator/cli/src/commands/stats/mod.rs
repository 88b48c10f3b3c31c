mod collect;
mod figures;
mod insights;
mod print;
mod sample;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use clap::Args;
use mesh_bus::Bus;
use mesh_orchestrator::definitions;
use mesh_schemas::WorkflowName;

use super::doctor::is_served;
use super::workflow::not_registered;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::Output;
use crate::select::Since;
use crate::supply::{alive, supply};
use figures::Figures;

/// Show figures over the runs of a workflow: how they ended, how long they and their tasks took, what was waited for, and what stands out
///
/// Runs are read from the log and from the histories, one by one. What stands out is told in words, with what to do
/// about it.
#[derive(Args)]
pub(crate) struct Stats {
    /// The workflow
    workflow: WorkflowName,
    /// Only runs that began since then: 10s, 5m or 24h ago, or at a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: Since,
    /// Look at no more than so many runs, the newest: each is read whole
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

impl Stats {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let now = bus.now();
        let since = self.since.time(now);
        let chosen = collect::newest(&*bus, &self.workflow, since, self.limit as usize).await?;
        if chosen.runs.is_empty() {
            let all = definitions::all(&*bus).await?;
            if !all.iter().any(|workflow| workflow.name == self.workflow) {
                return Err(not_registered(&self.workflow, &all));
            }
        }
        let agents = alive(&*bus).await?;
        let supplies = supply(&bus.health().await?, &agents, &[]);
        let mut figures = Figures::new(self.workflow.clone(), since, now);
        figures.runs.left_out = chosen.left_out;
        for runs in chosen.runs.chunks(collect::TOGETHER) {
            let mut notes = collect::notes(&*bus, runs).await?;
            for run in runs {
                match collect::story(&*bus, *run, notes.remove(run).unwrap_or_default()).await? {
                    Some(mut story) => {
                        story.note_unserved(&|needed| supplies.get(needed).is_none_or(is_served));
                        story.note_silence(&|agent| agents.iter().any(|alive| alive.agent.agent == *agent));
                        story.settle(now);
                        figures.add(&story);
                    }
                    None => figures.runs.unreadable += 1,
                }
            }
        }
        figures.conclude();
        self.output.document(&figures, || print::print(&figures))?;
        if chosen.left_out > 0 {
            let (read, all) = (chosen.runs.len(), chosen.runs.len() as u64 + chosen.left_out);
            eprintln!("these are the newest {read} of {all} runs: --limit N looks at more, --since at fewer");
        }
        Ok(Outcome::Done)
    }
}
