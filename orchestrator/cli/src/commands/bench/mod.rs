//! `mesh bench`: how much the mesh does, how quickly, and at what cost.

mod bodies;
mod compare;
mod figures;
mod idle;
mod load;
mod machine;
mod mesh;
mod part;
mod parts;
mod plan;
mod plot;
mod print;
mod report;
mod round;
mod telemetry;
mod usage;
mod workload;
mod writes;

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use mesh_schemas::ErrorCode;
use tokio_util::sync::CancellationToken;

use self::compare::{Candidate, Compare, candidates};
use self::figures::{Measure, Ratio, Rounds, Variant, over};
use self::machine::Machine;
use self::plan::{Length, Plan, Rate, Subject};
use self::report::{Report, Setting};
use self::telemetry::Telemetry;
use self::workload::Workload;
use crate::connection::{self, Connection};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) use parts::BenchPart;

/// Measure how many runs and tasks the mesh does here, how long they take, and what they cost
///
/// Each round begins anew: an empty NATS server on a folder of its own, orchestrators, agents that do nothing, and a warm-up;
/// then as many runs are kept under way as --in-flight says, or as many are asked for as --rate says. No mesh that is there is
/// touched. With a server typed on the command line (--nats-url), that one is used, in a namespace that is removed after each
/// round. What is printed are medians over the rounds, with the least and the most.
///
/// With --floor the same is done in turn by a bare loop: NATS with the writes, deliveries and acknowledgements of the same runs,
/// and nothing that reads or decides anything. The ratio says how near the mesh is to what NATS itself can do.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mesh bench --floor\n  mesh bench --floor --workload one --in-flight 1\n  mesh bench --floor --rate 50%\n  \
                  mesh bench --compare agents --rounds 5 -o json\n  \
                  mesh bench --compare in-flight --floor --plot bench.svg"
)]
pub(crate) struct Bench {
    /// What is run
    #[arg(long, value_enum, default_value_t)]
    workload: Workload,
    /// Bytes of text that the input of a run has, and with it each task and its output
    #[arg(long, default_value_t = 512, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    payload: u32,
    /// Runs that are under way at a time [default: 256, fewer of runs with many tasks at a time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,
    /// Ask for so many runs each second, or for such a part of what was done during the warm-up, as in 50%; what waits counts
    #[arg(long, value_name = "RUNS")]
    rate: Option<Rate>,
    /// Length of a round, without its warm-up
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Measure so many runs in a round, however long they take
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Rounds, of each thing that is compared
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Orchestrators
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    orchestrators: u32,
    /// Agents, each with a connection of its own
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    agents: u32,
    /// Tasks that each of them does at once, of each capability
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    agent_capacity: u32,
    /// Capabilities that agents have, with a workflow for each
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    capabilities: u32,
    /// Runs that are open all the while, and wait for an agent that does not come
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    idle_runs: u32,
    /// Have the server force each write onto the disk before it confirms it
    #[arg(long)]
    durable: bool,
    /// Run orchestrators and agents in this process, beside the load: for profilers
    #[arg(long)]
    in_process: bool,
    /// Measure the bare loop in turn, and compare with it
    #[arg(long)]
    floor: bool,
    /// Measure several things in turn, round by round, and compare them with the first
    #[arg(long, value_name = "WHAT")]
    compare: Option<Compare>,
    /// Draw what was measured as SVG into a file, too, which a page can show: tasks per second, the time of a run, CPU time
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    /// Whether the server to use is said on the command line.
    #[arg(skip)]
    is_given: bool,
    /// What is typed although `--compare` sets it.
    #[arg(skip)]
    set_twice: Option<&'static str>,
}

impl Bench {
    /// Notes what is typed twice, and whether a server is: what the environment and the configuration file name is a mesh in
    /// use, and that is not to be measured by mistake.
    pub(crate) fn note(&mut self, matches: &ArgMatches) {
        self.is_given = connection::typed(matches).is_some();
        let is_typed =
            |name: &&&str| matches.value_source(&name.replace('-', "_")) == Some(ValueSource::CommandLine);
        let sets = self.compare.map_or(&[] as &[_], Compare::sets);
        self.set_twice = sets.iter().find(is_typed).copied();
    }

    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        self.check()?;
        self.plot.as_deref().map(plot::check).transpose()?;
        let stop = mesh_agents::stop_signal()?;
        let given = self.is_given.then_some(connection);
        let Some(report) = self.measure(given, &stop).await? else {
            eprintln!("stopped before all was measured");
            return Ok(Outcome::Interrupted);
        };
        // First, as a reader of the table that goes away ends the command. The table is printed whatever becomes of the picture.
        let plotted = self.plot.as_deref().map(|file| plot::write(&report, file)).transpose();
        self.output.document(&report, || print::print(&report))?;
        report.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        plotted?;
        Ok(Outcome::Done)
    }

    /// Refuses what cannot be had together.
    fn check(&self) -> Result<(), Failure> {
        let refuse = |message: &str| Err(Failure::new(ErrorCode::Combination, message.to_owned()));
        if let Some(name) = self.set_twice {
            return refuse(&format!(
                "--compare gives --{name} several values in turn: leave one of them out"
            ));
        }
        let sync = self.durable || self.compare.is_some_and(Compare::needs_own_server);
        if self.is_given && sync {
            return refuse(
                "how often a server forces its writes onto the disk is a setting of the server: leave --nats-url out, or \
                 --durable",
            );
        }
        if self.floor && (self.idle_runs > 0 || self.compare == Some(Compare::IdleRuns)) {
            return refuse("the bare loop keeps nothing of runs: leave --floor out, or the idle runs");
        }
        if self.floor && self.compare == Some(Compare::Telemetry) {
            return refuse("the bare loop tells nothing: leave --floor out, or --compare telemetry");
        }
        if self.floor && (self.orchestrators > 1 || self.compare == Some(Compare::Orchestrators)) {
            return refuse("the bare loop does not share runs out: leave --floor out, or the orchestrators");
        }
        if self.in_process && self.compare == Some(Compare::Telemetry) {
            return refuse("telemetry is told by processes: leave --in-process out, or --compare telemetry");
        }
        Ok(())
    }

    /// Measures all rounds; nothing if it is stopped before.
    async fn measure(
        &self,
        given: Option<&Connection>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Report>> {
        let candidates = candidates(&self.plan(), self.compare, self.floor);
        let load = machine::load();
        let mut disturbances = Vec::new();
        let mut nats = String::new();
        let mut rounds: Vec<Rounds> = vec![Rounds::new(); candidates.len()];
        for number in 1..=self.rounds {
            // One after another within each round, so that what changes on the machine meets all of them.
            for (candidate, rounds) in candidates.iter().zip(&mut rounds) {
                let measured = round::measure(&candidate.plan, given, stop).await?;
                let Some(measured) = measured else { return Ok(None) };
                disturbances.extend(measured.disturbance);
                eprintln!(
                    "round {number} of {}, {}: {:.0} runs/s",
                    self.rounds,
                    candidate.name,
                    measured.figures.get(&Measure::RunsPerSecond).copied().unwrap_or_default()
                );
                nats = measured.nats;
                rounds.push(measured.figures);
            }
        }
        let variant = |(candidate, own): (&Candidate, &Rounds)| Variant {
            name: candidate.name.clone(),
            setting: Setting::of(&candidate.plan),
            figures: over(own),
            ratio: candidate
                .against
                .and_then(|place| Ratio::new(own, &candidates[place].name, &rounds[place])),
        };
        let variants = candidates.iter().zip(&rounds).map(variant).collect();
        let machine = Machine::look();
        let warnings = self.warnings(given.is_some(), machine::doubts(&machine, load, &disturbances));
        Ok(Some(Report {
            mesh: env!("CARGO_PKG_VERSION"),
            is_optimised: !cfg!(debug_assertions),
            nats,
            machine,
            rounds: self.rounds,
            own_server: given.is_none(),
            variants,
            warnings,
        }))
    }

    fn warnings(&self, is_given: bool, mut warnings: Vec<String>) -> Vec<String> {
        if cfg!(debug_assertions) {
            warnings.push("this program is not optimised: build it with --release for figures".to_owned());
        }
        if !usage::is_there() {
            warnings.push("there is no /proc/PID/stat here: CPU time and memory are not measured".to_owned());
        } else if is_given {
            warnings.push("CPU time and memory of a server that was there are not measured".to_owned());
        }
        if self.in_process {
            warnings.push("CPU time of orchestrators and agents is part of the load's".to_owned());
        }
        warnings
    }

    fn plan(&self) -> Plan {
        let by_workload = || u32::try_from(self.workload.in_flight()).unwrap_or(1);
        Plan {
            subject: Subject::Mesh,
            workload: self.workload,
            payload: self.payload,
            in_flight: self.in_flight.unwrap_or_else(by_workload),
            rate: self.rate,
            length: match self.runs {
                Some(runs) => Length::Runs(runs as usize),
                None => Length::Time(Duration::from_secs(self.seconds.into())),
            },
            orchestrators: self.orchestrators,
            agents: self.agents,
            agent_capacity: self.agent_capacity,
            capabilities: self.capabilities,
            idle_runs: self.idle_runs,
            is_durable: self.durable,
            in_process: self.in_process,
            telemetry: Telemetry::Off,
        }
    }
}
