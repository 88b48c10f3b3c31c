//! `mesh`: the command line of the mesh. Data goes to stdout, everything else to stderr.

mod cli;
mod commands;
mod config;
mod connection;
mod durable;
mod exit;
mod failure;
mod follow;
mod loss;
mod nats_server;
mod output;
mod process;
mod scratch;
mod select;
mod supply;
mod terminal;
mod text;
mod unknown;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, Command};
use crate::config::ConfigFile;
use crate::exit::Outcome;

/// A third of the time of orchestrators and agents went to the allocator of the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match begin() {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            failure::tell(&error);
            Outcome::Error.into()
        }
    }
}

fn begin() -> anyhow::Result<Outcome> {
    let command = Cli::command();
    // Only to learn which file; whatever is wrong with the rest is told by the parser that knows the file.
    let early =
        command.clone().try_get_matches().ok().and_then(|matches| Cli::from_arg_matches(&matches).ok());
    let named = match early {
        Some(cli) => cli.configuration.config,
        None => std::env::var_os("MESH_CONFIG").filter(|path| !path.is_empty()).map(Into::into),
    };
    let file = ConfigFile::read(named.as_deref(), &command)?;
    let matches = config::with_file(command.clone(), &file)
        .try_get_matches()
        .unwrap_or_else(|error| config::refuse(error, &command));
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    for warning in config::misspelt(&command) {
        eprintln!("warning: {warning}");
    }
    if cli.configuration.print_config {
        let mut built = command;
        built.build();
        output::text(&config::effective(&built, &matches, &file))?;
        return Ok(Outcome::Done);
    }
    match matches.subcommand() {
        Some(("up", matches)) => commands::up::Up::check(matches)?,
        Some(("start", matches)) => commands::start::Start::check(matches)?,
        Some(("bench", matches)) => {
            if let Command::Bench(bench) = &mut cli.command {
                bench.note(matches);
            }
        }
        _ => {}
    }
    runtime()?.block_on(run(cli))
}

/// A thread for every two processors: messages that go from one thread to another cost more than they gain where the NATS
/// server wants its share, too. `TOKIO_WORKER_THREADS` says otherwise.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        builder.worker_threads((processors / 2).max(1));
    }
    builder.enable_all().build()
}

async fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let telemetry = mesh_telemetry::init_with_log(&cli.service(), cli.log(), cli.configuration.log_format);
    let patience = cli.patience();
    let result = cli.command.run(&cli.connection).await;
    telemetry.shutdown_within(patience);
    result
}

#[cfg(test)]
mod tests;
