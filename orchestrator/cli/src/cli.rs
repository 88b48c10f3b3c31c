use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::config::Configuration;
use crate::connection::Connection;
use crate::exit::{self, Outcome};
use crate::nats_server;

/// Coordinates agents through events on NATS JetStream.
#[derive(Parser)]
#[command(name = "mesh", version, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a NATS server and an orchestrator here, until Ctrl-C
    Up(commands::up::Up),
    /// Run an orchestrator against a NATS server that is there
    #[command(alias = "orchestrators")]
    Orchestrator(commands::orchestrator::Orchestrator),
    /// Check, register, look at and delete workflow definitions
    #[command(visible_alias = "workflows")]
    Workflow {
        #[command(subcommand)]
        command: commands::workflow::Workflow,
    },
    /// Start a run of a workflow
    Start(commands::start::Start),
    /// Have one task done, without a workflow, and print its output
    Call(commands::call::Call),
    /// Look at runs, watch them, and end them
    #[command(visible_alias = "run")]
    Runs {
        #[command(subcommand)]
        command: commands::runs::Runs,
    },
    /// Show events, in the order of the log
    #[command(visible_alias = "event")]
    Events(commands::events::Events),
    /// Show all that happened in a run, in order, with what led to it, and whether its history is as it was archived
    Timeline(commands::timeline::Timeline),
    Trace(commands::trace::Trace),
    Stats(commands::stats::Stats),
    Top(commands::top::Top),
    /// Run agents, and see which are alive
    #[command(visible_alias = "agents")]
    Agent {
        #[command(subcommand)]
        command: commands::agent::Agent,
    },
    /// Look at messages that nobody could deal with, have them dealt with after all, or drop them
    Dead {
        #[command(subcommand)]
        command: commands::dead::Dead,
    },
    /// Tell everything that is wrong with a set-up, and what to do
    Doctor(commands::doctor::Doctor),
    Bench(commands::bench::Bench),
    /// Write the JSON Schemas, the AsyncAPI document, and the lists of errors and metrics
    #[command(alias = "schemas")]
    Schema(commands::schema::Schema),
    /// Print a script that completes commands in a shell
    #[command(alias = "completion")]
    Completions(commands::completions::Completions),
    /// Say what an error means and what to do about it
    #[command(alias = "errors")]
    Explain(commands::explain::Explain),
    /// Run nats-server so that it ends with this process's parent
    #[command(hide = true)]
    NatsServer(nats_server::Tethered),
    /// Be a part of a measurement
    #[command(hide = true)]
    BenchPart {
        #[command(subcommand)]
        part: commands::bench::BenchPart,
    },
}

impl Cli {
    /// What this process is called among those that export spans, unless `OTEL_SERVICE_NAME` says otherwise.
    pub(crate) fn service(&self) -> String {
        match &self.command {
            Command::Up(_) | Command::Orchestrator(_) => mesh_orchestrator::SERVICE.to_owned(),
            Command::Agent { command } => {
                command.type_().map_or_else(|| "mesh".to_owned(), ToOwned::to_owned)
            }
            _ => "mesh".to_owned(),
        }
    }

    /// How long the process may take at its end for what it tells: a service is stopped, but somebody waits for a command.
    pub(crate) fn patience(&self) -> Duration {
        const SHORT: Duration = Duration::from_millis(500);
        if self.service() == "mesh" { SHORT } else { mesh_telemetry::SHUTDOWN_TIMEOUT }
    }

    /// What to log, if it is not left to the telemetry.
    pub(crate) fn log(&self) -> Option<&str> {
        let is_set = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let own = match &self.command {
            Command::Start(start) if !is_set("RUST_LOG") => start.log(),
            _ => None,
        };
        self.configuration.log.as_deref().or(own)
    }
}

impl Command {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::Up(up) => up.run(connection).await,
            Self::Orchestrator(orchestrator) => orchestrator.run(connection).await,
            Self::Workflow { command } => command.run(connection).await,
            Self::Start(start) => start.run(connection).await,
            Self::Call(call) => call.run(connection).await,
            Self::Runs { command } => command.run(connection).await,
            Self::Events(events) => events.run(connection).await,
            Self::Timeline(timeline) => timeline.run(connection).await,
            Self::Trace(trace) => trace.run(connection).await,
            Self::Stats(stats) => stats.run(connection).await,
            Self::Top(top) => top.run(connection).await,
            Self::Agent { command } => command.run(connection).await,
            Self::Dead { command } => command.run(connection).await,
            Self::Doctor(doctor) => doctor.run(connection).await,
            Self::Schema(schema) => schema.run(),
            Self::Completions(completions) => completions.run(),
            Self::Explain(explain) => explain.run(),
            Self::NatsServer(tethered) => tethered.run(),
            Self::Bench(bench) => bench.run(connection).await,
            Self::BenchPart { part } => part.run(connection).await,
        }
    }
}
