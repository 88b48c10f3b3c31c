//! Runs that tasks of other runs start, on real servers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
use mesh_bus::RunOutcome;
use mesh_bus::topology::Stream;
use mesh_orchestrator::{Options, Retention, definitions};
use mesh_schemas::document::Format;
use mesh_schemas::payload::{WorkflowFailed, WorkflowStarted};
use mesh_schemas::{Decoded, Envelope, RunId, StoredMessage, Subject};
use mesh_tests::{Audit, Process, TestServer, World};
use serde_json::{Value, json};

/// Fails as often as the input says, by the attempt of the outer task; waits for ever for those that are to be stopped.
async fn work(ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    if input["hangs"] == true {
        ctx.cancellation().cancelled().await;
        return Err(TaskFailure::retryable("stopped", "it was told to stop"));
    }
    match input["fails"].as_str() {
        Some(code) => Err(TaskFailure::fatal(code, "as it was told")),
        None => Ok(json!({ "done": input })),
    }
}

fn worker() -> AgentBuilder {
    Agent::builder("worker").capacity(32).capability("work", work)
}

/// What most tests start runs of.
const INNER: &str = "
mesh: v1
name: inner
input: {type: object}
output: '${tasks.w.output}'
tasks: {w: {agent: work, retry: {max_attempts: 1}}}
";

const OUTER: &str = "
mesh: v1
name: outer
output: '${tasks.child.output}'
tasks:
  child: {workflow: inner, with: '${input}', output: '${result.done}', retry: {max_attempts: 1}}
";

async fn apply(world: &World, definitions: &[&str]) -> Result<()> {
    for definition in definitions {
        world.apply(definition).await?;
    }
    Ok(())
}

/// The runs of a workflow that have begun, in order.
async fn started(world: &World, workflow: &str) -> Result<Vec<(RunId, WorkflowStarted)>> {
    let stored = world.stored(Stream::Events, &format!("workflow.started.{workflow}.>")).await?;
    stored.iter().map(|stored| read(world, stored)).collect()
}

fn read<T: serde::de::DeserializeOwned>(world: &World, stored: &StoredMessage) -> Result<(RunId, T)> {
    let run = Subject::parse(&world.namespace, &stored.message.subject)?.run().context("a run")?;
    let Decoded::Event(event) = Envelope::decode(&stored.message.headers, &stored.message.payload)? else {
        bail!("{} has no envelope", stored.message.subject)
    };
    Ok((run, event.data()?))
}

async fn failure(world: &World, workflow: &str, input: Value) -> Result<WorkflowFailed> {
    match world.run(workflow, input).await? {
        RunOutcome::Failed(failed) => Ok(failed),
        other => bail!("it did not fail: {other:?}"),
    }
}

/// Waits until a run of a workflow has begun.
async fn begun(world: &World, workflow: &str) -> Result<RunId> {
    let stored = world.first(Stream::Events, &format!("workflow.started.{workflow}.>")).await?;
    Ok(read::<Value>(world, &stored)?.0)
}

/// Waits until so many attempts have gone well.
async fn completed(world: &World, many: usize) -> Result<()> {
    let mut count = 0;
    let enough = |_: &StoredMessage| {
        count += 1;
        count >= many
    };
    world.until(Stream::Events, "task.completed.>", enough).await.map(drop)
}

async fn cancel(world: &World, workflow: &str, run: RunId, reason: &str) -> Result<()> {
    let data = json!({ "reason": reason }).to_string();
    world.publish(&format!("workflow.signalled.{workflow}.-.{run}.cancel.test"), data).await
}

#[tokio::test]
async fn a_run_does_a_task_of_another_one() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    apply(&world, &[INNER, OUTER]).await?;
    let run = world.start("outer", json!({"n": 1})).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { bail!("it did not complete") };
    assert_eq!(completed.output, json!({"n": 1}));
    let inner = started(&world, "inner").await?;
    let [(child, data)] = inner.as_slice() else { bail!("{inner:?}") };
    let parent = data.parent.as_ref().context("it has a parent")?;
    assert_eq!((parent.run, parent.task.as_str(), parent.depth), (run, "child", 1));
    assert_eq!((parent.workflow.as_str(), parent.wait), ("outer", true));
    // Both are one piece of work, in one trace, and each event names the one that led to it.
    let audit = Audit::when_idle(&world, &["work"]).await?;
    assert_eq!((audit.runs.len(), audit.runs.contains_key(child)), (2, true));
    let stored = world.stored(Stream::Events, &format!("task.completed.inner.normal.{run}.child.1")).await?;
    let Decoded::Event(event) = Envelope::decode(&stored[0].message.headers, &stored[0].message.payload)?
    else {
        bail!("it has no envelope")
    };
    assert_eq!(event.correlationid, Some(run.to_string()));
    ensure!(event.causationid.as_ref().is_some_and(|cause| cause.contains(&child.to_string())), "{event:?}");

    // A large input and a large output go by reference, each as what belongs to its run.
    let large = json!({ "text": "x".repeat(200_000) });
    assert_eq!(world.output("outer", large.clone()).await?, large);
    Audit::when_idle(&world, &["work"]).await?;
    ensure!(world.stored(Stream::Dead, "dead.>").await?.is_empty(), "something was put aside");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_that_fails_is_followed_by_another_one() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    // It fails in the first run that does it, and is fit to be tried again.
    let first = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let moody = move |_ctx: Context, input: Value| {
        let fails = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        async move { if fails { Err(TaskFailure::retryable("moody", "not now")) } else { Ok(input) } }
    };
    let agent = world.agent(worker().capability("moody", moody)).await?;
    apply(&world, &[
            INNER,
            OUTER,
            "{mesh: v1, name: moody, output: '${tasks.w.output}', tasks: {w: {agent: moody, retry: {max_attempts: 1}}}}",
            "{mesh: v1, name: patient, output: '${tasks.c.output}', tasks: {c: {workflow: moody, retry: {max_attempts: 3, initial: 100ms}}}}",
            "{mesh: v1, name: stubborn, tasks: {c: {workflow: inner, retry: {max_attempts: 3, initial: 100ms}}}}",
        ])
        .await?;
    assert_eq!(world.output("patient", json!(1)).await?, json!(1));
    let moody = started(&world, "moody").await?;
    let attempts: Vec<u32> =
        moody.iter().filter_map(|(_, data)| Some(data.parent.as_ref()?.attempt.get())).collect();
    assert_eq!(attempts, [1, 2]);
    assert_ne!(moody[0].0, moody[1].0);

    // What an agent says is hopeless is so for the run, and for who started it.
    let failed = failure(&world, "stubborn", json!({"fails": "hopeless"})).await?;
    let inner = started(&world, "inner").await?;
    assert_eq!((failed.error.code.as_str(), inner.len()), ("hopeless", 1));
    let message = format!("task 'c' failed: run {} failed: task 'w' failed: as it was told", inner[0].0);
    assert_eq!(failed.error.message, message);
    Audit::when_idle(&world, &["work", "moody"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn who_ends_a_run_ends_those_that_it_started() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    let middle = OUTER.replace("name: outer", "name: middle");
    apply(&world, &[INNER, &middle, &OUTER.replace("workflow: inner", "workflow: middle")]).await?;
    let run = world.start("outer", json!({"hangs": true})).await?;
    world.first(Stream::Tasks, "task.created.work.>").await?;
    cancel(&world, "outer", run, "enough").await?;
    ensure!(matches!(world.ended(run).await?, RunOutcome::Cancelled(_)), "it was cancelled");
    for workflow in ["middle", "inner"] {
        let child = begun(&world, workflow).await?;
        let RunOutcome::Cancelled(cancelled) = world.ended(child).await? else { bail!("{workflow} goes on") };
        let reason = cancelled.reason.unwrap_or_default();
        ensure!(reason.contains("task 'child' of run") && reason.contains("was cancelled"), "{reason}");
    }
    Audit::when_idle(&world, &["work"]).await?;
    let letters = world.stored(Stream::Dead, "dead.>").await?;
    ensure!(letters.is_empty(), "put aside: {letters:?}");

    // The other way round, the one that waits fails.
    let run = world.start("outer", json!({"hangs": true})).await?;
    let of_outer = |stored: &StoredMessage| {
        read::<WorkflowStarted>(&world, stored)
            .is_ok_and(|(_, data)| data.parent.is_some_and(|parent| parent.run == run))
    };
    let child = world.until(Stream::Events, "workflow.started.middle.>", of_outer).await?;
    let child = read::<Value>(&world, &child)?.0;
    cancel(&world, "middle", child, "not that one").await?;
    let RunOutcome::Failed(failed) = world.ended(run).await? else { bail!("it did not fail") };
    assert_eq!(failed.error.code, "child_cancelled");
    ensure!(
        failed.error.message.ends_with(&format!("run {child} was cancelled: not that one")),
        "{failed:?}"
    );
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_has_no_more_time_than_what_it_is_for() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let idle = INNER.replace("agent: work", "agent: nobody");
    let timed = OUTER
        .replace("name: outer", "name: timed")
        .replace("workflow: inner", "workflow: inner, timeout: 1s");
    let short = OUTER.replace("name: outer", "name: short\ntimeout: 1s");
    apply(&world, &[&idle, &timed, &short]).await?;
    let failed = failure(&world, "timed", json!({})).await?;
    assert_eq!((failed.error.code.as_str(), failed.duration_ms / 1_000), ("timeout", 1));
    ensure!(failed.error.message.contains("that the task had left for which it was started"), "{failed:?}");
    let failed = failure(&world, "short", json!({})).await?;
    assert_eq!((failed.error.code.as_str(), failed.duration_ms / 1_000), ("timeout", 1));
    for (child, data) in started(&world, "inner").await? {
        let parent = data.parent.context("a parent")?;
        ensure!(!matches!(world.ended(child).await?, RunOutcome::Completed(_)), "it completed");
        ensure!(parent.deadline.is_some(), "{parent:?}");
    }
    Audit::when_idle(&world, &[]).await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_that_is_not_waited_for_goes_its_own_way() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    apply(&world, &[
            INNER,
            "{mesh: v1, name: starter, output: '${tasks.c.output}', tasks: {c: {workflow: inner, wait: false}}}",
        ])
        .await?;
    let output = world.output("starter", json!({"n": 2})).await?;
    let child = begun(&world, "inner").await?;
    assert_eq!(output, json!({ "run": child }));
    // Nobody has done anything of it so far.
    let agent = world.agent(worker()).await?;
    let RunOutcome::Completed(completed) = world.ended(child).await? else { bail!("it did not complete") };
    assert_eq!(completed.output, json!({"done": {"n": 2}}));
    Audit::when_idle(&world, &["work"]).await?;
    assert_eq!(world.stored(Stream::Events, "task.*.inner.>").await?.len(), 1, "it tells nobody");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn what_cannot_be_started_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    let inner = definitions::check(INNER, Format::Yaml)?;
    let first = inner.digest();
    let second = INNER.replace("output: '", "output: 'the second ");
    let lost = format!("sha256:{}", "0".repeat(64));
    let of = |name: &str, child: &str| {
        format!("{{mesh: v1, name: {name}, output: '${{tasks.c.output}}', tasks: {{c: {{{child}}}}}}}")
    };
    apply(
        &world,
        &[
            INNER,
            &second,
            &of("pinned", &format!("workflow: inner, version: '{first}'")),
            &of("latest", "workflow: inner"),
            &of("unknown", "workflow: iner"),
            &of("lost", &format!("workflow: inner, version: '{lost}'")),
            &of("wrong", "workflow: inner, with: '${[1]}'"),
            &of("endless", "workflow: endless"),
        ],
    )
    .await?;
    assert_eq!(world.output("pinned", json!({"n": 1})).await?, json!({"done": {"n": 1}}));
    let output = world.output("latest", json!({"n": 1})).await?;
    ensure!(output.as_str().is_some_and(|text| text.starts_with("the second ")), "{output}");
    for (workflow, code, message) in [
        ("unknown", "unknown_workflow", "no workflow 'iner' is registered; did you mean 'inner'?"),
        ("lost", "unknown_version", "the workflow 'inner' has no version sha256:000"),
        ("wrong", "invalid_input", "is not of type \"object\""),
    ] {
        let failed = failure(&world, workflow, json!({})).await?;
        assert_eq!(failed.error.code, code);
        ensure!(failed.error.message.contains(message), "{failed:?}");
        ensure!(failed.error.message.contains("was not started"), "{failed:?}");
    }
    let rejected = world.stored(Stream::Notes, "request.rejected.inner.>").await?;
    assert_eq!(rejected.len(), 2, "and it is told as for every request");

    let failed = failure(&world, "endless", json!({})).await?;
    assert_eq!(failed.error.code, "too_many_levels");
    assert_eq!(started(&world, "endless").await?.len(), 17, "one that was asked for, and 16 within it");
    Audit::when_idle(&world, &["work"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// What somebody else asks for in the name of a task.
#[tokio::test]
async fn what_is_asked_for_in_the_name_of_another_task_is_refused() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    apply(&world, &[INNER, OUTER]).await?;
    let run = world.start("outer", json!({})).await?;
    let child = begun(&world, "inner").await?;
    let parent = started(&world, "inner").await?.remove(0).1.parent.context("a parent")?;
    for (attempt, data) in
        [(2, json!({"input": {}, "parent": parent})), (3, json!([])), (4, json!({"input": {}}))]
    {
        world.publish(&format!("workflow.called.inner.-.{run}.child.{attempt}"), data.to_string()).await?;
    }
    let mut refused = 0;
    let all = |stored: &StoredMessage| {
        refused += 1;
        refused == 3 && String::from_utf8_lossy(&stored.message.payload).contains("\"malformed\"")
    };
    world.until(Stream::Notes, "request.rejected.inner.>", all).await?;
    assert_eq!(started(&world, "inner").await?.len(), 1);
    assert!(world.stored(Stream::Events, "task.>").await?.is_empty(), "the task was told nothing");
    cancel(&world, "outer", run, "done").await?;
    ensure!(matches!(world.ended(child).await?, RunOutcome::Cancelled(_)), "it was cancelled");
    orchestrator.stop().await
}

/// Many runs of several levels, with orchestrators that are killed all the while: each is started once, and each that waits is
/// told once.
#[tokio::test]
async fn runs_in_runs_survive_orchestrators_that_are_killed() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let fan = "
mesh: v1
name: fan
output: '${tasks.all.output.filter(n, n == 1).size()}'
tasks:
  all: {foreach: {in: '${input.items}'}, workflow: middle, with: {n: '${item}'}, output: '${result.n}'}
";
    let middle = OUTER.replace("name: outer", "name: middle");
    let orchestrator = Process::orchestrator(&world)?;
    let client = world.orchestrator().await?;
    apply(&world, &[INNER, &middle, fan]).await?;
    let agent = world.agent(worker()).await?;
    client.stop().await?;
    let run = world.start("fan", json!({"items": vec![1; 40]})).await?;
    completed(&world, 10).await?;
    orchestrator.kill9()?;
    let second = Process::orchestrator(&world)?;
    completed(&world, 70).await?;
    second.kill9()?;
    let third = Process::orchestrator(&world)?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { bail!("it did not complete") };
    assert_eq!(completed.output, json!(40));
    let audit = Audit::when_idle(&world, &["work"]).await?;
    assert_eq!((audit.runs.len(), audit.created.len()), (81, 40));
    ensure!(audit.outcomes.values().all(|outcomes| outcomes.len() == 1), "{:?}", audit.outcomes);
    let letters = world.stored(Stream::Dead, "dead.>").await?;
    ensure!(letters.is_empty(), "put aside: {letters:?}");
    agent.stop().await?;
    ensure!(third.terminate()?, "the orchestrator did not end well");
    Ok(())
}

/// A run that was archived is still the one that its task started.
#[tokio::test]
async fn runs_are_archived_each_for_itself() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let retention = Retention { grace: Duration::ZERO, requests: Duration::from_secs(60) };
    let orchestrator = world.orchestrator_with(Options { retention, ..Options::default() }).await?;
    let agent = world.agent(worker()).await?;
    let slow = "
mesh: v1
name: slow
output: '${tasks.last.output}'
tasks:
  child: {workflow: inner, with: {n: 1}}
  last: {agent: held, needs: [child], with: '${tasks.child.output}'}
";
    apply(&world, &[INNER, slow]).await?;
    let run = world.start("slow", json!({})).await?;
    world.first(Stream::Tasks, "task.created.held.>").await?;
    let child = begun(&world, "inner").await?;
    world.first(Stream::History, &format!("history.inner.*.{child}")).await?;
    // What waits for it goes on with what it was told.
    orchestrator.stop().await?;
    let orchestrator = world.orchestrator_with(Options { retention, ..Options::default() }).await?;
    let holder = world.agent(Agent::builder("holder").capability("held", work)).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { bail!("it did not complete") };
    assert_eq!(completed.output, json!({"done": {"done": {"n": 1}}}));
    Audit::when_idle(&world, &["work", "held"]).await?;
    assert_eq!(started(&world, "inner").await?.len(), 1);
    holder.stop().await?;
    agent.stop().await?;
    orchestrator.stop().await
}
