//! Agent processes that die at work.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome, Subscription};
use mesh_schemas::payload::code;
use mesh_tests::{Audit, Process, Running, TestServer, World, patiently};
use serde_json::{Value, json};

use crate::support::{CHAIN, impatient_consumer, is_well, is_well_and_complete, letter_about, worker};

const ONE: &str = "
mesh: v1
name: one
output: '${tasks.t.output}'
tasks: {t: {agent: fragile, retry: {max_attempts: 1}}}
";

/// A mesh with a capability whose agents are processes, which are given up after a second of silence.
struct Fragile {
    world: World,
    orchestrator: Running,
    worker: Running,
    file: PathBuf,
    noted: Subscription,
    /// Last, so that it goes last.
    _server: TestServer,
}

impl Fragile {
    async fn new(name: &str) -> Result<Self> {
        let server = TestServer::start()?;
        let world = World::on(&server.url()).await?;
        let orchestrator = world.orchestrator().await?;
        impatient_consumer(&world, "fragile", Duration::from_secs(1)).await?;
        world.apply(CHAIN).await?;
        world.apply(ONE).await?;
        let worker = world.agent(worker()).await?;
        let file = std::env::temp_dir().join(format!("mesh-faults-{name}-{}", std::process::id()));
        let noted = world.bus.subscribe(&format!("{}.task.progress.fragile.>", world.namespace)).await?;
        Ok(Self { world, orchestrator, worker, file, noted, _server: server })
    }

    fn agent(&self) -> Result<Process> {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_test-agent"));
        Process::start(&self.world, &program, &["fragile", &self.file.to_string_lossy()])
    }

    /// Waits until one more execution stands among the [`Self::executions`].
    async fn begun(&mut self) -> Result<()> {
        patiently("an execution", self.noted.next()).await?.context("the connection was closed").map(drop)
    }

    /// Each execution: agent, run, attempt, delivery.
    fn executions(&self) -> Result<Vec<String>> {
        Ok(std::fs::read_to_string(&self.file)?.lines().map(ToOwned::to_owned).collect())
    }

    async fn end(self) -> Result<()> {
        Audit::when_idle(&self.world, &["fragile"]).await?;
        std::fs::remove_file(&self.file)?;
        self.worker.stop().await?;
        self.orchestrator.stop().await
    }
}

#[tokio::test]
async fn another_takes_over_when_one_is_killed() -> Result<()> {
    let mut mesh = Fragile::new("killed").await?;
    let first = mesh.agent()?;
    let run = mesh.world.start("one", json!({"do": "hang_at_first"})).await?;
    mesh.begun().await?;
    first.kill9()?;
    let second = mesh.agent()?;
    let RunOutcome::Completed(completed) = mesh.world.ended(run).await? else { bail!("not completed") };
    ensure!(completed.output["delivery"] == 2, "{completed:?}");
    ensure!(mesh.executions()?.len() == 2, "{:?}", mesh.executions());
    let audit = is_well_and_complete(&mesh.world).await?;
    ensure!(audit.outcomes.values().all(|outcomes| outcomes.len() == 1), "{audit:?}");
    ensure!(second.terminate()?, "the agent did not end well");
    mesh.end().await
}

/// Two agents work on one attempt, and both finish: the second outcome is not even stored.
#[tokio::test]
async fn one_that_was_stopped_and_given_up_changes_nothing() -> Result<()> {
    let mut mesh = Fragile::new("stopped").await?;
    let first = mesh.agent()?;
    let run = mesh.world.start("one", json!({"do": "sleep", "ms": 300})).await?;
    mesh.begun().await?;
    first.freeze()?;
    let first_agent = mesh.executions()?.first().and_then(|line| Some(line.split(' ').next()?.to_owned()));
    let first_agent = first_agent.context("no execution")?;
    let second = mesh.agent()?;
    let outcome = mesh.world.ended(run).await?;
    first.thaw()?;
    ensure!(first.terminate()?, "the agent did not end well");
    let events = mesh.world.stored(Stream::Events, &format!("task.*.fragile.normal.{run}.t.1")).await?;
    ensure!(events.len() == 1, "{events:?}");
    let RunOutcome::Completed(completed) = outcome else { bail!("not completed: {outcome:?}") };
    ensure!(completed.output["agent"] != first_agent.as_str(), "{completed:?}");
    is_well_and_complete(&mesh.world).await?;
    ensure!(second.terminate()?, "the agent did not end well");
    mesh.end().await
}

#[tokio::test]
async fn what_kills_everyone_who_takes_it_is_poison() -> Result<()> {
    let mesh = Fragile::new("poison").await?;
    let run = mesh.world.start("one", json!({"do": "die"})).await?;
    let agents = (0..6).map(|_| mesh.agent()).collect::<Result<Vec<_>>>()?;
    let RunOutcome::Failed(failed) = mesh.world.ended(run).await? else { bail!("not failed") };
    ensure!(failed.error.code == code::POISON, "{failed:?}");
    ensure!(mesh.executions()?.len() == 5, "{:?}", mesh.executions());
    let letter =
        letter_about(&mesh.world, "tasks", "poison", &format!("task.created.fragile.normal.{run}.t.1"))
            .await?;
    let task: Value = serde_json::from_slice(&letter.message.payload)?;
    ensure!(task["data"]["input"]["do"] == "die", "{task}");
    // The one that is left still works.
    let RunOutcome::Completed(_) = mesh.world.run("one", json!({"do": "return"})).await? else {
        bail!("no agent")
    };
    is_well(&mesh.world).await?;
    drop(agents);
    mesh.end().await
}
