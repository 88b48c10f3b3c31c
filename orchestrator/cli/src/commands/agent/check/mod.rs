//! Tries out whether an agent, in whatever language, keeps the rules of the contract.

mod bench;
#[cfg(test)]
mod reference;
mod report;
mod rule;
mod run;
mod trials;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mesh_schemas::Capability;
use mesh_schemas::definition::Span;
use serde_json::Value;

use self::bench::{Bench, Place};
use self::report::Report;
use self::rule::Rule;
use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::Output;

#[cfg(test)]
pub(crate) use reference::reference;

/// Try out whether an agent keeps the rules of the contract
///
/// With a COMMAND that starts the agent, it is given a NATS server of its own and, where that is needed, stopped, killed and
/// started again; no mesh is touched. Its address and namespace are in MESH_NATS_URL and MESH_NAMESPACE. Without a COMMAND,
/// the agents are tried that run in the mesh of --nats-url and --namespace, with requests for single tasks; rules that cannot
/// be tried so are skipped. The exit code is 0 if no rule that must be kept is broken.
#[derive(Args)]
#[command(
    after_help = "Example: mesh agent check --capability greet --input '{\"name\": \"Ada\"}' -- python3 greet.py"
)]
pub(crate) struct Check {
    /// What the agent can do
    #[arg(long, short, value_name = "NAME")]
    capability: Capability,
    /// Input of a task that the agent does well: JSON, or a file of JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    input: Value,
    /// Input of a task that the agent cannot do: JSON, or a file of JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    bad_input: Option<Value>,
    /// Input of a task that takes longer than 2 s, better longer than 30 s: JSON, or a file of JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    slow_input: Option<Value>,
    /// How long the agent may take to start and to do one task; longer than the slow input takes
    #[arg(long, default_value = "60s", value_name = "TIME")]
    timeout: Span,
    /// Only this rule; may be given several times
    #[arg(long = "rule", value_name = "RULE", value_parser = Rule::named)]
    rules: Vec<Rule>,
    /// How many processes of the agent may run at once; 1 if they are in each other's way
    #[arg(long, default_value = "8", value_name = "N", value_parser = jobs)]
    jobs: usize,
    #[command(flatten)]
    output: Output,
    /// Starts the agent
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What is tried.
struct Settings {
    capability: Capability,
    input: Value,
    bad_input: Option<Value>,
    slow_input: Option<Value>,
    timeout: Duration,
    rules: Vec<Rule>,
    jobs: usize,
}

impl Check {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let stop = mesh_agents::stop_signal()?;
        let settings = Settings {
            capability: self.capability,
            input: self.input,
            bad_input: self.bad_input,
            slow_input: self.slow_input,
            timeout: self.timeout.get(),
            rules: if self.rules.is_empty() { Rule::ALL.to_vec() } else { self.rules },
            jobs: self.jobs,
        };
        let place = if self.command.is_empty() {
            Place::Live(Arc::new(connection.connect().await?))
        } else {
            Place::Own(Box::new(Bench::new(self.command).await?))
        };
        let findings = tokio::select! {
            findings = run::all(&place, &settings) => findings,
            () = stop.cancelled() => Err(anyhow::anyhow!("stopped before all rules were tried")),
        };
        place.end().await?;
        let report = Report::new(&settings.capability, &findings?);
        self.output.document(&report, || report.print())?;
        Ok(if report.passed() { Outcome::Done } else { Outcome::Error })
    }
}

fn json(argument: &str) -> Result<Value, String> {
    let error = match serde_json::from_str(argument) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match std::fs::read(argument) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("the file is not JSON: {error}")),
        Err(_) => Err(format!("it is neither JSON ({error}) nor a file that can be read")),
    }
}

fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| "use a number from 1 to 64".to_owned())
}
