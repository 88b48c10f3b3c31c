//! `mesh`: the command line of the mesh. Data goes to stdout, everything else to stderr.

mod commands;
mod exit;
mod nats_server;
mod output;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mesh_bus::nats::{ConnectOptions, DEFAULT_URL, NatsBus};
use mesh_schemas::Namespace;

use crate::exit::Outcome;

/// Coordinates agents through events on NATS JetStream.
#[derive(Parser)]
#[command(name = "mesh", version, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Where the mesh is.
#[derive(Args, Clone)]
struct Connection {
    /// NATS servers, with commas between
    #[arg(long, global = true, env = "MESH_NATS_URL", default_value = DEFAULT_URL)]
    nats: String,
    /// First token of every subject; keeps meshes on one server apart
    #[arg(long, global = true, env = "MESH_NAMESPACE", default_value = "mesh")]
    namespace: Namespace,
}

impl Connection {
    async fn connect(&self) -> Result<NatsBus, mesh_bus::BusError> {
        NatsBus::connect(self.options()).await
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(&self.nats).namespace(self.namespace.clone()).name("mesh-cli")
    }
}

#[derive(Subcommand)]
enum Command {
    /// Start a NATS server and an orchestrator here, until Ctrl-C
    Up(commands::up::Up),
    /// Run an orchestrator against a NATS server that is there
    Orchestrator(commands::orchestrator::Orchestrator),
    /// Check and register workflow definitions
    #[command(alias = "workflows")]
    Workflow {
        #[command(subcommand)]
        command: commands::workflow::Workflow,
    },
    /// Start a run of a workflow
    Start(commands::start::Start),
    /// Look at runs
    #[command(alias = "run")]
    Runs {
        #[command(subcommand)]
        command: commands::runs::Runs,
    },
    /// Show events, in the order of the log
    #[command(alias = "event")]
    Events(commands::events::Events),
    /// List the agents that are alive
    #[command(alias = "agent")]
    Agents(commands::agents::Agents),
    /// Write the JSON Schemas and the AsyncAPI document
    #[command(alias = "schemas")]
    Schema(commands::schema::Schema),
    /// Run nats-server so that it ends with this process's parent
    #[command(hide = true)]
    NatsServer(nats_server::Tethered),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let telemetry = mesh_telemetry::init("mesh");
    let result = run(cli).await;
    telemetry.shutdown();
    match result {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Outcome::Error.into()
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let connection = cli.connection;
    match cli.command {
        Command::Up(up) => up.run(&connection).await,
        Command::Orchestrator(orchestrator) => orchestrator.run(&connection).await,
        Command::Workflow { command } => command.run(&connection).await,
        Command::Start(start) => start.run(&connection).await,
        Command::Runs { command } => command.run(&connection).await,
        Command::Events(events) => events.run(&connection).await,
        Command::Agents(agents) => agents.run(&connection).await,
        Command::Schema(schema) => schema.run(),
        Command::NatsServer(tethered) => tethered.run(),
    }
}
