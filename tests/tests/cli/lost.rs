//! Runs of which large data is lost: what is known is told, and what is lost is named.

use anyhow::{Context as _, Result, ensure};
use mesh_agents::{Agent, AgentBuilder, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome};
use mesh_schemas::payload::code;
use mesh_schemas::{ObjectOwner, RunId};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use crate::support::Person;

const TWICE: &str = "
mesh: v1
name: twice
output: '${tasks.second.output}'
tasks:
  first: {agent: echo, with: '${input.much}'}
  second: {agent: echo, needs: [first], with: '${tasks.first.output}'}
";

async fn echo(_context: mesh_agents::Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

fn echoing() -> AgentBuilder {
    Agent::builder("echo").capability("echo", echo)
}

fn large() -> Value {
    json!({ "much": "x".repeat(100_000) })
}

/// Tasks of a run as they are shown: id, status, attempt.
fn tasks(shown: &Value) -> Vec<Value> {
    let tasks = shown["tasks"].as_array().into_iter().flatten();
    tasks.map(|task| json!([task["id"], task["status"], task["attempt"]])).collect()
}

async fn shown(person: &Person, run: RunId) -> Result<Value> {
    person.says(&["runs", "show", &run.to_string(), "-o", "json"]).await?.json()
}

#[tokio::test]
async fn a_completed_run_whose_data_is_lost_is_told_as_it_was() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing()).await?;
    world.apply(TWICE).await?;
    let person = Person::of(&world)?;
    let run = world.start("twice", large()).await?;
    ensure!(matches!(world.ended(run).await?, RunOutcome::Completed(_)));
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;

    let watched = person.says(&["runs", "watch", &run.to_string()]).await?;
    ensure!(watched.code == 1 && watched.out.is_empty(), "{watched:?}");
    ensure!(watched.err.contains("error[MESH-408]: the output of run") && watched.err.contains("is lost"));
    ensure!(!watched.err.contains("cancelled") && watched.err.contains("done"), "{watched:?}");
    let shown = shown(&person, run).await?;
    ensure!(shown["status"] == "completed", "{shown:#}");
    ensure!(tasks(&shown) == [json!(["first", "done", 1]), json!(["second", "done", 1])], "{shown:#}");
    ensure!(shown["counts"] == json!({"done": 2}), "{shown:#}");
    for member in ["input_lost", "output_lost"] {
        ensure!(shown[member].as_str().is_some_and(|lost| lost.contains("is missing")), "{shown:#}");
    }
    let table = person.says(&["runs", "show", &run.to_string()]).await?.well()?;
    ensure!(
        table.contains("\ninput    lost: object ") && table.contains("\noutput   lost: object "),
        "{table}"
    );
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_task_that_failed_without_its_input_is_told_as_failed() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(TWICE).await?;
    let run = world.start("twice", large()).await?;
    world.first(Stream::Tasks, &format!("task.created.echo.normal.{run}.first.1")).await?;
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
    let agent = world.agent(echoing()).await?;
    let RunOutcome::Failed(failed) = world.ended(run).await? else { anyhow::bail!("not failed") };
    ensure!(failed.error.code == code::LOST_INPUT, "{failed:?}");

    let shown = shown(&Person::of(&world)?, run).await?;
    let told = [json!(["first", "failed", 1]), json!(["second", "unknown", null])];
    ensure!(tasks(&shown) == told, "{shown:#}");
    ensure!(shown["tasks"][0]["error"]["code"] == code::LOST_INPUT, "{shown:#}");
    agent.stop().await?;
    orchestrator.stop().await
}

/// A run that the rules end for want of its input is told as they say.
#[tokio::test]
async fn a_run_that_ended_without_its_input_has_cancelled_tasks() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(TWICE).await?;
    let run = world.start("twice", large()).await?;
    world.first(Stream::Tasks, &format!("task.created.echo.normal.{run}.first.1")).await?;
    orchestrator.stop().await?;
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
    let orchestrator = world.orchestrator().await?;
    world.publish(&format!("workflow.signalled.twice.-.{run}.check.1"), "").await?;
    ensure!(matches!(world.ended(run).await?, RunOutcome::Failed(_)));

    let shown = shown(&Person::of(&world)?, run).await?;
    let told = [json!(["first", "cancelled", null]), json!(["second", "cancelled", null])];
    ensure!(tasks(&shown) == told, "{shown:#}");
    orchestrator.stop().await
}

#[tokio::test]
async fn who_waits_again_for_an_output_that_is_lost_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing()).await?;
    world.apply(TWICE).await?;
    let person = Person::of(&world)?;
    person.file("large.json", &large().to_string())?;
    let start = ["start", "twice", "--id", "once", "--input", "large.json"];
    let said = person.says(&[&start[..], &["--wait"]].concat()).await?;
    let run: RunId = said.err.split_whitespace().find_map(|word| word.parse().ok()).context("a run")?;
    said.well()?;
    for how in ["--wait", "--watch"] {
        world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
        let said = person.says(&[&start[..], &[how]].concat()).await?;
        ensure!(said.code == 1 && said.out.is_empty(), "{said:?}");
        ensure!(said.err.contains("error[MESH-408]") && said.err.contains("output of run"), "{said:?}");
    }
    agent.stop().await?;
    orchestrator.stop().await
}
