use std::process::Stdio;
use std::time::Duration;

use mesh_schemas::payload::{TaskCreated, code};
use tokio::process::Command;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, info, warn};

use super::{Exec, ExecError, environment, supervise};
use crate::context::Context;
use crate::failure::TaskFailure;
use crate::handler::{Handler, Handling, Settling};
use crate::runner;

/// How long a stopping agent waits for groups that were told to end. They take less, unless the system cannot kill
/// them.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// The handler that a program becomes.
pub(crate) struct Runner {
    exec: Exec,
    /// Every process group that is not gone. Each has a task of its own, which outlives a handler that is dropped.
    groups: TaskTracker,
}

impl Exec {
    /// The handler, if the program can be run.
    pub(crate) fn prepare(self) -> Result<Runner, ExecError> {
        self.check()?;
        Ok(Runner { exec: self, groups: TaskTracker::new() })
    }
}

impl Runner {
    fn command(&self, context: &Context) -> Result<Command, TaskFailure> {
        let exec = &self.exec;
        let program = exec.resolve().map_err(|error| supervise::unavailable(&error))?;
        let mut command = Command::new(program);
        command.args(&exec.arguments);
        if let Some(folder) = &exec.folder {
            command.current_dir(folder);
        }
        environment::prepare(&mut command, exec.variables.iter(), runner::facts(context));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

impl Handler for Runner {
    fn handle(&self, context: Context, task: TaskCreated) -> Handling {
        let command = self.command(&context);
        let (groups, limit) = (self.groups.clone(), self.exec.output_limit);
        Box::pin(async move {
            let command = command?;
            let input = serde_json::to_vec(&task.input)?;
            let stop = context.cancellation().child_token();
            let _stops_when_dropped = stop.clone().drop_guard();
            let log = move |line: &str| {
                info!(from = "stderr", "{}", context.0.redacted(line));
            };
            let seen_through = supervise::run(command, input, limit, stop, log).instrument(Span::current());
            groups.spawn(seen_through).await.unwrap_or_else(|died| Err(died_with(&died)))
        })
    }

    fn settled(&self) -> Settling<'_> {
        Box::pin(async {
            self.groups.close();
            if tokio::time::timeout(LAST_MOMENT, self.groups.wait()).await.is_err() {
                warn!(groups = self.groups.len(), "programs do not end, though they were killed");
            }
        })
    }
}

fn died_with(died: &tokio::task::JoinError) -> TaskFailure {
    TaskFailure::retryable(code::PANIC, format!("the program's supervision died: {died}"))
}
