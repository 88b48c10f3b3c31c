mod otlp;
mod read;
pub(crate) mod story;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use mesh_bus::Bus;

use super::runs::unknown;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::select::RunSelector;
use crate::terminal::Terminal;
pub(crate) use read::started_run;

/// Show the course of a run as a tree: what took how long, what was waited for, and what held it up
///
/// It is made of the events of the run alone, while the run is under way and afterwards; no tracing backend is needed. `*` marks the
/// critical path: the chain of causes that leads to the end of the run, or to what it is at now. Only if something on it is quicker,
/// the run is quicker.
#[derive(Args)]
pub(crate) struct Trace {
    /// The run: its id, the beginning of it, or @last
    run: RunSelector,
    /// Show people no more than so many tasks, those first that are open, failed or on the critical path; 0 for all
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// Write the spans of the run as OTLP/JSON into a file, for Jaeger and other tools, instead of showing them; - for stdout
    #[arg(long, value_name = "FILE")]
    otlp: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Trace {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus: Arc<dyn Bus> = Arc::new(connection.connect().await?);
        let run = self.run.resolve(&*bus).await?;
        let Some(story) = read::story(&bus, run).await? else {
            return Err(unknown(bus, run).await);
        };
        let now = bus.now();
        if let Some(file) = &self.otlp {
            let request = otlp::request(bus.namespace(), &story, now);
            if file.as_os_str() == "-" {
                output::json(&request)?;
                return Ok(Outcome::Done);
            }
            let text = serde_json::to_string(&request)?;
            std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
            eprintln!("wrote the spans of run {run} to {}", file.display());
            return Ok(Outcome::Done);
        }
        self.output.document(&story, || {
            let lines = tree::lines(&story, now, self.limit, Terminal::of_stdout());
            lines.iter().try_for_each(|line| output::line(line))?;
            Ok(())
        })?;
        Ok(Outcome::Done)
    }
}
