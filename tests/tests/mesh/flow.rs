//! How data and control flow through a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::RunOutcome;
use mesh_bus::topology::Stream;
use mesh_schemas::payload::TaskCounts;
use mesh_tests::{Audit, TestServer, World};
use serde_json::{Value, json};

async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

/// Fails as often as the input says, in the way that it says.
async fn flaky(ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    let failures = input["failures"].as_u64().unwrap_or_default();
    if u64::from(ctx.attempt().get()) <= failures {
        return Err(match input["fatal"].as_bool() {
            Some(true) => TaskFailure::fatal("broken", "it will never work"),
            _ => TaskFailure::retryable("busy", "not now"),
        });
    }
    Ok(json!({ "attempt": ctx.attempt() }))
}

#[tokio::test]
async fn data_flows_through_a_diamond() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
    world
        .apply(
            "
mesh: v1
name: diamond
input: {type: object, required: [n]}
output: {sum: '${tasks.join.output.left + tasks.join.output.right}', text: 'n is ${input.n}, $${n}'}
tasks:
  first: {agent: echo, with: {n: '${input.n}'}}
  left: {agent: echo, needs: [first], with: {n: '${tasks.first.output.n * 10}'}, output: '${result.n}'}
  right: {agent: echo, needs: [first], with: {n: '${tasks.first.output.n + 1}'}, output: '${result.n}'}
  join:
    agent: echo
    needs: [left, right]
    with: {left: '${tasks.left.output}', right: '${tasks.right.output}'}
",
        )
        .await?;
    assert_eq!(world.output("diamond", json!({"n": 4})).await?, json!({"sum": 45, "text": "n is 4, ${n}"}));
    let audit = Audit::when_idle(&world, &["echo"]).await?;
    assert_eq!(audit.created.len(), 4);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn conditions_skip_tasks_and_what_needs_them() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
    world
        .apply(
            "
mesh: v1
name: branches
output: {last: '${tasks.last.output}'}
tasks:
  check: {agent: echo}
  big: {agent: echo, needs: [check], when: 'tasks.check.output.n > 10'}
  after_big: {agent: echo, needs: [big]}
  last: {agent: echo, needs: [after_big], on_skipped: run, with: {got: '${tasks.after_big.output}'}}
",
        )
        .await?;
    for (n, last, done) in [(1, Value::Null, 2), (11, json!({"n": 11}), 4)] {
        let RunOutcome::Completed(run) = world.run("branches", json!({"n": n})).await? else {
            bail!("the run did not complete")
        };
        assert_eq!(run.output, json!({"last": {"got": last}}));
        assert_eq!(run.tasks, TaskCounts { done, skipped: 4 - done, ..TaskCounts::default() });
    }
    agent.stop().await?;
    orchestrator.stop().await
}

const FLAKY: &str = "
mesh: v1
name: flaky
output: '${tasks.work.output}'
tasks:
  work: {agent: flaky, retry: {max_attempts: 3, initial: 10ms}}
";

#[tokio::test]
async fn failed_attempts_are_repeated_until_one_goes_well() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("flaky").capability("flaky", flaky)).await?;
    world.apply(FLAKY).await?;
    assert_eq!(world.output("flaky", json!({"failures": 2})).await?, json!({"attempt": 3}));
    let RunOutcome::Failed(failed) = world.run("flaky", json!({"failures": 3})).await? else {
        bail!("the run did not fail")
    };
    assert_eq!(
        (failed.error.code.as_str(), failed.task.map(String::from)),
        ("busy", Some("work".to_owned()))
    );
    let audit = Audit::when_idle(&world, &["flaky"]).await?;
    assert_eq!(audit.created.len(), 6);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_fatal_error_is_not_repeated() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("flaky").capability("flaky", flaky)).await?;
    world.apply(FLAKY).await?;
    let outcome = world.run("flaky", json!({"failures": 1, "fatal": true})).await?;
    assert!(matches!(outcome, RunOutcome::Failed(failed) if failed.error.code == "broken"));
    assert_eq!(Audit::when_idle(&world, &["flaky"]).await?.created.len(), 1);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_goes_on_without_a_task_that_may_fail() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent =
        world.agent(Agent::builder("flaky").capability("flaky", flaky).capability("echo", echo)).await?;
    world
        .apply(
            "
mesh: v1
name: lenient
output: '${tasks.after.output}'
tasks:
  work: {agent: flaky, on_failure: continue, retry: {max_attempts: 1}}
  after: {agent: echo, needs: [work], with: {got: '${tasks.work.output}'}}
",
        )
        .await?;
    assert_eq!(world.output("lenient", json!({"failures": 1})).await?, json!({"got": null}));
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_failing_run_gives_up_what_is_open() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let stopped = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&stopped);
    let slow = move |ctx: Context, _: Value| {
        let stopped = Arc::clone(&counter);
        async move {
            ctx.cancellation().cancelled().await;
            stopped.fetch_add(1, Ordering::SeqCst);
            Err::<Value, _>(TaskFailure::fatal("stopped", "as asked"))
        }
    };
    let builder = Agent::builder("mixed").capability("slow", slow).capability("flaky", flaky);
    let agent = world.agent(builder).await?;
    world
        .apply(
            "
mesh: v1
name: doomed
tasks:
  slow: {agent: slow}
  broken: {agent: flaky, with: {failures: 1, fatal: true}}
  never: {agent: flaky, needs: [slow]}
",
        )
        .await?;
    let RunOutcome::Failed(failed) = world.run("doomed", json!({})).await? else {
        bail!("the run did not fail")
    };
    assert_eq!(failed.tasks, TaskCounts { failed: 1, cancelled: 2, ..TaskCounts::default() });
    let audit = Audit::when_idle(&world, &["slow", "flaky"]).await?;
    assert_eq!(audit.created.len(), 2);
    agent.stop().await?;
    assert_eq!(stopped.load(Ordering::SeqCst), 1, "the handler was told to stop");
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_is_cancelled_by_a_signal() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply("{mesh: v1, name: idle, tasks: {wait: {agent: nobody}}}").await?;
    let run = world.start("idle", json!({})).await?;
    world.first(Stream::Tasks, ">").await?;
    world.publish(&format!("workflow.signalled.-.-.{run}.cancel.1"), r#"{"reason": "enough"}"#).await?;
    let outcome = world.ended(run).await?;
    assert!(
        matches!(outcome, RunOutcome::Cancelled(cancelled) if cancelled.reason.as_deref() == Some("enough"))
    );
    let failed = world.first(Stream::Events, "task.failed.>").await?;
    let text = String::from_utf8_lossy(&failed.message.payload).into_owned();
    assert!(text.contains("run_ended"), "{text}");
    orchestrator.stop().await
}

#[tokio::test]
async fn a_cancel_that_comes_before_its_run_is_not_lost() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply("{mesh: v1, name: idle, tasks: {wait: {agent: nobody}}}").await?;
    let request = world.request("idle", "1", json!({}))?;
    let run = world.run_of(&request).await?;
    world.publish(&format!("workflow.signalled.idle.-.{run}.cancel.1"), "").await?;
    mesh_bus::submit(&*world.bus, &request).await?;
    assert!(matches!(world.ended(run).await?, RunOutcome::Cancelled(_)));
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply("{mesh: v1, name: late, timeout: 300ms, tasks: {wait: {agent: nobody}}}").await?;
    let RunOutcome::Failed(failed) = world.run("late", json!({})).await? else {
        bail!("the run did not fail")
    };
    assert_eq!(failed.error.code, "timeout");
    assert_eq!(failed.tasks.cancelled, 1);
    orchestrator.stop().await
}

#[tokio::test]
async fn an_expression_that_fails_names_its_place() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply("{mesh: v1, name: wrong, tasks: {work: {agent: nobody, with: {n: '${input.a.b}'}}}}").await?;
    let RunOutcome::Failed(failed) = world.run("wrong", json!({"a": {}})).await? else {
        bail!("the run did not fail")
    };
    assert_eq!(failed.error.code, "expression");
    assert!(failed.error.message.contains("tasks.work.with"), "{}", failed.error.message);
    assert!(failed.error.message.contains('b'), "{}", failed.error.message);
    orchestrator.stop().await
}
