//! Orchestrators of several versions side by side: an older one leaves alone what it does not understand.

use anyhow::{Context as _, Result, ensure};
use mesh_agents::{Agent, Context as Task, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Role, RunOutcome};
use mesh_orchestrator::Options;
use mesh_schemas::RULES_VERSION;
use mesh_tests::{TestServer, World, patiently};
use serde_json::{Value, json};

use crate::support::{HELD, all_complete, is_well_and_complete, load, set_up, worker};

/// Settings of an orchestrator that knows rules which the others do not.
fn newer() -> Options {
    Options { rules: RULES_VERSION + 1, ..Options::default() }
}

/// Waits until an event of a shard has come more than once and is left alone.
async fn until_left(world: &World) -> Result<()> {
    let left = async {
        loop {
            let consumers = world.bus.health().await?.consumers;
            let mut shards = consumers.iter().filter(|consumer| matches!(consumer.role, Role::Shard(_)));
            if shards.any(|shard| shard.found.as_ref().is_some_and(|found| found.repeated > 0)) {
                return anyhow::Ok(());
            }
        }
    };
    patiently("an event that comes again", left).await?
}

async fn echo(_: Task, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

#[tokio::test]
async fn a_run_of_newer_rules_waits_for_a_newer_orchestrator() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = world.orchestrator_with(newer()).await?;
    set_up(&world).await?;
    world.apply(HELD).await?;
    let run = world.start("held", json!(1)).await?;
    world.first(Stream::Tasks, "task.created.held.>").await?;
    first.stop().await?;
    let older = world.orchestrator().await?;
    let agents =
        [world.agent(worker()).await?, world.agent(Agent::builder("holder").capability("held", echo)).await?];
    until_left(&world).await?;
    // What it understands goes on meanwhile.
    let mut runs = load(&world, 20).await?;
    all_complete(&world, &runs).await?;
    let again = world.orchestrator_with(newer()).await?;
    let outcome = world.ended(run).await?;
    ensure!(matches!(outcome, RunOutcome::Completed(_)), "{outcome:?}");
    runs.push(run);
    runs.extend(load(&world, 20).await?);
    all_complete(&world, &runs).await?;
    is_well_and_complete(&world).await?;
    for agent in agents {
        agent.stop().await?;
    }
    older.stop().await?;
    again.stop().await
}

/// A definition that only a newer mesh can read: a newer orchestrator takes its requests.
#[tokio::test]
async fn a_request_for_a_newer_definition_is_left_while_a_newer_orchestrator_is_there() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let older = world.orchestrator().await?;
    set_up(&world).await?;
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = bytes::Bytes::from(r#"{"mesh":"v1","name":"later","tasks":{"t":{"agent":"a","unheard":1}}}"#);
    let workflows = mesh_bus::topology::Bucket::Workflows;
    world.bus.put(workflows, &format!("later.{}", "0".repeat(64)), text, None).await?;
    world.bus.put(workflows, "later", digest.into(), None).await?;
    // Alone, it says so.
    let outcome = world.run("later", json!({})).await?;
    let RunOutcome::Rejected(rejected) = outcome else { anyhow::bail!("{outcome:?}") };
    ensure!(rejected.code == "unusable_workflow", "{rejected:?}");
    // The newer one here cannot read it either: it says so, and the older one does not.
    let newer = world.orchestrator_with(newer()).await?;
    let outcome = world.run("later", json!({})).await?;
    ensure!(matches!(outcome, RunOutcome::Rejected(_)), "{outcome:?}");
    newer.stop().await?;
    older.stop().await.context("the older orchestrator")
}
