//! Processes that a command starts for as long as it needs them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Command;
use tokio::sync::watch;

use crate::nats_server::tether;

/// How much of what a process printed is shown when it ended.
const LAST_WORDS: usize = 300;

/// A process with all that it started. Dropping it kills them.
pub(crate) struct Process {
    pid: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    log: PathBuf,
}

impl Process {
    /// Starts a command in an environment that `prepare` makes of ours. What it prints is added to the file `log`.
    pub(crate) fn start(
        command: &[String],
        prepare: impl FnOnce(&mut Command),
        log: &Path,
    ) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("no command was given")?;
        let printed = File::options().create(true).append(true).open(log);
        let printed = printed.with_context(|| format!("making {}", log.display()))?;
        // Through ourselves, so that it is told when we die (see `nats_server::Tethered`).
        let mut start = Command::new(std::env::current_exe()?);
        start.args(tether()).arg(program).arg("--").args(arguments);
        prepare(&mut start);
        let mut child = start
            // Of its own, so that what it starts can be ended with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.context("it has no process id")?;
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.ok();
            // Nothing of it is to outlive it. That nobody is left is no error.
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = sender.send(status);
        });
        Ok(Self { pid, ended, log: log.to_owned() })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        // An error is the end of whoever waits for the process: the runtime's.
        ended.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *self.ended.borrow()
    }

    /// Asks it to end, as a container's runtime does: the process alone, not what it started.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        if self.status().is_none() {
            kill_process(self.pid, Signal::TERM).context("stopping a process")?;
        }
        Ok(())
    }

    /// Kills it with all that it started, and waits until it is gone.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        if self.status().is_none() {
            kill_process_group(self.pid, Signal::KILL).context("killing a process")?;
        }
        self.ended().await;
        Ok(())
    }

    /// The end of what it printed, in one line.
    pub(crate) fn last_words(&self) -> String {
        let printed = std::fs::read(&self.log).unwrap_or_default();
        let cut = printed.len().saturating_sub(LAST_WORDS);
        let text = String::from_utf8_lossy(&printed[cut..]).into_owned();
        // The first line is a part of one if something was cut off.
        let whole = text.lines().skip(usize::from(cut > 0 && text.trim_end().contains('\n')));
        let lines: Vec<&str> = whole.map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            // There is nobody to tell.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

/// Takes away from the environment of a process what there is in ours that begins so.
pub(crate) fn without(command: &mut Command, beginnings: &[&str]) {
    let begins = |name: &str| beginnings.iter().any(|beginning| name.starts_with(beginning));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(begins)) {
        command.env_remove(name);
    }
}
