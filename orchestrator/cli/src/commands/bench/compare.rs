//! Several things that are measured in turn.

use clap::ValueEnum;

use super::plan::{Plan, Subject};
use super::telemetry::Telemetry;
use super::workload::Workload;

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Compare {
    /// No telemetry; metrics; metrics and traces, one in ten; metrics and traces, all
    Telemetry,
    /// 1, 16, 64, 256 and 1 000 runs under way at a time
    InFlight,
    /// 256 bytes of text, 4, 16 and 64 KiB
    Payload,
    /// Loops over 100, 1 000 and 10 000 items, one run at a time
    Width,
    /// 1, 2 and 4 orchestrators
    Orchestrators,
    /// 1, 8 and 64 agents, each with a connection of its own
    Agents,
    /// 1, 8 and 64 capabilities, with a workflow for each
    Capabilities,
    /// Writes as the server is set by default, and each on the disk before it is confirmed
    Durable,
    /// No open runs beside those that are measured, 10 000 and 100 000
    IdleRuns,
}

/// One of the things that are measured.
pub(super) struct Candidate {
    /// What it is called.
    pub(super) name: String,
    pub(super) plan: Plan,
    /// The place of the one that it is compared with, if any.
    pub(super) against: Option<usize>,
}

/// All that is to be measured, in the order in which it takes turns. Each is compared with the floor if that is measured, too,
/// else with the first.
pub(super) fn candidates(base: &Plan, compare: Option<Compare>, with_floor: bool) -> Vec<Candidate> {
    let plans = match compare {
        Some(compare) => compare.plans(base),
        None => vec![(String::new(), base.clone())],
    };
    let is_alone = plans.len() == 1;
    let mut candidates = Vec::new();
    for (name, plan) in plans {
        let against = if with_floor {
            let floor = Plan { subject: Subject::Floor, telemetry: Telemetry::Off, ..plan.clone() };
            let name = format!("{name} floor").trim().to_owned();
            candidates.push(Candidate { name, plan: floor, against: None });
            Some(candidates.len() - 1)
        } else {
            (!is_alone).then_some(0)
        };
        let name = if name.is_empty() { "mesh".to_owned() } else { name };
        candidates.push(Candidate { name, plan, against });
    }
    candidates
}

impl Compare {
    fn plans(self, base: &Plan) -> Vec<(String, Plan)> {
        let of = |values: &[u32], name: &str, change: fn(&mut Plan, u32)| {
            let plan = |value: &u32| {
                let mut plan = base.clone();
                change(&mut plan, *value);
                (format!("{name} {value}"), plan)
            };
            values.iter().map(plan).collect()
        };
        match self {
            Self::Telemetry => Telemetry::ALL
                .map(|telemetry| (telemetry.name().to_owned(), Plan { telemetry, ..base.clone() }))
                .to_vec(),
            Self::InFlight => of(&[1, 16, 64, 256, 1_000], "in flight", |plan, n| plan.in_flight = n),
            Self::Payload => of(&[256, 4_096, 16_384, 65_536], "bytes", |plan, n| plan.payload = n),
            Self::Width => [Workload::Foreach100, Workload::Foreach1000, Workload::Foreach10000]
                .map(|workload| (workload.name(), Plan { workload, in_flight: 1, ..base.clone() }))
                .to_vec(),
            Self::Orchestrators => of(&[1, 2, 4], "orchestrators", |plan, n| plan.orchestrators = n),
            Self::Agents => of(&[1, 8, 64], "agents", |plan, n| plan.agents = n),
            Self::Capabilities => of(&[1, 8, 64], "capabilities", |plan, n| plan.capabilities = n),
            Self::Durable => [("default sync", false), ("sync always", true)]
                .map(|(name, is_durable)| (name.to_owned(), Plan { is_durable, ..base.clone() }))
                .to_vec(),
            Self::IdleRuns => of(&[0, 10_000, 100_000], "idle runs", |plan, n| plan.idle_runs = n),
        }
    }

    /// The options whose values it sets itself, by their names on the command line.
    pub(super) fn sets(self) -> &'static [&'static str] {
        match self {
            Self::Telemetry => &[],
            Self::InFlight => &["in-flight"],
            Self::Payload => &["payload"],
            Self::Width => &["workload", "in-flight"],
            Self::Orchestrators => &["orchestrators"],
            Self::Agents => &["agents"],
            Self::Capabilities => &["capabilities"],
            Self::Durable => &["durable"],
            Self::IdleRuns => &["idle-runs"],
        }
    }

    /// Whether it needs a server of its own.
    pub(super) fn needs_own_server(self) -> bool {
        self == Self::Durable
    }
}
