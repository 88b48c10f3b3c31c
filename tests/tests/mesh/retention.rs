//! What becomes of runs that have ended, and of a log that is nearly full.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::{Limits, Stream, Topology};
use mesh_bus::{Bus as _, RunOutcome, WholeRun, read_whole_run, submit};
use mesh_orchestrator::{Options, Retention};
use mesh_schemas::{RunId, StoredMessage};
use mesh_tests::{Audit, Running, TestServer, World, patiently};
use serde_json::{Value, json};

const CHAIN: &str = "
mesh: v1
name: chain
output: '${tasks.last.output}'
tasks:
  first: {agent: echo, with: {n: '${input.n}'}}
  last: {agent: echo, needs: [first], with: {n: '${tasks.first.output.n}'}}
";

async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

/// A mesh whose orchestrator archives at once, and forgets after a time.
struct Mesh {
    _server: TestServer,
    world: World,
    orchestrator: Running,
    agent: Running,
}

impl Mesh {
    async fn that_forgets_after(requests: Duration, limits: Limits) -> Result<Self> {
        let topology = Topology { limits, ..Topology::default() };
        Self::with(requests, Options { topology, ..Options::default() }).await
    }

    async fn with(requests: Duration, options: Options) -> Result<Self> {
        let server = TestServer::start()?;
        let world = World::on(&server.url()).await?;
        let retention = Retention { grace: Duration::ZERO, requests };
        let orchestrator = world.orchestrator_with(Options { retention, ..options }).await?;
        let agent = world.agent(Agent::builder("echo").capability("echo", echo)).await?;
        world.apply(CHAIN).await?;
        Ok(Self { _server: server, world, orchestrator, agent })
    }

    async fn stop(self) -> Result<()> {
        self.agent.stop().await?;
        self.orchestrator.stop().await
    }

    async fn whole(&self, run: RunId) -> Result<WholeRun> {
        Ok(read_whole_run(&*self.world.bus, &run).await?)
    }

    /// Waits until so many events of a run are left in the log, and none of its work.
    async fn until_left(&self, run: RunId, count: usize) -> Result<Vec<StoredMessage>> {
        let bus = &self.world.bus;
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let looking = async {
            loop {
                looks.tick().await;
                let events = bus.read_run(&run).await?.events;
                if events.len() == count && bus.read_work(&run).await?.is_empty() {
                    return anyhow::Ok(events);
                }
            }
        };
        patiently(&format!("{count} events to be left"), looking).await?
    }
}

fn subjects(events: &[StoredMessage]) -> Vec<String> {
    let words = |subject: &str| subject.split('.').skip(1).take(2).collect::<Vec<_>>().join(".");
    events.iter().map(|stored| words(&stored.message.subject)).collect()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn of_an_ended_run_its_beginning_and_its_end_are_left() -> Result<()> {
    let mesh = Mesh::that_forgets_after(DAY, Limits::default()).await?;
    let run = mesh.world.start("chain", json!({"n": 4})).await?;
    ensure!(matches!(mesh.world.ended(run).await?, RunOutcome::Completed(_)), "it completes");
    let left = mesh.until_left(run, 2).await?;
    assert_eq!(subjects(&left), ["workflow.started", "workflow.completed"]);
    let whole = mesh.whole(run).await?;
    let all = ["workflow.started", "task.completed", "task.completed", "workflow.completed"];
    assert_eq!(subjects(&whole.events), all);
    assert_eq!(whole.history.of(Stream::Tasks).count(), 2);
    assert_eq!(whole.history.late(), 0);
    let notes = format!("{}.task.>", mesh.world.namespace);
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let noted_no_more = async {
        while !mesh.world.bus.list_subjects(Stream::Notes, &notes).await?.is_empty() {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    patiently("the notes to be removed", noted_no_more).await??;
    // What is left is among what is archived, as it was.
    ensure!(left.iter().all(|stored| whole.events.contains(stored)), "the same events");
    let RunOutcome::Completed(completed) = mesh.world.ended(run).await? else {
        anyhow::bail!("it completed")
    };
    assert_eq!(completed.output, json!({"n": 4}));
    Audit::when_idle(&mesh.world, &["echo"]).await?;
    mesh.stop().await
}

#[tokio::test]
async fn a_forgotten_run_is_known_by_its_history() -> Result<()> {
    let mesh = Mesh::that_forgets_after(Duration::from_secs(2), Limits::default()).await?;
    let request = mesh.world.request("chain", "order-1", json!({"n": 1}))?;
    let run = submit(&*mesh.world.bus, &request).await?;
    mesh.world.ended(run).await?;
    mesh.until_left(run, 0).await?;
    assert_eq!(mesh.whole(run).await?.events.len(), 4);
    // The same request again is the same run, which is over.
    submit(&*mesh.world.bus, &request).await?;
    mesh.world.output("chain", json!({"n": 2})).await?;
    assert_eq!(mesh.world.bus.read_run(&run).await?.events, []);
    let RunOutcome::Completed(completed) = mesh.world.ended(run).await? else {
        anyhow::bail!("it completed")
    };
    assert_eq!(completed.output, json!({"n": 1}));
    mesh.stop().await
}

#[tokio::test]
async fn what_comes_late_is_kept_with_its_run() -> Result<()> {
    for (requests, left) in [(DAY, 2), (Duration::from_secs(2), 0)] {
        let mesh = Mesh::that_forgets_after(requests, Limits::default()).await?;
        let run = mesh.world.start("chain", json!({"n": 4})).await?;
        mesh.world.ended(run).await?;
        mesh.until_left(run, left).await?;
        let outcome = |verb: &str| format!("task.{verb}.echo.normal.{run}.first.1");
        mesh.world.publish(&outcome("completed"), r#"{"output": 7}"#).await?;
        mesh.world
            .publish(&outcome("failed"), r#"{"error": {"code": "x", "message": "", "retryable": true}}"#)
            .await?;
        mesh.world.publish(&format!("workflow.signalled.-.-.{run}.cancel.late"), "").await?;
        mesh.until_left(run, left).await?;
        let whole = mesh.whole(run).await?;
        assert_eq!(
            whole.history.late(),
            2,
            "the outcome that was known is no news: {:?}",
            subjects(&whole.events)
        );
        let first = whole.events.iter().find(|stored| stored.message.subject.ends_with("first.1"));
        let first = first.context("the outcome of the first task")?;
        ensure!(!first.message.payload.ends_with(b"7}"), "the first outcome counts");
        assert_eq!(mesh.world.bus.health().await?.late_runs, 1);
        assert_eq!(mesh.world.stored(Stream::Dead, ">").await?.len(), 0);
        mesh.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_event_of_no_run_does_not_stay() -> Result<()> {
    let mesh = Mesh::that_forgets_after(DAY, Limits::default()).await?;
    let run = mesh.world.run_of(&mesh.world.request("chain", "never", json!({}))?).await?;
    mesh.world.publish(&format!("task.completed.echo.normal.{run}.first.1"), "{\"output\": 1}").await?;
    let letter = mesh.world.first(Stream::Dead, "dead.events.unknown_run").await?;
    assert_eq!(letter.message.payload, "{\"output\": 1}");
    mesh.until_left(run, 0).await?;
    mesh.stop().await
}

#[tokio::test]
async fn a_long_run_of_large_events_is_archived_in_parts() -> Result<()> {
    let mesh = Mesh::that_forgets_after(DAY, Limits::default()).await?;
    let task = |place: usize| format!("  t{place}: {{agent: echo, with: '${{input.text}}'}}\n");
    let tasks: String = (0..20).map(task).collect();
    mesh.world.apply(&format!("mesh: v1\nname: wide\noutput: 1\ntasks:\n{tasks}")).await?;
    // 20 times 40 kB of work, and as much in results: just small enough to stand in the messages themselves.
    let text = "\"ä\n".repeat(10_000);
    let run = mesh.world.start("wide", json!({"text": text})).await?;
    mesh.world.ended(run).await?;
    mesh.until_left(run, 2).await?;
    let whole = mesh.whole(run).await?;
    ensure!(whole.history.parts > 1, "it is too large for one message");
    assert_eq!(whole.events.len(), 22);
    assert_eq!(whole.history.of(Stream::Tasks).count(), 20);
    assert_eq!(mesh.world.stored(Stream::Dead, ">").await?.len(), 0);
    mesh.stop().await
}

#[tokio::test]
async fn a_run_with_more_history_than_may_be_kept_pushes_out_no_other() -> Result<()> {
    let limits = Limits { history_bytes: Some(400_000), ..Limits::default() };
    let mesh = Mesh::that_forgets_after(DAY, limits).await?;
    let small = mesh.world.start("chain", json!({"n": 1})).await?;
    mesh.until_left(small, 2).await?;
    let task = |place: usize| format!("  t{place}: {{agent: echo, with: '${{input.text}}'}}\n");
    let tasks: String = (0..20).map(task).collect();
    mesh.world.apply(&format!("mesh: v1\nname: wide\noutput: 1\ntasks:\n{tasks}")).await?;
    let large = mesh.world.start("wide", json!({"text": "x".repeat(40_000)})).await?;
    mesh.world.ended(large).await?;
    let after = mesh.world.start("chain", json!({"n": 2})).await?;
    mesh.until_left(after, 2).await?;
    for run in [small, after] {
        assert_eq!(mesh.whole(run).await?.events.len(), 4);
    }
    assert_eq!(mesh.world.bus.read_run(&large).await?.events.len(), 22, "it stays in the log");
    assert_eq!(mesh.world.bus.read_history(&large).await?.len(), 0);
    mesh.stop().await
}

#[tokio::test]
async fn checkpoints_go_with_their_run() -> Result<()> {
    let options = Options { checkpoint_after: 2, ..Options::default() };
    let mesh = Mesh::with(Duration::from_secs(2), options).await?;
    let task = |place: usize| format!("  t{place}: {{agent: echo, with: '${{input.text}}'}}\n");
    let tasks: String = (0..8).map(task).collect();
    let outputs = (0..8).map(|place| format!("size(tasks.t{place}.output)")).collect::<Vec<_>>().join(" + ");
    mesh.world.apply(&format!("mesh: v1\nname: long\noutput: '${{{outputs}}}'\ntasks:\n{tasks}")).await?;
    // More than an event is to carry: the state is an object.
    let run = mesh.world.start("long", json!({"text": "x".repeat(30_000)})).await?;
    mesh.world.first(Stream::Events, "workflow.checkpointed.>").await?;
    ensure!(!mesh.world.bus.objects().await?.is_empty(), "the state is in the event");
    ensure!(matches!(mesh.world.ended(run).await?, RunOutcome::Completed(_)), "it completes");
    mesh.until_left(run, 0).await?;
    ensure!(mesh.world.bus.objects().await?.is_empty(), "objects are left");
    mesh.stop().await
}

#[tokio::test]
async fn where_the_log_is_nearly_full_requests_wait_and_nothing_is_lost() -> Result<()> {
    let limits = Limits { log_bytes: Some(2_000_000), ..Limits::default() };
    // Their beginnings, which are kept for a day, are more than the log may hold.
    let mesh = Mesh::that_forgets_after(DAY, limits).await?;
    let text = "x".repeat(40_000);
    let mut runs = Vec::new();
    for _ in 0..28 {
        runs.push(mesh.world.start("chain", json!({"n": text})).await?);
    }
    let consumers = mesh.world.bus.health().await?.consumers;
    let relay = consumers.into_iter().find(|consumer| consumer.name == "relay").context("the relay")?;
    let waiting = relay.found.map_or(0, |found| found.pending);
    ensure!(waiting > 12, "only {waiting} requests wait");
    for run in &runs {
        ensure!(matches!(mesh.world.ended(*run).await?, RunOutcome::Completed(_)), "run {run} completes");
    }
    assert_eq!(mesh.world.stored(Stream::Dead, ">").await?.len(), 0);
    for run in runs {
        assert_eq!(mesh.whole(run).await?.events.len(), 4);
    }
    mesh.stop().await
}

/// The runs that have begun are what the log is full of, and those that they start must begin, or they would never end.
#[tokio::test]
async fn where_the_log_is_nearly_full_runs_start_others_all_the_same() -> Result<()> {
    let limits = Limits { log_bytes: Some(2_000_000), ..Limits::default() };
    let mesh = Mesh::that_forgets_after(DAY, limits).await?;
    let definition = "
mesh: v1
name: outer
output: '${tasks.child.output}'
tasks:
  first: {agent: echo}
  child: {workflow: chain, needs: [first], with: {n: 1}}
";
    mesh.world.apply(definition).await?;
    let text = "x".repeat(40_000);
    let mut runs = Vec::new();
    for _ in 0..28 {
        runs.push(mesh.world.start("outer", json!({"text": text})).await?);
    }
    for run in &runs {
        ensure!(matches!(mesh.world.ended(*run).await?, RunOutcome::Completed(_)), "run {run} completes");
    }
    assert_eq!(mesh.world.stored(Stream::Dead, ">").await?.len(), 0);
    mesh.stop().await
}
