//! Processes of the mesh, to be killed and stopped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::server::signal;
use crate::world::World;

/// A process that is killed when the test ends.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a program that finds its mesh in the environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(world: &World, program: &Path, arguments: &[&str]) -> Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .env("MESH_NATS_URL", &world.url)
            .env("MESH_NAMESPACE", world.namespace.as_str())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self(child))
    }

    /// Starts an orchestrator as a process of its own.
    ///
    /// # Errors
    /// If the program is not there.
    pub fn orchestrator(world: &World) -> Result<Self> {
        Self::start(world, &mesh_binary()?, &["orchestrator"])
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill9(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has; the result is whether it said that all went well.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn terminate(mut self) -> Result<bool> {
        signal(self.0.id(), Signal::TERM)?;
        Ok(self.0.wait()?.success())
    }

    /// Stops it in its tracks (SIGSTOP).
    ///
    /// # Errors
    /// If the system refuses.
    pub fn freeze(&self) -> Result<()> {
        signal(self.0.id(), Signal::STOP)
    }

    /// How much memory it has, and had at most, in words.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn memory(&self) -> Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let of = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
            Ok(kib.with_context(|| format!("no {name} in the status of the process"))? / 1_024)
        };
        Ok(format!("{} MiB resident, {} at most", of("VmRSS:")?, of("VmHWM:")?))
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// If the system refuses.
    pub fn thaw(&self) -> Result<()> {
        signal(self.0.id(), Signal::CONT)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The test is over: there is nobody to tell of a process that is gone already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The program `mesh`, which the build puts beside the tests.
///
/// # Errors
/// If it is not there; the text says how to build it.
pub fn mesh_binary() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).context("the test is in no folder")?;
    let mesh = folder.join("mesh");
    if mesh.is_file() {
        return Ok(mesh);
    }
    bail!("there is no program at {}: run `make build`", mesh.display())
}
