use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mesh_bus::Bus as _;
use mesh_bus::topology::Topology;
use mesh_tests::{Collector, Process, TestServer, World, mesh_binary};
use serde_json::Value;
use tokio::process::Command;

/// A mesh whose processes export their spans, in a folder of its own.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) collector: Collector,
    pub(crate) folder: PathBuf,
    variables: Vec<(String, String)>,
    processes: Vec<Process>,
    _server: TestServer,
}

impl Place {
    /// With an orchestrator.
    pub(crate) async fn new(variables: &[(&str, &str)]) -> Result<Self> {
        let server = TestServer::start()?;
        let world = World::on(&server.url()).await?;
        world.bus.set_up(&Topology::default()).await?;
        let collector = Collector::start()?;
        let folder = std::env::temp_dir().join(format!("mesh-traces-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder)?;
        let all = collector.variables().into_iter().chain(variables.iter().copied());
        let variables = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut place = Self { world, collector, folder, variables, processes: Vec::new(), _server: server };
        place.start(&mesh_binary()?, &["orchestrator"])?;
        Ok(place)
    }

    /// Starts a program.
    pub(crate) fn start(&mut self, program: &Path, arguments: &[&str]) -> Result<()> {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let process = Process::within(&self.world, &self.folder, &variables, program, arguments)?;
        self.processes.push(process);
        Ok(())
    }

    /// Starts an agent that runs a script of the shell for each task.
    pub(crate) fn agent(&mut self, capability: &str, script: &str) -> Result<()> {
        self.start(&mesh_binary()?, &["agent", "exec", "--capability", capability, "--", "sh", "-c", script])
    }

    /// Runs a command to its end and gives what it wrote on stdout, if it went as well as this exit code says.
    pub(crate) async fn says(&self, arguments: &[&str], code: i32) -> Result<String> {
        let ended = Command::new(mesh_binary()?)
            .args(arguments)
            .env("MESH_NATS_URL", &self.world.url)
            .env("MESH_NAMESPACE", self.world.namespace.as_str())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .kill_on_drop(true)
            .output();
        let ended = mesh_tests::patiently("a command", ended).await??;
        let told = String::from_utf8_lossy(&ended.stderr);
        anyhow::ensure!(ended.status.code() == Some(code), "{arguments:?}: {} {told}", ended.status);
        Ok(String::from_utf8(ended.stdout)?)
    }

    /// Starts a run, waits for its end, and gives its output.
    pub(crate) async fn run(&self, workflow: &str, input: &str) -> Result<Value> {
        let said = self.says(&["start", workflow, "--input", input, "--wait"], 0).await?;
        serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.processes.clear();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
