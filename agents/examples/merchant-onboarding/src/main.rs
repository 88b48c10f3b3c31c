//! The agents of the merchant onboarding example that are written in Rust. Each runs as a process of its own:
//! `merchant-onboarding <agent>`, with the name of the capability as the agent's name.

mod compliance;
mod create_account;
mod create_dashboard;
mod finalise;
mod merchant;
mod risk;
mod validate;

use anyhow::bail;
use mesh_agents::Agent;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let agent = Agent::builder(&name);
    let agent = match name.as_str() {
        "validate" => agent.capability(&name, validate::handle),
        "compliance" => agent.capability(&name, compliance::handle),
        "risk" => agent.capability(&name, risk::handle),
        "create_account" => agent.capability(&name, create_account::handle),
        "create_dashboard" => agent.capability(&name, create_dashboard::handle),
        "finalise" => agent.capability(&name, finalise::handle),
        _ => bail!(
            "usage: merchant-onboarding validate|compliance|risk|create_account|create_dashboard|finalise"
        ),
    };
    let telemetry = mesh_agents::init_tracing(&name);
    agent.run().await?;
    telemetry.shutdown();
    Ok(())
}
