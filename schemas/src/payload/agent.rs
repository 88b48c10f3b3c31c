use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{AgentId, Capability};

/// Data of `agent.registered` and `agent.heartbeat`, and the agent's entry in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRegistered {
    /// This process.
    pub agent: AgentId,
    /// What kind of agent it is: the same for every process of one deployment.
    #[serde(rename = "type")]
    pub type_: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// How many tasks it runs at once.
    pub capacity: u32,
    /// Version of the agent, a semantic version.
    pub version: String,
}

/// Data of `agent.deregistered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentDeregistered {
    /// This process.
    pub agent: AgentId,
    /// Why it stopped.
    pub reason: String,
}
