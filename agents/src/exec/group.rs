//! A program and all that it starts, as one process group.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tracing::warn;

/// Waits in the group for the end of its stdin, which comes when the agent dies, then asks the group to end, and makes
/// it. An ordinary end kills it before.
///
/// The parent-death signal of Linux would not do: it reaches the program only, not what that started. And the program,
/// not the tether, leads the group, because programs such as `timeout` make themselves leaders of a new one otherwise.
const TETHER: &str = "trap '' HUP INT TERM; read -r _; kill -s TERM 0; sleep 2; kill -s KILL 0";

/// A process group. Dropping it kills whatever of it is left.
pub(super) struct Group {
    program: Child,
    /// Keeps the group's id from being given to others for as long as it has not been waited for.
    tether: Option<Child>,
    id: Pid,
    is_gone: bool,
}

impl Group {
    /// Starts a program as the leader of a new group.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let program = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = program.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.ok_or_else(|| io::Error::other("the new process has no id"))?;
        let mut group = Self { program, tether: None, id, is_gone: false };
        match tether(id) {
            Ok(tether) => group.tether = Some(tether),
            Err(error) => warn!(%error, "no /bin/sh: if this agent is killed, the program is left running"),
        }
        Ok(group)
    }

    /// The program itself.
    pub(super) fn program(&mut self) -> &mut Child {
        &mut self.program
    }

    /// Waits until the program itself has ended.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.program.wait().await
    }

    /// Asks all of the group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills whatever of the group is left, and waits for the program's end.
    pub(super) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        // An error here means that there is nothing to wait for.
        let _ = self.program.wait().await;
        if let Some(mut tether) = self.tether.take() {
            let _ = tether.wait().await;
        }
        self.is_gone = true;
    }

    fn signal(&self, signal: Signal) {
        // An error means that nobody is left in the group.
        let _ = kill_process_group(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_gone {
            self.signal(Signal::KILL);
        }
    }
}

fn tether(group: Pid) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", TETHER])
        .process_group(group.as_raw_pid())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
