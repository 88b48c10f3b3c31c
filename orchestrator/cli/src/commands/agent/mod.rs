pub(crate) mod check;
mod exec;
mod http;
mod list;
mod new;
mod service;
mod show;

use clap::Subcommand;

use crate::connection::Connection;
use crate::exit::Outcome;

#[derive(Subcommand)]
pub(crate) enum Agent {
    Check(check::Check),
    Exec(exec::Exec),
    Http(http::Http),
    List(list::List),
    New(new::New),
    Show(show::Show),
}

impl Agent {
    /// The type of the agent that this process is, if it is one.
    pub(crate) fn type_(&self) -> Option<&str> {
        match self {
            Self::Exec(exec) => Some(exec.service.type_()),
            Self::Http(http) => Some(http.service.type_()),
            Self::Check(_) | Self::List(_) | Self::New(_) | Self::Show(_) => None,
        }
    }

    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::Check(check) => check.run(connection).await,
            Self::Exec(exec) => exec.run(connection).await,
            Self::Http(http) => http.run(connection).await,
            Self::New(new) => new.run(),
            Self::List(list) => list.run(connection).await,
            Self::Show(show) => show.run(connection).await,
        }
    }
}
