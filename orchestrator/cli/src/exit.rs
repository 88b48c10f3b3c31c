//! Exit codes, which mean the same for every command.

use std::process::ExitCode;

/// Shown at the end of `mesh --help`.
pub(crate) const HELP: &str = "Exit codes: 0 done; 1 error; 2 wrong usage; 3 the request was rejected; \
4 the run failed; 5 the run was cancelled; 130 interrupted: the run goes on, or, with start --local, was cancelled";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Error,
    Rejected,
    RunFailed,
    RunCancelled,
    /// Ctrl-C while it waited: as shells tell it of a program that SIGINT ended.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Error => 1,
            Outcome::Rejected => 3,
            Outcome::RunFailed => 4,
            Outcome::RunCancelled => 5,
            Outcome::Interrupted => 130,
        })
    }
}
