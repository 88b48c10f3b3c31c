//! Processes of the mesh, to be killed and stopped.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
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
        let child = command(world, program, arguments).spawn();
        Ok(Self(child.with_context(|| format!("start {}", program.display()))?))
    }

    /// [`Process::start`], with what the program says appended to a file.
    ///
    /// # Errors
    /// If it cannot be started, or the file not be written.
    pub fn logged(world: &World, program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = command(world, program, arguments);
        command.stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn().with_context(|| format!("start {}", program.display()))?))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
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
        self.kill9_now()
    }

    /// [`Process::kill9`], for whoever keeps the place of the process.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill9_now(&mut self) -> Result<()> {
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

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// If the system refuses.
    pub fn thaw(&self) -> Result<()> {
        signal(self.0.id(), Signal::CONT)
    }
}

fn command(world: &World, program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("MESH_NATS_URL", &world.url)
        .env("MESH_NAMESPACE", world.namespace.as_str())
        .stdin(Stdio::null());
    command
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
    // Tests are one folder further down.
    let folders = program.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("mesh")).find(|mesh| mesh.is_file());
    found.with_context(|| format!("there is no `mesh` beside {}: run `make build`", program.display()))
}
