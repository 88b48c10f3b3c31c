//! The report for people.

use std::collections::BTreeSet;

use super::figures::{Measure, Ratio, Spread, Variant};
use super::plan::Subject;
use super::report::Report;
use crate::output;
use crate::words::{bytes, count};

/// From so many variants on, only medians are shown of each.
const MANY: usize = 5;

pub(super) fn print(report: &Report) -> anyhow::Result<()> {
    for line in head(report) {
        output::line(&line)?;
    }
    output::line("")?;
    match report.variants.as_slice() {
        [only] => alone(only),
        variants => side_by_side(variants),
    }
}

fn head(report: &Report) -> Vec<String> {
    let is_mesh = |variant: &&Variant| variant.setting.subject == Subject::Mesh;
    let mut lines = vec![format!("machine   {}", machine(report)), format!("versions  {}", versions(report))];
    lines.extend(report.variants.iter().find(is_mesh).map(|variant| setting(variant, report.rounds)));
    lines
}

/// The machine that was measured on.
pub(super) fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let memory = machine.memory_bytes.map(|memory| format!(", {} of memory", bytes(memory)));
    format!(
        "{}, {}{}, {}",
        machine.processor,
        count(machine.processors, "processor"),
        memory.unwrap_or_default(),
        machine.system
    )
}

/// What was measured, in which versions.
pub(super) fn versions(report: &Report) -> String {
    let optimised = if report.is_optimised { "" } else { " (not optimised)" };
    format!("mesh {}{optimised}, nats-server {}", report.mesh, report.nats)
}

/// What a variant was measured with. Where several are compared, their names say how they differ from it.
fn setting(variant: &Variant, rounds: u32) -> String {
    let setting = &variant.setting;
    let each = match (setting.seconds, setting.runs) {
        (Some(seconds), _) => format!("{seconds} s"),
        (None, runs) => count(runs.unwrap_or_default(), "run"),
    };
    let load = match &setting.rate {
        Some(rate) => rate.clone(),
        None => format!("{} in flight", setting.in_flight),
    };
    let sync = if setting.sync_always { "always" } else { "by default" };
    let place = if setting.in_process { ", in one process" } else { "" };
    format!(
        "setting   {} ({}), {} of text, {load}, {}, {} for {} at once of each of {}, sync {sync}{place}, {} of {each}",
        setting.workload.name(),
        count(setting.tasks, "task"),
        bytes(setting.payload_bytes.into()),
        count(setting.orchestrators, "orchestrator"),
        count(setting.agents, "agent"),
        count(setting.agent_capacity, "task"),
        count(setting.capabilities, "capability"),
        count(rounds, "round"),
    )
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

/// One of the figures of a ratio.
type Of = fn(&Ratio) -> Spread;

/// Variants side by side, each with how far its rounds are apart.
fn side_by_side(variants: &[Variant]) -> anyhow::Result<()> {
    let are_many = variants.len() >= MANY;
    let row = |name: &str, cell: &dyn Fn(&Variant) -> Option<String>| {
        let cells = variants.iter().map(|variant| cell(variant).unwrap_or_else(|| "-".to_owned()));
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let known: BTreeSet<Measure> =
        variants.iter().flat_map(|variant| variant.figures.keys().copied()).collect();
    let figure = |measure: Measure| {
        let shown = |variant: &Variant| {
            Some(cell(*variant.figures.get(&measure)?, are_many, |value| measure.shown(value)))
        };
        row(measure.name(), &shown)
    };
    let mut rows: Vec<_> = known.into_iter().map(figure).collect();
    let ratios: [(&str, Of); 3] = [
        ("tasks/s, of those of", |ratio| ratio.throughput),
        ("run p50, of that of", |ratio| ratio.run_ms_p50),
        ("run p99 to p50, of that of", |ratio| ratio.run_p99_to_p50),
    ];
    // Each with its own floor, or all with the first.
    let others: BTreeSet<&str> =
        variants.iter().filter_map(|variant| variant.ratio.as_ref()).map(|ratio| &*ratio.to).collect();
    let other = match others.iter().collect::<Vec<_>>().as_slice() {
        [one] => **one,
        _ => "its floor",
    };
    rows.extend(ratios.map(|(name, of)| {
        row(&format!("{name} {other}"), &|variant| {
            Some(cell(of(variant.ratio.as_ref()?), are_many, |ratio| format!("{ratio:.2}")))
        })
    }));
    let names: Vec<String> = variants.iter().map(|variant| variant.name.to_uppercase()).collect();
    let heading: Vec<&str> = std::iter::once("FIGURE").chain(names.iter().map(String::as_str)).collect();
    Ok(output::text(&output::laid_out(&heading, &rows))?)
}

fn cell(Spread { median, least, most }: Spread, is_short: bool, shown: impl Fn(f64) -> String) -> String {
    let [median, least, most] = [median, least, most].map(shown);
    if is_short || least == most { median } else { format!("{median} ({least}…{most})") }
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
            Self::Tail => "run p99 to p50",
            Self::WritesPerTask => "JetStream writes per task",
            Self::BytesPerTask => "stored per task",
            Self::IdleRunMemory => "orchestrator's memory per idle run",
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
            Self::ServerMemory
            | Self::OrchestratorMemory
            | Self::AgentsMemory
            | Self::IdleRunMemory
            | Self::BytesPerTask => bytes(value.max(0.0) as u64),
            Self::RunMsP50 | Self::TaskMs | Self::Tail | Self::WritesPerTask => format!("{value:.2}"),
            _ => format!("{value:.1}"),
        }
    }
}
