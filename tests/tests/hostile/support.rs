//! A server whose configuration changes, a mesh on it, and what its processes say.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
use mesh_bus::RunOutcome;
use mesh_schemas::RunId;
use mesh_tests::{Process, TestServer, World, mesh_binary, patiently, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

const ONE: &str = "
mesh: v1
name: one
output: '${tasks.b.output}'
tasks:
  a: {agent: work}
  b: {agent: work, needs: [a], retry: {max_attempts: 2, initial: 100ms, jitter: 0}}
";

/// One whose deadline is so near that it is set at once.
const NEAR: &str = "
mesh: v1
name: near
timeout: 9s
output: '${tasks.a.output}'
tasks:
  a: {agent: work}
";

/// A folder that is removed with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mesh-hostile-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A server with a configuration that can be written anew while it runs.
pub(crate) struct Configured {
    pub(crate) server: TestServer,
    file: PathBuf,
}

impl Configured {
    pub(crate) fn start(folder: &Folder, configuration: &str) -> Result<Self> {
        let file = folder.path("nats.conf");
        std::fs::write(&file, configuration)?;
        let server = TestServer::start_with(&["--config", file.to_str().context("no text")?])?;
        Ok(Self { server, file })
    }

    /// Has the server read another configuration, and waits until it goes by that.
    pub(crate) fn reload(&self, configuration: &str) -> Result<()> {
        std::fs::write(&self.file, configuration)?;
        signal(self.server.pid(), Signal::HUP)?;
        tokio::task::block_in_place(|| self.server.logs("Reloaded server configuration"))
    }
}

/// A mesh whose processes write down what they say.
pub(crate) struct Mesh {
    pub(crate) world: World,
    pub(crate) folder: Folder,
    orchestrator: Option<Process>,
}

impl Mesh {
    /// An orchestrator on a server, and a workflow of two tasks.
    pub(crate) async fn on(url: &str, folder: Folder) -> Result<Self> {
        let mut mesh = Self { world: World::on(url).await?, folder, orchestrator: None };
        mesh.orchestrator = Some(mesh.process(&["orchestrator"], "orchestrator.log")?);
        mesh.apply().await?;
        Ok(mesh)
    }

    /// A mesh whose orchestrator is somebody else's.
    pub(crate) async fn with(world: World, folder: Folder) -> Result<Self> {
        let mesh = Self { world, folder, orchestrator: None };
        mesh.apply().await?;
        Ok(mesh)
    }

    async fn apply(&self) -> Result<()> {
        let mesh = self;
        let applied = async { while mesh.world.apply(ONE).await.is_err() {} };
        patiently("the namespace", applied).await?;
        mesh.world.apply(NEAR).await.map(drop)
    }

    /// Starts `mesh` with what it says in a file.
    pub(crate) fn process(&self, arguments: &[&str], log: &str) -> Result<Process> {
        Process::logged(&self.world, &mesh_binary()?, arguments, &self.folder.path(log))
    }

    /// Waits until a process says something with all of these words.
    pub(crate) async fn says(&self, log: &str, words: &[&str]) -> Result<()> {
        says(&self.folder.path(log), words).await
    }

    /// Starts a run with a number.
    pub(crate) async fn start(&self, number: u64) -> Result<RunId> {
        self.world.start("one", json!({ "n": number })).await
    }

    /// Starts a run with a number, whose deadline is near.
    pub(crate) async fn start_near(&self, number: u64) -> Result<RunId> {
        self.world.start("near", json!({ "n": number })).await
    }

    /// Waits until a run has completed with its number.
    pub(crate) async fn completes(&self, run: RunId, number: u64) -> Result<()> {
        let outcome = self.world.ended(run).await?;
        let RunOutcome::Completed(completed) = outcome else { anyhow::bail!("{outcome:?}") };
        ensure!(completed.output == json!({ "n": number }), "{completed:?}");
        Ok(())
    }

    /// Ends the orchestrator.
    pub(crate) fn end(mut self) -> Result<()> {
        let orchestrator = self.orchestrator.take().context("an orchestrator")?;
        ensure!(orchestrator.terminate()?, "the orchestrator did not end well");
        Ok(())
    }
}

/// Waits until a line with all of these words is in a file.
pub(crate) async fn says(log: &Path, words: &[&str]) -> Result<()> {
    let said = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            looks.tick().await;
            let text = std::fs::read_to_string(log).unwrap_or_default();
            if text.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return;
            }
        }
    };
    patiently(&format!("{words:?} in {}", log.display()), said).await
}

async fn echo(_: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(json!({ "n": input["n"] }))
}

/// An agent for the workflow.
pub(crate) fn worker() -> AgentBuilder {
    Agent::builder("worker").capacity(8).capability("work", echo)
}
