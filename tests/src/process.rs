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

    /// Starts a program in a folder and with variables, that finds its mesh in the environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn within(
        world: &World,
        folder: &Path,
        variables: &[(&str, &str)],
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut command = command(world, program, arguments);
        command.current_dir(folder).envs(variables.iter().copied());
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
    beside_tests("mesh")
}

/// A program that the build puts beside the tests.
///
/// # Errors
/// If it is not there; the text says how to build it.
pub fn beside_tests(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    // Tests are one folder further down.
    let folders = program.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|found| found.is_file());
    found.with_context(|| format!("there is no `{name}` beside {}: run `make build`", program.display()))
}
