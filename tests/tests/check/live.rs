//! Agents of a mesh that is there.

use anyhow::Result;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::Bus as _;
use mesh_bus::topology::agent_consumer;
use mesh_schemas::Lane;
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::support::{Checked, agent, command, finish, python};

/// Takes as long as it is told; `{"fail": true}` fails.
async fn work(context: Context, input: Value) -> Result<Value, TaskFailure> {
    if input["fail"] == true {
        return Err(TaskFailure::fatal("told_to", "as it was told"));
    }
    let time = std::time::Duration::from_millis(input["ms"].as_u64().unwrap_or_default());
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = context.cancellation().cancelled() => return Err(TaskFailure::fatal("cancelled", "as it was told")),
    }
    Ok(json!("done"))
}

/// A check of the agents of a mesh that is there.
async fn check_in(world: &World, arguments: &[&str]) -> Result<Checked> {
    let mut check = command(arguments)?;
    check.env("MESH_NATS_URL", &world.url).env("MESH_NAMESPACE", world.namespace.as_str());
    finish(check).await
}

/// That a task is acknowledged too early is seen here too, if the work takes a moment.
async fn a_hasty_agent_is_found_out(world: &World) -> Result<()> {
    let input = r#"{"divisor": 1, "seconds": 0.5}"#;
    let mut python = python(&agent("hasty.py"));
    python.arg("hasty").env("MESH_NATS_URL", &world.url).env("MESH_NAMESPACE", world.namespace.as_str());
    // It needs the consumer to be there.
    let spec = agent_consumer(&world.namespace, &"hasty".parse()?, &Lane::Normal);
    world.bus.ensure_consumer(&spec).await?;
    let _hasty = python.spawn()?;
    let rules = ["--rule", "acks", "--rule", "acks-after-outcome"];
    let checked = check_in(world, &[&["-c", "hasty", "--input", input], &rules[..]].concat()).await?;
    checked.breaks("hasty", &["acks-after-outcome"])
}

#[tokio::test]
async fn agents_of_a_mesh_are_tried_without_being_started() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("worker").capability("live", work)).await?;
    let inputs = ["--input", "{}", "--bad-input", r#"{"fail": true}"#, "--slow-input", r#"{"ms": 2000}"#];
    let checked = check_in(&world, &[&["-c", "live"], &inputs[..]].concat()).await?;
    checked.breaks("live", &[])?;
    let kept = [
        "acks",
        "acks-after-outcome",
        "cancel-heard",
        "cancel-survived",
        "completes",
        "holds-only-work",
        "outcome-identity",
        "outcome-linked",
        "outcome-readable",
        "own-error",
        "registered",
        "service",
        "takes-work",
    ];
    assert!(checked.rules(&["pass"]).iter().eq(&kept), "{:#}", checked.report);
    assert_eq!(checked.line("reconnects")?["found"], "it is tried with -- COMMAND");
    agent.stop().await?;
    a_hasty_agent_is_found_out(&world).await?;
    // Nobody is there now, and the other way round: without an orchestrator nobody makes tasks.
    orchestrator.stop().await?;
    let checked = check_in(&world, &["-c", "live", "--input", "{}", "--timeout", "1s"]).await?;
    assert_eq!(checked.code, 1);
    assert!(checked.err.contains("no orchestrator made a task"), "{}", checked.err);
    Ok(())
}
