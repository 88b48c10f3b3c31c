//! The agents of the merchant onboarding example that are written in Rust. Each runs as a process of its own:
//! `merchant-onboarding <agent>`, with the name of the capability as the agent's name.

mod compliance;
mod create_account;
mod create_dashboard;
mod finalise;
mod merchant;
mod risk;
#[cfg(test)]
mod tests;
mod validate;

use anyhow::Context as _;
use mesh_agents::{Agent, AgentBuilder};

/// Every agent here.
const AGENTS: [&str; 6] =
    ["validate", "compliance", "risk", "create_account", "create_dashboard", "finalise"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let agent = agent(&name).with_context(|| format!("usage: merchant-onboarding {}", AGENTS.join("|")))?;
    let telemetry = mesh_agents::init_tracing(&name);
    agent.run().await?;
    telemetry.shutdown();
    Ok(())
}

fn agent(name: &str) -> Option<AgentBuilder> {
    let agent = Agent::builder(name);
    Some(match name {
        "validate" => agent.capability(name, validate::handle),
        "compliance" => agent.capability(name, compliance::handle),
        "risk" => agent.capability(name, risk::handle),
        "create_account" => agent.capability(name, create_account::handle),
        "create_dashboard" => agent.capability(name, create_dashboard::handle),
        "finalise" => agent.capability(name, finalise::handle),
        _ => return None,
    })
}
