mod begin;
mod cancel;
mod list;
mod pause;
mod report;
mod rerun;
mod show;
mod signal;
mod state;
mod watch;

use clap::Subcommand;

use crate::connection::Connection;
use crate::exit::Outcome;

pub(crate) use begin::{Beginning, Begun};
pub(crate) use cancel::ask_to_end;
pub(crate) use list::ended_runs;
pub(crate) use report::{rejected, report};
pub(crate) use show::unknown;
pub(crate) use state::{
    EVENTS_GONE, RunReader, RunState, RunStatus, RunTarget, Served, Waiting, run_filters, task_notes,
};
pub(crate) use watch::{Attending, attend, not_taken_up, until_the_end};

#[derive(Subcommand)]
pub(crate) enum Runs {
    List(list::List),
    Show(show::Show),
    Watch(watch::Watch),
    Cancel(cancel::Cancel),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Retry(pause::Retry),
    Rerun(rerun::Rerun),
}

impl Runs {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::List(list) => list.run(connection).await,
            Self::Show(show) => show.run(connection).await,
            Self::Watch(watch) => watch.run(connection).await,
            Self::Cancel(cancel) => cancel.run(connection).await,
            Self::Pause(pause) => pause.run(connection).await,
            Self::Resume(resume) => resume.run(connection).await,
            Self::Retry(retry) => retry.run(connection).await,
            Self::Rerun(rerun) => rerun.run(connection).await,
        }
    }
}
