//! Reports that are drawn in tests.

use super::super::super::figures::{Measure, Ratio, Spread, Variant};
use super::super::super::machine::Machine;
use super::super::super::plan::Subject;
use super::super::super::report::{Report, Setting};
use super::super::super::telemetry::Telemetry;
use super::super::super::workload::Workload;
use super::super::text;

/// What is drawn of each variant: all but the collector's.
const FIGURES: [(Measure, f64); 9] = [
    (Measure::TasksPerSecond, 13_000.0),
    (Measure::RunMsP50, 51.0),
    (Measure::RunMsP90, 70.0),
    (Measure::RunMsP99, 120.0),
    (Measure::RunMsP999, 180.0),
    (Measure::ServerCpu, 0.061),
    (Measure::OrchestratorCpu, 0.052),
    (Measure::AgentsCpu, 0.021),
    (Measure::LoadCpu, 0.012),
];

fn setting(subject: Subject) -> Setting {
    Setting {
        subject,
        workload: Workload::Chain3,
        tasks: 3,
        payload_bytes: 512,
        in_flight: 256,
        rate: None,
        orchestrators: 1,
        agents: 2,
        agent_capacity: 100,
        capabilities: 1,
        idle_runs: 0,
        seconds: Some(10),
        runs: None,
        sync_always: false,
        in_process: false,
        telemetry: Telemetry::Off,
    }
}

fn spread(median: f64) -> Spread {
    Spread { median, least: median * 0.9, most: median * 1.1 }
}

/// A variant that is the slower, the later it comes.
fn variant(place: usize, name: &str, against: Option<&str>) -> Variant {
    let (subject, speed) = if name.ends_with("floor") { (Subject::Floor, 1.3) } else { (Subject::Mesh, 1.0) };
    let factor = (1.0 + text::float(place)) / speed;
    let figure = |(measure, value): (Measure, f64)| {
        (measure, spread(if measure == Measure::TasksPerSecond { value / factor } else { value * factor }))
    };
    let ratio = |to: &str| Ratio {
        to: to.to_owned(),
        throughput: spread(0.78),
        run_ms_p50: spread(1.3),
        run_p99_to_p50: spread(1.1),
    };
    Variant {
        name: name.to_owned(),
        setting: setting(subject),
        figures: FIGURES.into_iter().map(figure).collect(),
        ratio: against.map(ratio),
    }
}

/// A report of variants with these names, each compared with one that is called like it, but a floor, else with the first.
pub(in super::super) fn report(names: &[&str]) -> Report {
    let variants = names.iter().enumerate().map(|(place, name)| {
        let floor = names.iter().find(|other| **other == format!("{name} floor") || **other == "floor");
        let against = floor.or_else(|| names.first()).filter(|_| names.len() > 1 && !name.ends_with("floor"));
        variant(place, name, against.copied())
    });
    Report {
        mesh: "1.0.0",
        is_optimised: true,
        nats: "2.11.0".to_owned(),
        machine: Machine {
            system: "linux 6.1".to_owned(),
            processor: "Some <Processor> & more".to_owned(),
            processors: 2,
            memory_bytes: Some(8_000_000_000),
        },
        rounds: 3,
        own_server: true,
        variants: variants.collect(),
        warnings: vec!["the machine was busy before".to_owned()],
    }
}

/// Five variants with a floor each but one.
pub(super) const NINE: [&str; 9] = [
    "in flight 1 floor",
    "in flight 1",
    "in flight 16 floor",
    "in flight 16",
    "in flight 64 floor",
    "in flight 64",
    "in flight 256 floor",
    "in flight 256",
    "in flight 1000",
];
