use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::{ExecError, environment, program};
use crate::runner::DEFAULT_OUTPUT_LIMIT;

/// A program that does tasks, one process for each: give it to [`AgentBuilder::exec`](crate::AgentBuilder::exec).
///
/// ```no_run
/// use mesh_agents::{Agent, Exec};
///
/// # async fn example() -> Result<(), mesh_agents::AgentError> {
/// let resize = Exec::new("python3").args(["resize.py", "--quality", "80"]).current_dir("/srv/images");
/// Agent::builder("images").exec("resize", resize).run().await
/// # }
/// ```
///
/// **In and out.** The task's input stands on stdin as JSON, and then stdin ends; a program need not read it. What the
/// program writes to stdout is the output, as JSON; nothing at all is `null`. Each line of stderr goes to the agent's
/// log as it comes.
///
/// **Environment.** That of the agent, without the secrets of its connection (of `MESH_NATS_…` only `MESH_NATS_CA` and
/// a `MESH_NATS_URL` without a user are passed on), and with `MESH_RUN_ID`, `MESH_WORKFLOW`, `MESH_TASK`,
/// `MESH_ATTEMPT`, `MESH_DELIVERY`, `MESH_IDEMPOTENCY_KEY`, `MESH_CORRELATION_ID`, `MESH_AGENT`, `MESH_CAPABILITY` and,
/// where there is such a thing, `MESH_ACTION`, `MESH_DEADLINE` (RFC 3339), `TRACEPARENT` and `TRACESTATE` (W3C Trace
/// Context). A NUL, which no variable can hold, becomes U+FFFD.
///
/// **The end of it.** Exit code 0 is success. Anything else is a failure, whose message is the end of stderr:
///
/// | Code | When | Tried again |
/// |---|---|---|
/// | `exit_65` | exit code 65 (`EX_DATAERR` of `sysexits.h`): the input is wrong | no |
/// | `exit_75` | exit code 75 (`EX_TEMPFAIL`): something was busy or away | yes |
/// | `exit_N`, `signal_N` | any other exit code; the signal that ended it | yes |
/// | `invalid_output` | it succeeded and what it wrote is not JSON | no: the work is done |
/// | `output_too_large` | it wrote more than [`Exec::output_limit`], and was killed | no |
/// | `program_unavailable` | the program cannot be started any more | yes |
///
/// **Nothing stays behind.** The program leads a process group of its own. At the deadline, when the task is
/// cancelled, and when the agent stops and the task has not ended in time, the whole group gets SIGTERM, and SIGKILL
/// when the program has ended or after 2 seconds. What a program leaves running when it ends is killed too, after half
/// a second in which it may close the program's stdout and stderr. Only a process that leaves the group by itself
/// (`setsid`) gets away. After a timeout the next attempt may begin while the last group is still on its way out.
///
/// The same happens when the agent itself is killed: beside each program waits a shell (`/bin/sh`) that notices. It is
/// there before the input comes, so a program that reads its input first is never left alone; one that does not may
/// be, if the agent is killed in the millisecond after it was started.
#[derive(Clone)]
pub struct Exec {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: BTreeMap<OsString, OsString>,
    pub(super) folder: Option<PathBuf>,
    pub(super) output_limit: usize,
}

impl Exec {
    /// A program by its path, or by its name in one of the folders of `PATH`. No shell is involved.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            folder: None,
            output_limit: DEFAULT_OUTPUT_LIMIT,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, in place of an inherited one. Those that are set for every task cannot be set
    /// here.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The folder to run in (default: that of the agent). A relative path of the program counts from there.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Most bytes that the program may write to stdout (default [`DEFAULT_OUTPUT_LIMIT`]).
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// The file that is run, as things are now.
    pub(super) fn resolve(&self) -> Result<PathBuf, ExecError> {
        let inherited = || std::env::var_os("PATH").unwrap_or_default();
        let path = self.variables.get(OsStr::new("PATH")).cloned().unwrap_or_else(inherited);
        program::find(&self.program, &path, self.folder.as_deref())
    }

    /// Whether the program could be run now.
    pub(super) fn check(&self) -> Result<(), ExecError> {
        if let Some(folder) = self.folder.as_deref().filter(|folder| !Path::is_dir(folder)) {
            return Err(ExecError::NotAFolder(folder.to_owned()));
        }
        environment::check(self.variables.iter())?;
        self.resolve().map(drop)
    }
}

impl fmt::Debug for Exec {
    /// Tells which variables are set, and never a value: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("folder", &self.folder)
            .field("output_limit", &self.output_limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let exec = Exec::new("curl").env("API_KEY", "hunter2");
        let shown = format!("{exec:?}");
        assert!(shown.contains("API_KEY") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_cannot_be_run_is_found_out_before() {
        assert!(Exec::new("sh").check().is_ok());
        let nowhere = Exec::new("sh").current_dir("/no/such/folder").check();
        assert!(matches!(nowhere, Err(ExecError::NotAFolder(_))), "{nowhere:?}");
        let other_path = Exec::new("sh").env("PATH", "/no/such/folder").check();
        assert!(matches!(other_path, Err(ExecError::NotOnPath(_))), "{other_path:?}");
        let taken = Exec::new("sh").env("MESH_RUN_ID", "1").check();
        assert!(matches!(taken, Err(ExecError::Variable { .. })), "{taken:?}");
    }
}
