//! `mesh agent list` and `show`.

use anyhow::Result;
use futures::StreamExt as _;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::Bus as _;
use mesh_bus::topology::{Bucket, Stream};
use mesh_tests::{TestServer, World, patiently};
use serde_json::{Value, json};

use crate::support::Person;

/// Waits until an agent is in the registry.
pub(crate) async fn registered(world: &World, id: &str) -> Result<()> {
    let mut changes = world.bus.watch(Bucket::Agents).await?;
    let there = async {
        while let Some(entry) = changes.next().await {
            if entry?.is_some_and(|entry| entry.key == id && !entry.deleted) {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    patiently("an agent in the registry", there).await?
}

pub(crate) async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

#[tokio::test]
async fn agents_and_capabilities_are_shown_with_what_waits() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply("{mesh: v1, name: one, tasks: {a: {agent: risk}}}").await?;
    world.apply("{mesh: v1, name: other, tasks: {a: {agent: fraud}}}").await?;
    let builder = Agent::builder("analyst").id("ada").capacity(3).capability("risk", echo);
    let agent = world.agent(builder).await?;
    registered(&world, "ada").await?;
    world.start("other", json!({})).await?;
    world.first(Stream::Tasks, "task.created.fraud.>").await?;
    let person = Person::of(&world)?;

    let listed = person.says(&["agents", "list", "-o", "json"]).await?.json()?;
    assert_eq!((&listed[0]["agent"], &listed[0]["capacity"]), (&json!("ada"), &json!(3)));
    assert!(listed[0]["heartbeat"].is_string(), "{listed}");
    let table = person.says(&["agent", "list"]).await?.well()?;
    assert!(table.contains("HEARTBEAT") && table.contains(" s ago"), "{table}");

    let ada = person.says(&["agent", "show", "ada", "-o", "json"]).await?.json()?;
    assert_eq!(ada["type"], "analyst");
    assert_eq!(ada["work"][0]["capability"], "risk");
    assert_eq!(ada["work"][0]["workflows"], json!(["one"]));
    let ada = person.says(&["agent", "show", "ada"]).await?.well()?;
    assert!(ada.contains("type       analyst") && ada.contains("CAPABILITY"), "{ada}");
    let fraud = person.says(&["agent", "show", "fraud", "-o", "json"]).await?.json()?;
    assert_eq!(fraud["agents"], json!([]));
    assert_eq!((&fraud["pending"], &fraud["in_hand"], &fraud["requests"]), (&json!(1), &json!(0), &json!(0)));
    let fraud = person.says(&["agent", "show", "fraud"]).await?.well()?;
    assert!(fraud.contains("agents      none") && fraud.contains("waiting     1"), "{fraud}");
    let unknown = person.says(&["agent", "show", "frod"]).await?;
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("there is no agent or capability 'frod'"), "{unknown:?}");
    assert!(unknown.err.contains("There are: ada, fraud, risk"), "{unknown:?}");
    let near = person.says(&["agent", "show", "frauds"]).await?;
    assert!(near.err.contains("did you mean 'fraud'?"), "{near:?}");
    agent.stop().await?;
    orchestrator.stop().await
}
