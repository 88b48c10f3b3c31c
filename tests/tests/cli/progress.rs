//! How far runs are, and how long they may still take.

use anyhow::{Context as _, Result, ensure};
use mesh_bus::topology::Stream;
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::spoken::Spoken;
use crate::support::Person;
use crate::worker::worker;

const STEPS: &str = "
mesh: v1
name: steps
tasks:
  one: { agent: work, with: {} }
  half: { needs: [one], agent: work, with: { progress: true } }
  items: { needs: [one], foreach: { in: [1, 2, 3, 4], max_parallel: 1 }, agent: work, with: {} }
  last: { needs: [half, items], agent: work, with: {} }
";

async fn progress(person: &Person, run: &str) -> Result<Value> {
    Ok(person.says(&["runs", "show", run, "-o", "json"]).await?.json()?["progress"].clone())
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_and_how_long_the_rest_took_before() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    world.apply(STEPS).await?;
    let person = Person::of(&world)?;
    let run = world.start("steps", json!({})).await?;
    let id = run.to_string();
    world.first(Stream::Tasks, &format!("task.created.work.normal.{run}.one.1")).await?;
    let told = progress(&person, &id).await?;
    assert_eq!((&told["percent"], &told["current"]), (&json!(0), &json!(["one"])));
    assert_eq!(told["left_ms"], Value::Null, "nothing is known of how long it takes");
    gate.open();
    world.first(Stream::Tasks, &format!("task.created.work.normal.{run}.items:0.1")).await?;
    let told = progress(&person, &id).await?;
    assert_eq!((&told["percent"], &told["current"]), (&json!(25), &json!(["half", "items:0"])));
    let table = person.says(&["runs", "show", &id]).await?.well()?;
    let row = table.lines().find(|line| line.starts_with("items ")).context("a row")?;
    ensure!(!row.contains("queued"), "its items are at work: {table}");
    gate.open_for_good();
    world.ended(run).await?;
    assert_eq!(progress(&person, &id).await?, Value::Null, "it has ended");
    agent.stop().await?;

    // The next one is estimated by that.
    let (agent, gate) = worker(&world).await?;
    let mut watching = Spoken::on_stderr(&person, &["start", "steps", "--watch"])?;
    watching.until("one    active     #1 by").await?;
    let last = person.says(&["runs", "list", "-o", "json"]).await?.json()?;
    let next = last[1]["run"].as_str().context("a run")?.to_owned();
    let told = progress(&person, &next).await?;
    ensure!(told["left_ms"].is_u64() && told["estimated_from"] == json!(id), "{told}");
    let table = person.says(&["runs", "show", &next]).await?.well()?;
    ensure!(table.contains("progress 0%, about ") && table.contains(" left: one"), "{table}");
    // Who watches is told now and then.
    watching.until("progress 0%, about ").await?;
    gate.open_for_good();
    let said = watching.ended().await?;
    ensure!(said.code == 0, "{said:?}");
    agent.stop().await?;
    orchestrator.stop().await
}
