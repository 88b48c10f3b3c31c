use super::figures::{Measure, Spread, Variant};
use super::report::Report;
use crate::output;
use crate::words::{bytes, count};

/// What is compared with the first variant, behind the measures.
const RATIOS: [&str; 2] = ["runs/s, of those with it off", "run p50, of that with it off"];

pub(super) fn print(report: &Report) -> anyhow::Result<()> {
    for line in head(report) {
        output::line(&line)?;
    }
    output::line("")?;
    match report.variants.as_slice() {
        [off, metrics, tenth, everything] => compared([off, metrics, tenth, everything]),
        variants => variants.iter().try_for_each(alone),
    }
}

fn head(report: &Report) -> [String; 3] {
    let (machine, setting) = (&report.machine, &report.setting);
    let memory = machine.memory_bytes.map(|memory| format!(", {} of memory", bytes(memory)));
    let workload = clap::ValueEnum::to_possible_value(&setting.workload);
    let workload = workload.as_ref().map_or("", |value| value.get_name());
    let each = match (setting.seconds, setting.runs) {
        (Some(seconds), _) => format!("{seconds} s"),
        (None, runs) => count(runs.unwrap_or_default(), "run"),
    };
    [
        format!(
            "machine   {}, {}{}, {}",
            machine.processor,
            count(machine.processors, "processor"),
            memory.unwrap_or_default(),
            machine.system
        ),
        format!(
            "versions  mesh {}{}, nats-server {}",
            report.mesh,
            if report.is_optimised { "" } else { " (not optimised)" },
            report.nats
        ),
        format!(
            "setting   {workload} ({}), {} of text, {} in flight, {} for {} at once each, {} of {each}",
            count(setting.tasks, "task"),
            bytes(setting.payload_bytes.into()),
            setting.in_flight,
            count(setting.agents, "agent"),
            count(setting.agent_capacity, "task"),
            count(setting.rounds, "round"),
        ),
    ]
}

/// One variant, with how far the rounds are apart.
fn alone(variant: &Variant) -> anyhow::Result<()> {
    let rows: Vec<_> = variant
        .figures
        .iter()
        .map(|(measure, Spread { median, least, most })| {
            let [median, least, most] = [median, least, most].map(|value| measure.shown(*value));
            [measure.name().to_owned(), median, least, most]
        })
        .collect();
    output::table(["FIGURE", "MEDIAN", "LEAST", "MOST"], &rows)
}

/// Four variants side by side, each with how far its rounds are apart.
fn compared(variants: [&Variant; 4]) -> anyhow::Result<()> {
    let row = |name: &str, cell: &dyn Fn(&Variant) -> Option<String>| {
        let cells = variants.map(|variant| cell(variant).unwrap_or_else(|| "-".to_owned()));
        let [first, second, third, fourth] = cells;
        [name.to_owned(), first, second, third, fourth]
    };
    let known: std::collections::BTreeSet<Measure> =
        variants.iter().flat_map(|variant| variant.figures.keys().copied()).collect();
    let mut rows: Vec<_> = known
        .into_iter()
        .map(|measure| {
            row(measure.name(), &|variant| Some(cell(*variant.figures.get(&measure)?, |n| measure.shown(n))))
        })
        .collect();
    let ratio = |number: f64| format!("{number:.2}");
    rows.push(row(RATIOS[0], &|variant| Some(cell(variant.ratio?.throughput, ratio))));
    rows.push(row(RATIOS[1], &|variant| Some(cell(variant.ratio?.run_ms_p50, ratio))));
    let names = variants.map(|variant| variant.telemetry.name().to_uppercase());
    output::table(["TELEMETRY", &names[0], &names[1], &names[2], &names[3]], &rows)
}

fn cell(Spread { median, least, most }: Spread, shown: impl Fn(f64) -> String) -> String {
    let [median, least, most] = [median, least, most].map(shown);
    if least == most { median } else { format!("{median} ({least}…{most})") }
}

impl Measure {
    /// What it is called in a table.
    fn name(self) -> &'static str {
        match self {
            Self::RunsPerSecond => "runs/s",
            Self::TasksPerSecond => "tasks/s",
            Self::RunMsP50 => "run p50 ms",
            Self::RunMsP90 => "run p90 ms",
            Self::RunMsP99 => "run p99 ms",
            Self::RunMsP999 => "run p99.9 ms",
            Self::TaskMs => "task ms (run p50 by tasks in a row)",
            Self::ServerCpu => "CPU s per 1000 tasks, server",
            Self::OrchestratorCpu => "CPU s per 1000 tasks, orchestrator",
            Self::AgentsCpu => "CPU s per 1000 tasks, agents",
            Self::LoadCpu => "CPU s per 1000 tasks, load",
            Self::CollectorCpu => "CPU s per 1000 tasks, collector",
            Self::ServerMemory => "peak memory, server",
            Self::OrchestratorMemory => "peak memory, orchestrator",
            Self::AgentsMemory => "peak memory, agents",
        }
    }

    /// A value of it, as exact as is of use.
    fn shown(self, value: f64) -> String {
        match self {
            Self::RunsPerSecond | Self::TasksPerSecond if value >= 100.0 => format!("{value:.0}"),
            Self::ServerCpu
            | Self::OrchestratorCpu
            | Self::AgentsCpu
            | Self::LoadCpu
            | Self::CollectorCpu => format!("{value:.3}"),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole bytes")]
            Self::ServerMemory | Self::OrchestratorMemory | Self::AgentsMemory => bytes(value as u64),
            _ => format!("{value:.1}"),
        }
    }
}
