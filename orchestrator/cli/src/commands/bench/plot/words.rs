//! What a picture says in words.

use super::super::figures::{Measure, Spread, Variant};
use super::super::plan::Subject;
use super::super::print;
use super::super::report::{Report, Setting};
use super::cpu::PARTS;
use super::known;
use super::text::number;
use crate::words::{bytes, count};

/// What was measured. What differs between variants is left to their names.
pub(super) fn title(report: &Report) -> String {
    let each = same(report, |setting| match (setting.seconds, setting.runs) {
        (Some(seconds), _) => format!(" of {seconds} s"),
        (None, runs) => format!(" of {}", count(runs.unwrap_or_default(), "run")),
    });
    let rounds = format!("{}{}", count(report.rounds, "round"), each.unwrap_or_default());
    let parts = [
        same(report, |setting| setting.workload.name()),
        same(report, |setting| format!("{} of text", bytes(setting.payload_bytes.into()))),
        same(report, |setting| match &setting.rate {
            Some(rate) => rate.clone(),
            None => format!("{} in flight", setting.in_flight),
        }),
        Some(rounds),
    ];
    format!("mesh bench: {}", joined(parts))
}

/// Where and with what it was measured.
pub(super) fn surroundings(report: &Report) -> [String; 2] {
    let parts = [
        same(report, |setting| count(setting.orchestrators, "orchestrator")),
        same(report, |setting| count(setting.agents, "agent")),
        same(report, |setting| format!("{} at once of each", count(setting.agent_capacity, "task"))),
        same(report, |setting| count(setting.capabilities, "capability")),
        same(report, |setting| setting.idle_runs.to_string())
            .filter(|idle| idle != "0")
            .map(|idle| format!("{idle} idle runs")),
        same(report, |setting| {
            if setting.sync_always { "sync always" } else { "sync by default" }.to_owned()
        }),
        same(report, |setting| setting.in_process.to_string())
            .filter(|is_so| is_so == "true")
            .map(|_| "in one process".to_owned()),
    ];
    [format!("{}; {}", print::machine(report), print::versions(report)), joined(parts)]
}

/// How to read it, and what speaks against it.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let read = match report.rounds {
        1 => "Figures of one round.".to_owned(),
        rounds => format!("Medians of {rounds} rounds; whiskers reach from the least to the most."),
    };
    std::iter::once(read)
        .chain(report.warnings.iter().map(|warning| format!("Warning: {warning}.")))
        .collect()
}

/// All figures that are drawn, a sentence for each variant.
pub(super) fn description<'a>(report: &Report, variants: impl Iterator<Item = &'a Variant>) -> String {
    let sentences = variants.map(|variant| {
        let parts = [tasks(report, variant), latency(variant), cpu(variant)];
        let words = joined(parts);
        format!("{}: {}.", variant.name, if words.is_empty() { "no figures" } else { &words })
    });
    sentences.collect::<Vec<_>>().join(" ")
}

/// How many tasks a variant does, of those of what it is compared with.
pub(super) fn ratio(report: &Report, variant: &Variant) -> Option<String> {
    let ratio = variant.ratio.as_ref().filter(|ratio| ratio.to != variant.name)?;
    let median = Some(ratio.throughput.median).filter(|median| median.is_finite())?;
    let other = report.variants.iter().find(|other| other.name == ratio.to);
    let is_floor = other.is_some_and(|other| other.setting.subject == Subject::Floor);
    Some(format!("{median:.2} of {}", if is_floor { "the floor" } else { &ratio.to }))
}

fn tasks(report: &Report, variant: &Variant) -> Option<String> {
    let Spread { median, least, most } = known(variant, Measure::TasksPerSecond)?;
    let [median, least, most] = [median, least, most].map(number);
    let ratio = ratio(report, variant).map(|ratio| format!(", {ratio}"));
    Some(format!("{median} tasks/s ({least} to {most}){}", ratio.unwrap_or_default()))
}

fn latency(variant: &Variant) -> Option<String> {
    let measures = [
        ("p50", Measure::RunMsP50),
        ("p90", Measure::RunMsP90),
        ("p99", Measure::RunMsP99),
        ("p99.9", Measure::RunMsP999),
    ];
    let parts = measures.map(|(name, measure)| {
        known(variant, measure).map(|spread| format!("{name} {} ms", number(spread.median)))
    });
    Some(joined(parts)).filter(|words| !words.is_empty()).map(|words| format!("time of a run {words}"))
}

fn cpu(variant: &Variant) -> Option<String> {
    let part = |part: &super::cpu::Part| {
        let seconds = known(variant, part.measure)?.median;
        Some(format!("{} {} ms", part.name(), number(seconds * 1_000.0)))
    };
    let words = joined(PARTS.iter().map(part));
    Some(words)
        .filter(|words| !words.is_empty())
        .map(|words| format!("CPU time per 1\u{a0}000 tasks {words}"))
}

/// What is the same of all variants of the mesh.
fn same(report: &Report, of: impl Fn(&Setting) -> String) -> Option<String> {
    let is_mesh = |variant: &&Variant| variant.setting.subject == Subject::Mesh;
    let mut all = report.variants.iter().filter(is_mesh).map(|variant| of(&variant.setting));
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
