//! The processes that suffer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use super::faults::{Deed, Faults, Victim};
use crate::process::{Process, mesh_binary};
use crate::world::World;

/// Runs are archived and forgotten while the campaign goes on, but not before everybody who was frozen has woken up and
/// seen that what it was about to do was done by others.
const RETENTION: [&str; 4] = ["--grace", "20s", "--keep-requests", "60s"];

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Orchestrator,
    Agent,
}

/// A place that always has a process in it, but for moments.
pub(super) struct Place<'a> {
    world: &'a World,
    folder: &'a Path,
    /// Copies of everything that orchestrators ask for.
    replicas: String,
    part: Part,
    number: usize,
    process: Process,
}

impl<'a> Place<'a> {
    pub(super) fn new(
        world: &'a World,
        folder: &'a Path,
        replicas: usize,
        part: Part,
        number: usize,
    ) -> Result<Self> {
        let replicas = replicas.to_string();
        let process = start(world, folder, &replicas, part, number)?;
        Ok(Self { world, folder, replicas, part, number, process })
    }

    fn start(&self) -> Result<Process> {
        start(self.world, self.folder, &self.replicas, self.part, self.number)
    }

    fn victim(&self) -> Victim {
        match self.part {
            Part::Orchestrator => Victim::Orchestrator,
            Part::Agent => Victim::Agent(self.process.id()),
        }
    }

    /// Does one thing after another to the process, until `over`.
    pub(super) async fn suffer(
        &mut self,
        mut dice: fastrand::Rng,
        (least, most): (u64, u64),
        faults: &Faults,
        mut over: watch::Receiver<bool>,
    ) -> Result<()> {
        loop {
            let pause = Duration::from_millis(dice.u64(least..most));
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            let deed = match dice.u8(0..10) {
                0..6 => Deed::Kill,
                6..8 => Deed::Restart,
                _ => Deed::Freeze,
            };
            let away = Duration::from_millis(dice.u64(0..1_000));
            // Longer than an orchestrator or an agent may be silent here.
            let frozen = Duration::from_millis(dice.u64(3_500..8_000));
            let number = faults.begin(self.victim(), deed);
            match deed {
                Deed::Kill | Deed::Isolate => {
                    self.process.kill9_now()?;
                    tokio::time::sleep(away).await;
                    self.process = self.start()?;
                }
                Deed::Restart => {
                    let next = self.start()?;
                    let old = std::mem::replace(&mut self.process, next);
                    // It may have been started a moment ago, and not listen to signals yet: then it just ends.
                    tokio::task::spawn_blocking(|| old.terminate()).await??;
                }
                Deed::Freeze => {
                    self.process.freeze()?;
                    tokio::time::sleep(frozen).await;
                    self.process.thaw()?;
                }
            }
            faults.over(number);
        }
    }
}

fn start(world: &World, folder: &Path, replicas: &str, part: Part, number: usize) -> Result<Process> {
    let mesh = mesh_binary()?;
    match part {
        Part::Orchestrator => {
            let log = folder.join(format!("orchestrator-{number}.log"));
            let mut arguments = vec!["orchestrator", "--replicas", replicas];
            arguments.extend(RETENTION);
            Process::logged(world, &mesh, &arguments, &log)
        }
        Part::Agent => {
            let (log, record) =
                (file(folder, "agent", number, "log"), file(folder, "agent", number, "jsonl"));
            let record = record.to_str().context("the folder's name is no text")?;
            let program = mesh.with_file_name("record-agent");
            Process::logged(world, &program, &["work", record], &log)
        }
    }
}

fn file(folder: &Path, part: &str, number: usize, extension: &str) -> PathBuf {
    folder.join(format!("{part}-{number}.{extension}"))
}
