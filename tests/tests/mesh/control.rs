//! Runs that are paused, tried again and cleaned up after, on real servers.

use anyhow::{Result, ensure};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Publish, RunOutcome};
use mesh_schemas::{Headers, Message, RunId, SignalId, Subject};
use mesh_tests::{Audit, TestServer, World};
use serde_json::{Value, json};

async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    if input == json!("bad") { Err(TaskFailure::fatal("bad", "give me something else")) } else { Ok(input) }
}

const CAREFUL: &str = "
mesh: v1
name: careful
recovery: pause
output: '${tasks.second.output}'
tasks:
  first: {agent: echo, with: '${input}'}
  second: {agent: echo, needs: [first], with: '${tasks.first.output}', pause_before: true}
finally:
  tasks:
    tell: {agent: echo, with: '${run.outcome.status}'}
";

async fn signal(world: &World, run: RunId, name: &str, data: &Value) -> Result<()> {
    let (signal, id) = (SignalId::new(name)?, SignalId::new(uuid::Uuid::new_v4().to_string())?);
    let subject = Subject::Signalled { workflow: Some("careful".parse()?), run, signal, id };
    let message = Message {
        subject: subject.render(&world.namespace),
        headers: Headers::new(),
        payload: serde_json::to_vec(data)?.into(),
    };
    mesh_bus::Bus::publish(&*world.bus, Publish::once(message)).await?;
    Ok(())
}

#[tokio::test]
async fn a_run_stands_still_until_it_is_told_to_go_on() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("able").capability("echo", echo)).await?;
    world.apply(CAREFUL).await?;
    let run = world.start("careful", json!("bad")).await?;
    world.first(Stream::Events, &format!("workflow.paused.careful.-.{run}.1")).await?;
    // Who looks at it later finds it paused: nothing follows from a check.
    signal(&world, run, "check", &json!({})).await?;
    signal(&world, run, "retry", &json!({"task": "first", "input": "good"})).await?;
    world.first(Stream::Events, &format!("workflow.resumed.careful.-.{run}.1")).await?;
    world.first(Stream::Events, &format!("workflow.paused.careful.-.{run}.2")).await?;
    signal(&world, run, "resume", &json!({})).await?;
    let outcome = world.ended(run).await?;
    let RunOutcome::Completed(completed) = outcome else { anyhow::bail!("it did not complete: {outcome:?}") };
    ensure!(completed.output == json!("good"), "{completed:?}");
    ensure!((completed.tasks.done, completed.tasks.failed) == (3, 0), "{completed:?}");
    let told = world.stored(Stream::Tasks, "task.created.echo.normal.>").await?;
    let told = told.iter().filter(|work| work.message.subject.contains("finally:tell")).count();
    ensure!(told == 1, "what is done finally was asked for {told} times");
    Audit::when_idle(&world, &["echo"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

const WIDE: &str = "
mesh: v1
name: wide
output: '${tasks.fan.output}'
tasks:
  fan: {foreach: {in: '${input}', adaptive: {complexity: 0.9}}, agent: echo}
";

#[tokio::test]
async fn how_wide_a_loop_is_stands_in_the_log() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("able").capacity(4).capability("echo", echo)).await?;
    world.apply(WIDE).await?;
    while world.registered().await?.is_empty() {
        tokio::task::yield_now().await;
    }
    let run = world.start("wide", json!([1, 2, 3, 4, 5, 6])).await?;
    let routed = world.first(Stream::Events, &format!("task.routed.-.-.{run}.fan.1")).await?;
    let routed: Value = serde_json::from_slice(&routed.message.payload)?;
    let made_of =
        ["mode", "width", "complexity", "dependency", "free", "capacity"].map(|key| &routed["data"][key]);
    ensure!(
        made_of == [&json!("parallel"), &json!(4), &json!(0.9), &json!(0.0), &json!(4), &json!(4)],
        "{routed}"
    );
    let outcome = world.ended(run).await?;
    let RunOutcome::Completed(completed) = outcome else { anyhow::bail!("it did not complete: {outcome:?}") };
    ensure!(completed.output == json!([1, 2, 3, 4, 5, 6]), "{completed:?}");
    agent.stop().await?;
    orchestrator.stop().await
}
