//! The document that is printed.

use serde::Serialize;

use super::figures::Variant;
use super::machine::Machine;
use super::plan::{Length, Plan, Subject};
use super::telemetry::Telemetry;
use super::workload::Workload;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Version of this program, which is orchestrator and agents, too.
    pub(super) mesh: &'static str,
    /// Whether it was built with optimisation.
    #[serde(rename = "optimised")]
    pub(super) is_optimised: bool,
    /// Version of the NATS server.
    pub(super) nats: String,
    pub(super) machine: Machine,
    /// Rounds of each variant.
    pub(super) rounds: u32,
    /// Whether the server was started for it.
    pub(super) own_server: bool,
    /// What was measured, in the order in which it took turns.
    pub(super) variants: Vec<Variant>,
    pub(super) warnings: Vec<String>,
}

/// What a variant was measured with.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    pub(super) subject: Subject,
    pub(super) workload: Workload,
    /// Tasks of a run.
    pub(super) tasks: usize,
    pub(super) payload_bytes: u32,
    pub(super) in_flight: usize,
    /// Runs asked for each second, where it is not so many under way at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<String>,
    pub(super) orchestrators: u32,
    pub(super) agents: u32,
    pub(super) agent_capacity: u32,
    pub(super) capabilities: u32,
    pub(super) idle_runs: u32,
    /// Of a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<u64>,
    /// Of a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runs: Option<usize>,
    /// Whether each write is on the disk before it is confirmed.
    pub(super) sync_always: bool,
    pub(super) in_process: bool,
    pub(super) telemetry: Telemetry,
}

impl Setting {
    pub(super) fn of(plan: &Plan) -> Self {
        let (seconds, runs) = match plan.length {
            Length::Time(time) => (Some(time.as_secs()), None),
            Length::Runs(runs) => (None, Some(runs)),
        };
        Self {
            subject: plan.subject,
            workload: plan.workload,
            tasks: plan.workload.tasks(),
            payload_bytes: plan.payload,
            in_flight: plan.in_flight(),
            rate: plan.rate.map(|rate| rate.to_string()),
            orchestrators: plan.orchestrators,
            agents: plan.agents,
            agent_capacity: plan.agent_capacity,
            capabilities: plan.capabilities,
            idle_runs: plan.idle_runs,
            seconds,
            runs,
            sync_always: plan.is_durable,
            in_process: plan.in_process,
            telemetry: plan.telemetry,
        }
    }
}
