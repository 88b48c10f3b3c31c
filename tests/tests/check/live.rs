//! Agents of a mesh that is there.

use anyhow::Result;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::support::{command, finish};

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

#[tokio::test]
async fn agents_of_a_mesh_are_tried_without_being_started() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("worker").capability("live", work)).await?;
    let inputs = ["--input", "{}", "--bad-input", r#"{"fail": true}"#, "--slow-input", r#"{"ms": 2000}"#];
    let mut check = command(&[&["-c", "live"], &inputs[..]].concat())?;
    check.env("MESH_NATS_URL", &world.url).env("MESH_NAMESPACE", world.namespace.as_str());
    let checked = finish(check).await?;
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
    // Nobody is there now, and the other way round: without an orchestrator nobody makes tasks.
    orchestrator.stop().await?;
    let mut check = command(&["-c", "live", "--input", "{}", "--timeout", "1s"])?;
    check.env("MESH_NATS_URL", &world.url).env("MESH_NAMESPACE", world.namespace.as_str());
    let checked = finish(check).await?;
    assert_eq!(checked.code, 1);
    assert!(checked.err.contains("no orchestrator made a task"), "{}", checked.err);
    Ok(())
}
