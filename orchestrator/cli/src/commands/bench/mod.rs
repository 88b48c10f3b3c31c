//! `mesh bench`: how much the mesh does, how quickly, and at what cost.

mod figures;
mod load;
mod machine;
mod mesh;
mod parts;
mod print;
mod report;
mod round;
mod telemetry;
mod usage;
mod workload;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{ArgMatches, Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use self::figures::{Measure, Variant};
use self::machine::Machine;
use self::report::{Report, Setting};
use self::round::Plan;
use self::telemetry::Telemetry;
use self::workload::Workload;
use crate::connection::{self, Connection};
use crate::exit::Outcome;
use crate::output::Output;

pub(crate) use parts::BenchPart;

/// Measure how many runs and tasks the mesh does here, how long they take, and what they cost
///
/// Each round begins anew: an empty NATS server on a folder of its own, one orchestrator, agents that do nothing, and a
/// warm-up; then as many runs are kept under way as --in-flight says. No mesh that is there is touched. With a server typed
/// on the command line (--nats-url), that one is used, in a namespace that is removed after each round. What is printed are
/// medians over the rounds, with the least and the most.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mesh bench\n  mesh bench --workload one --in-flight 1\n  mesh bench --compare telemetry --rounds 5 -o json"
)]
pub(crate) struct Bench {
    /// What is run
    #[arg(long, value_enum, default_value_t)]
    workload: Workload,
    /// Bytes of text that the input of a run has, and with it each task and its output
    #[arg(long, default_value_t = 512, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    payload: u32,
    /// Runs that are under way at a time
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Length of a round, without its warm-up
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Measure so many runs in a round, however long they take
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Rounds, of each thing that is compared
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Processes of agents
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    agents: u32,
    /// Tasks that each of them does at once
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    agent_capacity: u32,
    /// Measure several things in turn, round by round, and compare them with the first
    #[arg(long, value_name = "WHAT")]
    compare: Option<Compare>,
    #[command(flatten)]
    output: Output,
    /// Whether the server to use is said on the command line.
    #[arg(skip)]
    is_given: bool,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compare {
    /// No telemetry; metrics; metrics and traces, one in ten; metrics and traces, all
    Telemetry,
}

impl Bench {
    /// Notes whether a server is typed: what the environment and the configuration file name is a mesh in use, and that is
    /// not to be measured by mistake.
    pub(crate) fn note(&mut self, matches: &ArgMatches) {
        self.is_given = connection::typed(matches).is_some();
    }

    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let stop = mesh_agents::stop_signal()?;
        let given = self.is_given.then_some(connection);
        let Some(report) = self.measure(given, &stop).await? else {
            eprintln!("stopped before all was measured");
            return Ok(Outcome::Interrupted);
        };
        self.output.document(&report, || print::print(&report))?;
        report.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        Ok(Outcome::Done)
    }

    /// Measures all rounds; nothing if it is stopped before.
    async fn measure(
        &self,
        given: Option<&Connection>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Report>> {
        let compared: &[Telemetry] = match self.compare {
            Some(Compare::Telemetry) => &Telemetry::ALL,
            None => &[Telemetry::Off],
        };
        let load = machine::load();
        let mut disturbances = Vec::new();
        let mut nats = String::new();
        let mut rounds: Vec<Vec<BTreeMap<Measure, f64>>> = vec![Vec::new(); compared.len()];
        for number in 1..=self.rounds {
            // One after another within each round, so that what changes on the machine meets all of them.
            for (telemetry, rounds) in compared.iter().zip(&mut rounds) {
                let measured = round::measure(&self.plan(*telemetry), given, stop).await?;
                let Some(measured) = measured else { return Ok(None) };
                disturbances.extend(measured.disturbance);
                eprintln!(
                    "round {number} of {}, telemetry {}: {:.0} runs/s",
                    self.rounds,
                    telemetry.name(),
                    measured.figures.get(&Measure::RunsPerSecond).copied().unwrap_or_default()
                );
                nats = measured.nats;
                rounds.push(measured.figures);
            }
        }
        let variants = compared.iter().zip(&rounds).map(|(telemetry, own)| {
            Variant::new(*telemetry, own, rounds.first().filter(|_| compared.len() > 1).map(Vec::as_slice))
        });
        let setting = Setting {
            workload: self.workload,
            tasks: self.workload.tasks(),
            payload_bytes: self.payload,
            in_flight: self.plan(Telemetry::Off).in_flight(),
            agents: self.agents,
            agent_capacity: self.agent_capacity,
            rounds: self.rounds,
            seconds: self.runs.is_none().then_some(self.seconds),
            runs: self.runs,
            own_server: given.is_none(),
        };
        let machine = Machine::look();
        let mut warnings = machine::doubts(&machine, load, &disturbances);
        if cfg!(debug_assertions) {
            warnings.push("this program is not optimised: build it with --release for figures".to_owned());
        }
        if !usage::is_there() {
            warnings.push("there is no /proc/PID/stat here: CPU time and memory are not measured".to_owned());
        } else if given.is_some() {
            warnings.push("CPU time and memory of a server that was there are not measured".to_owned());
        }
        Ok(Some(Report {
            mesh: env!("CARGO_PKG_VERSION"),
            is_optimised: !cfg!(debug_assertions),
            nats,
            machine,
            setting,
            variants: variants.collect(),
            warnings,
        }))
    }

    fn plan(&self, telemetry: Telemetry) -> Plan {
        Plan {
            workload: self.workload,
            payload: self.payload as usize,
            in_flight: self.in_flight as usize,
            length: match self.runs {
                Some(runs) => round::Length::Runs(runs as usize),
                None => round::Length::Time(Duration::from_secs(self.seconds.into())),
            },
            agents: self.agents,
            agent_capacity: self.agent_capacity,
            telemetry,
        }
    }
}
