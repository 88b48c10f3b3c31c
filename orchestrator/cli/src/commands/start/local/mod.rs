//! A run in this process: bus, orchestrator and agents, and no server.

mod doer;
mod fit;
mod mesh;
mod record;
mod shell;

use clap::Args;
use mesh_bus::{RunOutcome, Target, run_id};
use mesh_orchestrator::definitions;
use mesh_schemas::{ErrorCode, Namespace};

use super::config::Overrides;
use super::{read_input, request};
use crate::commands::runs::{Attending, report};
use crate::commands::workflow::Source;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::Output;
use doer::Doer;
use mesh::Mesh;
use record::{Destination, Record};

/// Said once, before anything runs.
const NOT_DURABLE: &str =
    "nothing is durable: the run is in this process only, and when the process ends, all of it is gone";
/// What programs say on stderr is what people look for when they try out a workflow; of the rest, what goes wrong.
const LOG: &str = "warn,mesh_agents::exec=info";
/// What is watched is told already.
const LOG_WATCHED: &str = "error";

/// How to run a workflow without a server.
#[derive(Args)]
#[command(next_help_heading = "Without a server")]
pub(super) struct Local {
    /// Run the workflow of this file (- for stdin) in this process and wait for its end; nothing of it is durable. Said again:
    /// the file of a workflow of which it starts runs
    #[arg(long, value_name = "FILE")]
    local: Vec<Source>,
    /// What does the tasks of a capability: a command for the shell, which is given a task as a program of `mesh agent exec`
    /// is, or the URL of an HTTP service; once for each capability of the workflow
    #[arg(long = "agent", value_name = "CAPABILITY=COMMAND")]
    agents: Vec<Doer>,
    /// When the run has ended, write its events to this file, as `mesh events` prints them; - for stdout, in place of the
    /// output
    #[arg(long, value_name = "FILE")]
    events: Option<Destination>,
}

impl Local {
    /// What to log if nobody says.
    pub(super) fn log(&self, watch: bool) -> Option<&'static str> {
        (!self.local.is_empty()).then_some(if watch { LOG_WATCHED } else { LOG })
    }

    pub(super) async fn run(
        self,
        namespace: &Namespace,
        input: &str,
        overrides: &Overrides,
        correlation_id: Option<String>,
        watch: bool,
        output: Output,
    ) -> anyhow::Result<Outcome> {
        let on_stdin = self.local.iter().filter(|source| **source == Source::Stdin).count();
        if on_stdin + usize::from(input == "-") > 1 {
            let message =
                "only one of the workflows and the input can be on stdin: put the others into files";
            return Err(Failure::new(ErrorCode::Combination, message).into());
        }
        let mut definitions = Vec::new();
        for source in &self.local {
            let Some(definition) = source.read()? else { return Ok(Outcome::Error) };
            definitions.push(definition);
        }
        let Some(definition) = definitions.first() else {
            let message = "name a workflow, or with --local the file of one";
            return Err(Failure::new(ErrorCode::Combination, message).into());
        };
        fit::check(&definitions, &self.agents)?;
        doer::check(&self.agents).await?;
        let input = read_input(input)?;
        let config = overrides.read()?;
        let mut record = self.events.map(Record::open).transpose()?;
        let more = more(watch, record.is_some());
        let stop = mesh_agents::stop_signal()?;
        eprintln!("{NOT_DURABLE}");
        let mut mesh = Mesh::start(namespace.clone(), doer::agent(self.agents)).await?;
        let bus = mesh.bus();
        for definition in &definitions {
            definitions::apply(&*bus, definition).await?;
        }
        let mut request = request(&*bus, Target::Workflow(definition.name.clone()), None, input);
        request.config = config;
        request.correlation_id = correlation_id;
        let run = run_id(&request, bus.shards().await?);
        let how = if watch { Attending::Watch(Some(&request)) } else { Attending::Wait(&request) };
        let end = mesh.attend(run, how, &stop).await?;
        let outcome = match &end {
            RunOutcome::Completed(_) if record.as_ref().is_some_and(Record::is_stdout) => Outcome::Done,
            end => report(end, output, more)?,
        };
        mesh.stop().await?;
        if let Some(record) = &mut record {
            record.write(&*bus, run, output).await?;
        }
        // Nobody but us can have cancelled it.
        Ok(if outcome == Outcome::RunCancelled { Outcome::Interrupted } else { outcome })
    }
}

/// Where to learn more of a failure, if there is anything that was not asked for yet.
fn more(watched: bool, recorded: bool) -> Option<&'static str> {
    match (watched, recorded) {
        (false, false) => Some("`--watch` shows each task as it goes, `--events -` every event"),
        (true, false) => Some("`--events -` shows every event"),
        (_, true) => None,
    }
}
