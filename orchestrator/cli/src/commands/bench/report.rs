//! The document that is printed.

use serde::Serialize;

use super::figures::Variant;
use super::machine::Machine;
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
    pub(super) setting: Setting,
    /// What is compared, the first with itself; or the one thing that was measured.
    pub(super) variants: Vec<Variant>,
    pub(super) warnings: Vec<String>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    pub(super) workload: Workload,
    /// Tasks of a run.
    pub(super) tasks: usize,
    pub(super) payload_bytes: u32,
    pub(super) in_flight: usize,
    pub(super) agents: u32,
    pub(super) agent_capacity: u32,
    pub(super) rounds: u32,
    /// Of a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<u32>,
    /// Of a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runs: Option<u32>,
    /// Whether the server was started for it.
    pub(super) own_server: bool,
}
