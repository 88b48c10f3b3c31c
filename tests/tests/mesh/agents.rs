//! What agents promise.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome};
use mesh_tests::{Audit, TestServer, World, patiently};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

#[derive(Deserialize)]
struct Numbers {
    a: i64,
    b: i64,
}

#[derive(Serialize, Deserialize)]
struct Sum {
    sum: i64,
}

async fn add(_ctx: Context, numbers: Numbers) -> Result<Sum, TaskFailure> {
    Ok(Sum { sum: numbers.a + numbers.b })
}

/// Asks another agent for the sum.
async fn double(ctx: Context, number: i64) -> Result<i64, TaskFailure> {
    let sum: Sum = ctx.call("add", json!({"a": number, "b": number})).await?;
    Ok(sum.sum)
}

fn single(capability: &str) -> String {
    format!(
        "
mesh: v1
name: single
output: '${{tasks.work.output}}'
tasks: {{work: {{agent: {capability}, with: '${{input}}', timeout: 500ms, retry: {{max_attempts: 1}}}}}}
"
    )
}

#[tokio::test]
async fn an_agent_asks_another() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let adder = world.agent(Agent::builder("adder").capability("add", add)).await?;
    let doubler = world.agent(Agent::builder("doubler").capability("double", double)).await?;
    world.apply(&single("double").replace("timeout: 500ms, ", "")).await?;
    assert_eq!(world.output("single", json!(21)).await?, json!(42));
    let audit = Audit::when_idle(&world, &["add", "double"]).await?;
    assert_eq!(audit.runs.len(), 2);
    let called = world.first(Stream::Events, "workflow.started.-.>").await?;
    let text = String::from_utf8_lossy(&called.message.payload).into_owned();
    let caller = world.first(Stream::Events, "workflow.started.single.>").await?;
    let caller = caller.message.subject.rsplit('.').next().context("a subject has tokens")?.to_owned();
    assert!(text.contains(&caller), "the called run is linked to the caller: {text}");
    adder.stop().await?;
    doubler.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn errors_panics_and_wrong_input_are_told_apart() -> Result<()> {
    async fn faulty(_ctx: Context, kind: String) -> Result<Value, TaskFailure> {
        match kind.as_str() {
            "panic" => panic!("as asked"),
            "hang" => std::future::pending().await,
            "error" => Err(std::io::Error::other("disk on fire"))?,
            _ => Err(TaskFailure::fatal("no", "never")),
        }
    }
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("faulty").capability("faulty", faulty)).await?;
    world.apply(&single("faulty")).await?;
    let cases = [
        (json!("panic"), "panic", "as asked"),
        (json!("hang"), "timeout", "did not end"),
        (json!("error"), "error", "disk on fire"),
        (json!("fatal"), "no", "never"),
        (json!(7), "invalid_input", "string"),
    ];
    for (input, code, message) in cases {
        let RunOutcome::Failed(failed) = world.run("single", input).await? else {
            bail!("the run did not fail with {code}")
        };
        assert_eq!(failed.error.code, code);
        assert!(failed.error.message.contains(message), "{}", failed.error.message);
    }
    Audit::when_idle(&world, &["faulty"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_agent_is_known_while_it_lives() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let client = async_nats::connect(server.url()).await?;
    let builder = Agent::builder("adder").id("adder-1").version("1.2.3").capacity(4).capability("add", add);
    let agent = world.agent(builder).await?;
    let heartbeat = world.bus.subscribe(&format!("{}.agent.heartbeat.*", world.namespace)).await?;
    let _heard = patiently("a heartbeat", heartbeat.into_future()).await?;
    let registered = world.registered().await?;
    assert_eq!(
        registered["adder-1"],
        json!({"agent": "adder-1", "type": "adder", "capabilities": ["add"], "capacity": 4, "version": "1.2.3"})
    );
    world.first(Stream::Notes, "agent.registered.adder-1").await?;
    let pong = patiently("an answer to $SRV.PING", client.request("$SRV.PING.adder", "".into())).await??;
    let pong: Value = serde_json::from_slice(&pong.payload)?;
    assert_eq!((pong["name"].as_str(), pong["version"].as_str()), (Some("adder"), Some("1.2.3")));
    agent.stop().await?;
    world.first(Stream::Notes, "agent.deregistered.adder-1").await?;
    assert_eq!(world.registered().await?.len(), 0);
    orchestrator.stop().await
}

/// An agent that stops lets running tasks end, takes no more, and leaves the rest to others at once.
#[tokio::test]
async fn an_agent_drains_when_it_is_stopped() -> Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let slow = {
        let gate = Arc::clone(&gate);
        move |_ctx: Context, input: Value| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire()
                    .await
                    .map_err(|closed| TaskFailure::fatal("gate", closed.to_string()))?
                    .forget();
                Ok::<_, TaskFailure>(input)
            }
        }
    };
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(&single("slow").replace("timeout: 500ms, ", "")).await?;
    let first = Agent::builder("slow").id("first").capacity(2).capability("slow", slow.clone());
    let first = world.agent(first).await?;
    let mut runs = Vec::new();
    for n in 0..6 {
        runs.push(world.start("single", json!(n)).await?);
    }
    world.first(Stream::Notes, "task.assigned.>").await?;
    let (stopped, ()) = tokio::join!(first.stop(), async { gate.add_permits(runs.len()) });
    stopped?;
    let second =
        world.agent(Agent::builder("slow").id("second").capacity(6).capability("slow", slow)).await?;
    for run in runs {
        let outcome = world.ended(run).await?;
        assert!(matches!(outcome, RunOutcome::Completed(_)), "{outcome:?}");
    }
    Audit::when_idle(&world, &["slow"]).await?;
    second.stop().await?;
    orchestrator.stop().await
}

/// Work may be handed back as often as agents stop: only those that die with it make it poison.
#[tokio::test]
async fn work_that_is_handed_back_is_not_poison() -> Result<()> {
    async fn hang(_ctx: Context, _input: Value) -> Result<Value, TaskFailure> {
        std::future::pending().await
    }
    async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
        Ok(input)
    }
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(&single("patient").replace("timeout: 500ms, ", "")).await?;
    let run = world.start("single", json!("at last")).await?;
    for delivery in 1..=7 {
        let hasty = Agent::builder("hasty").drain_timeout(Duration::ZERO).capability("patient", hang);
        let agent = world.agent(hasty).await?;
        world.first(Stream::Notes, &format!("task.assigned.patient.normal.{run}.work.1.{delivery}")).await?;
        agent.stop().await?;
    }
    let agent = world.agent(Agent::builder("echo").capability("patient", echo)).await?;
    let outcome = world.ended(run).await?;
    let RunOutcome::Completed(completed) = outcome else { bail!("not completed: {outcome:?}") };
    assert_eq!(completed.output, json!("at last"));
    Audit::when_idle(&world, &["patient"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn progress_reaches_whoever_listens() -> Result<()> {
    async fn steady(ctx: Context, input: Value) -> Result<Value, TaskFailure> {
        ctx.progress(0.5, Some("half way")).await;
        Ok(input)
    }
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(&single("steady")).await?;
    let mut progress = world.bus.subscribe(&format!("{}.task.progress.>", world.namespace)).await?;
    let agent = world.agent(Agent::builder("steady").capability("steady", steady)).await?;
    world.output("single", json!(1)).await?;
    let message = patiently("progress", progress.next()).await?.context("the subscription ended")?;
    assert!(String::from_utf8_lossy(&message.payload).contains("half way"));
    agent.stop().await?;
    orchestrator.stop().await
}
